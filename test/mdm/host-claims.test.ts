import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { monotonicIds } from '../../core/ids.ts';
import { systemClock, systemRandom } from '../../core/system.ts';
import type { Database } from '../../db/database.ts';
import { hostStore } from '../../db/host-store.ts';
import { teamStore } from '../../db/team-store.ts';
import { createInventory } from '../../hosts/inventory.ts';
import { eachDatabase } from '../support/databases.ts';
import { command, createWorld, type World } from './world.ts';

/** What a Mac states of itself in Authenticate is a claim; only a link that names it, or Apple, is more. */
eachDatabase((kind, open) => {
  let db: Database;
  let world: World;
  beforeAll(async () => {
    db = await open();
    world = createWorld(db);
    await sql`insert into team (id, name) values (77, 'Secrets')`.execute(db.read);
    await sql`insert into label (id, name, kind, epoch) values (7, 'Trusted', 'manual', 0)`.execute(db.read);
  });
  afterAll(() => db.close());

  /** A machine known from its agent, in a team and with a label that an admin gave it. */
  async function agentOnly(udid: string, serial: string): Promise<string> {
    const id = randomUUID();
    await sql`
      insert into host (id, serial_number, hardware_uuid, team_id, created_at, updated_at)
      values (${id}, ${serial}, ${udid}, 77, now(), now())
    `.execute(db.read);
    await sql`insert into label_member (label_id, host_id) values (7, ${id})`.execute(db.read);
    return id;
  }
  async function hostOf(udid: string) {
    const { rows } = await sql<{ id: string; team_id: number; labels: number }>`
      select h.id, h.team_id, (select count(*)::int from label_member m where m.host_id = h.id) as labels
      from enrollment e join host h on h.id = e.host_id where e.enrollment_id = ${udid}
    `.execute(db.read);
    return rows[0];
  }

  describe('a host that others know already', () => {
    it('AUT-03 a serial number stated over a link-only certificate finds nobody', async () => {
      const known = await agentOnly(randomUUID().toUpperCase(), 'C02VICTIM01');
      const claimant = await world.device({ serial: 'C02VICTIM01' });
      await claimant.enrol();
      const host = await hostOf(claimant.udid);
      expect(host?.id).not.toBe(known);
      expect([host?.team_id, host?.labels]).toEqual([1, 0]);
    });

    it('AUT-03 a UDID stated over a link-only certificate comes into the link’s team, without labels', async () => {
      const udid = randomUUID().toUpperCase();
      const known = await agentOnly(udid, 'C02VICTIM02');
      const claimant = await world.device({ udid, serial: 'C02VICTIM02' });
      await claimant.enrol();
      expect(await hostOf(udid)).toEqual({ id: known, team_id: 1, labels: 0 });
    });

    it('a link that names the serial number keeps team and labels', async () => {
      const udid = randomUUID().toUpperCase();
      const known = await agentOnly(udid, 'C02OWNER003');
      const owner = await world.device({ udid, serial: 'C02OWNER003', intent: 'C02OWNER003' });
      await owner.enrol();
      expect(await hostOf(udid)).toEqual({ id: known, team_id: 77, labels: 1 });
    });
  });

  // PGlite has one unit of work at a time.
  describe.skipIf(kind === 'pglite')('a new Mac whose agent and whose Authenticate come at once', () => {
    const gate = () => {
      let open = () => {};
      const passed = new Promise<void>((resolve) => {
        open = resolve;
      });
      return { open, passed };
    };
    const inventory = () =>
      createInventory({
        store: hostStore(db),
        unitOfWork: db,
        clock: world.clock,
        ids: monotonicIds(systemClock, systemRandom),
        wakeAfter() {},
      });
    /** Until a statement waits for a lock, or what should have waited is done. */
    async function waits(work: Promise<unknown>): Promise<void> {
      let done = false;
      const settled = work.finally(() => {
        done = true;
      });
      settled.catch(() => undefined);
      const waiting = async () => {
        const { rows } = await sql`
          select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
          db.read,
        );
        return rows.length > 0;
      };
      while (!done && !(await waiting()));
    }
    const hostsOf = async (udid: string) => {
      const { rows } = await sql<{ id: string; udid: string | null }>`
        select id, udid from host where upper(hardware_uuid) = ${udid} or udid = ${udid}`.execute(db.read);
      return rows;
    };

    it('the agent first: Authenticate waits, and the host is the one that the agent made', async () => {
      const udid = randomUUID().toUpperCase();
      const [made, mayCommit] = [gate(), gate()];
      const agent = db.run(async (tx) => {
        const found = await inventory().findOrCreate(tx, { hardwareUuid: udid.toLowerCase() }, 77);
        made.open();
        await mayCommit.passed;
        return found;
      });
      await made.passed;
      const device = await world.device({ udid });
      const enrolling = device.authenticate();
      await waits(enrolling);
      mayCommit.open();
      const [{ hostId }, { status }] = await Promise.all([agent, enrolling]);
      expect(status).toBe(200);
      expect((await hostOf(udid))?.id).toBe(hostId);
      expect(await hostsOf(udid)).toEqual([{ id: hostId, udid }]);
    });

    it('Authenticate first: the agent waits, and finds the host that was made for it', async () => {
      const [made, mayCommit] = [gate(), gate()];
      const slow = createWorld(db, {
        async applyEffects() {
          made.open();
          await mayCommit.passed;
        },
      });
      const device = await slow.device();
      const enrolling = device.authenticate();
      await made.passed;
      const agent = db.run((tx) => inventory().findOrCreate(tx, { hardwareUuid: device.udid }, 77));
      await waits(agent);
      mayCommit.open();
      const [{ status }, found] = await Promise.all([enrolling, agent]);
      expect([status, found.made]).toEqual([200, false]);
      expect(await hostsOf(device.udid)).toEqual([{ id: found.hostId, udid: device.udid }]);
    });
  });

  describe('a team that ends while a Mac is on its way into it', () => {
    it('the Mac lands where the hosts of that team went', async () => {
      const { rows } = await sql<{ id: number }>`insert into team (name) values ('Ends') returning id`.execute(db.read);
      const ends = rows[0]?.id ?? 0;
      const device = await world.device();
      await sql`update scep_challenge set team_id = ${ends}`.execute(db.read);
      await db.run((tx) => teamStore(db).dissolve(tx, ends, 77, world.clock.now()));
      await device.enrol();
      expect((await hostOf(device.udid))?.team_id).toBe(77);
    });
  });

  describe('text that the database cannot hold', () => {
    it('R4 H-09 an error text cut inside a surrogate pair is stored, answered 200, and the queue goes on', async () => {
      const device = await world.device();
      await device.enrol();
      const { commandUuid } = await world.enqueue.raw(command('DeviceInformation'), [device.udid]);
      await device.idle();
      const text = `${'x'.repeat(1023)}\u{1f600}`;
      const chain = [
        { ErrorCode: 1, ErrorDomain: 'MCMDMErrorDomain', LocalizedDescription: text, USEnglishDescription: text },
      ];
      const answer = await device.report({ Status: 'Error', CommandUUID: commandUuid, ErrorChain: chain });
      expect([answer.status, answer.command]).toEqual([200, undefined]);
    });
  });
});

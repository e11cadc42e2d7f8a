import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../db/database.ts';
import { eachDatabase } from '../support/databases.ts';
import { command, createWorld, type World } from './world.ts';

/** What a Mac states of itself in Authenticate is a claim; only a link that names it, or Apple, is more. */
eachDatabase((_kind, open) => {
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

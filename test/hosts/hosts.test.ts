import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { monotonicIds } from '../../core/ids.ts';
import { systemClock, systemRandom } from '../../core/system.ts';
import type { Tx } from '../../core/tx.ts';
import { type Database, executorOf } from '../../db/database.ts';
import { hostStore } from '../../db/host-store.ts';
import { copyLabels } from '../../db/label-copies.ts';
import { labelStore } from '../../db/label-store.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { teamStore } from '../../db/team-store.ts';
import { createInventory } from '../../hosts/inventory.ts';
import { createLabels } from '../../hosts/labels.ts';
import type { HostStore } from '../../hosts/ports.ts';
import { createTeams } from '../../hosts/teams.ts';
import { eachDatabase } from '../support/databases.ts';
import { type EnrolledHost, enrolledHost, NOW } from '../support/rows.ts';

eachDatabase((kind, open) => {
  let db: Database;
  let wakes = 0;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  const wakeAfter = () => {
    wakes += 1;
  };
  const deps = () => ({
    unitOfWork: db,
    clock: { now: () => NOW },
    wakeAfter,
    catalogueRows: (tx: Tx) => reconcileStore(db).loadCatalogue(tx),
    preview: () => Promise.reject(new Error('nothing is planned here')),
  });
  const labels = () => createLabels({ store: labelStore(db), ...deps() });
  const teams = () => createTeams({ store: teamStore(db), ...deps() });
  const inventory = (store: HostStore = hostStore(db)) =>
    createInventory({
      store,
      unitOfWork: db,
      clock: { now: () => NOW },
      ids: monotonicIds(systemClock, systemRandom),
      wakeAfter,
    });

  async function withRecon() {
    const host = await enrolledHost(db);
    await sql`insert into recon (enrollment_id, team_id) values (${host.enrollment}, 1)`.execute(db.read);
    return host;
  }
  const recon = async (enrollment: number) => {
    const { rows } = await sql<{
      label_ids: number[];
      team_id: number;
    }>`select label_ids, team_id from recon where enrollment_id = ${enrollment}`.execute(db.read);
    return rows[0];
  };
  const queued = async (enrollment: number) => {
    const { rows } = await sql<{
      reason: string;
    }>`delete from recon_queue where enrollment_id = ${enrollment} returning reason`.execute(db.read);
    return rows.map((row) => row.reason);
  };

  it.skipIf(kind === 'pglite')(
    'an enrolment that goes live while its team ends comes where its host goes',
    async () => {
      const from = await teams().create('Ends meanwhile');
      const host = await enrolledHost(db);
      await inventory().moveToTeam(host.hostId, from);
      const [isIn, end] = [gate(2), gate(2)];
      const enrolling = db.run(async (tx) => {
        await reconcileStore(db).ensure(tx, host.enrollment);
        await isIn();
        await end();
      });
      await isIn();
      const ending = teams().delete('Ends meanwhile', 'Default');
      // Long enough to come to the host, or past it.
      await sleep(300);
      await Promise.all([end(), enrolling, ending]);
      expect((await recon(host.enrollment))?.team_id).toBe(1);
    },
  );

  describe('a fleet is written in pages, as few as one statement bears', () => {
    it('a team that ends: every host, copy and queue row once, whatever the size of a page', async () => {
      for (const page of [1, 2, 5, 10]) {
        const [from, into] = [await teams().create(`Ends ${page}`), await teams().create(`Takes ${page}`)];
        const members: EnrolledHost[] = [];
        for (let index = 0; index < 5; index += 1) members.push(await withRecon());
        for (const { hostId } of members) await inventory().moveToTeam(hostId, from);
        for (const { enrollment } of members) await queued(enrollment);
        expect(await db.run((tx) => teamStore(db, page).dissolve(tx, from, into, NOW))).toBe(5);
        for (const { hostId, enrollment } of members) {
          expect((await inventory().get(hostId)).teamId).toBe(into);
          expect((await recon(enrollment))?.team_id).toBe(into);
          expect(await queued(enrollment)).toEqual(['team']);
        }
      }
    });

    it('labels of many hosts: every copy and queue row once, and none where nothing differs', async () => {
      const { id } = await labels().create({ name: 'Many' });
      for (const page of [1, 2, 5]) {
        const members: EnrolledHost[] = [];
        for (let index = 0; index < 5; index += 1) members.push(await withRecon());
        const hostIds = members.map(({ hostId }) => hostId);
        await sql`
          insert into label_member (label_id, host_id) select ${id}, unnest(${sql.val(hostIds.slice(1))}::uuid[])
        `.execute(db.read);
        await db.run((tx) => copyLabels(executorOf(tx), hostIds, NOW, page));
        for (const [index, { enrollment }] of members.entries()) {
          expect((await recon(enrollment))?.label_ids).toEqual(index === 0 ? [] : [id]);
          expect(await queued(enrollment)).toEqual(index === 0 ? [] : ['label']);
        }
      }
    });
  });

  describe('labels', () => {
    it('members, their copies and the queue change together, and only where something changed', async () => {
      const [a, b] = [await withRecon(), await withRecon()];
      const { id } = await labels().create({ name: 'Laptops' });
      expect(await labels().setHosts('Laptops', [a.udid, b.hostId, a.udid])).toEqual({ added: 2, removed: 0 });
      expect((await recon(a.enrollment))?.label_ids).toEqual([id]);
      expect(await queued(a.enrollment)).toEqual(['label']);
      expect(await queued(b.enrollment)).toEqual(['label']);
      const before = wakes;
      expect(await labels().setHosts('Laptops', [a.udid, b.udid])).toEqual({ added: 0, removed: 0 });
      expect([await queued(a.enrollment), wakes]).toEqual([[], before]);
      expect(await labels().removeHosts('Laptops', [b.udid])).toEqual({ added: 0, removed: 1 });
      expect((await recon(b.enrollment))?.label_ids).toEqual([]);
      expect(await labels().addHosts('Laptops', [b.udid])).toEqual({ added: 1, removed: 0 });
    });

    it('one unknown host refuses the whole call, names it and changes nothing', async () => {
      const a = await withRecon();
      await labels().create({ name: 'Whole' });
      await expect(labels().setHosts('Whole', [a.udid, 'NOPE'])).rejects.toMatchObject({
        code: 'host_not_found',
        message: expect.stringContaining('"NOPE"'),
      });
      expect((await recon(a.enrollment))?.label_ids).toEqual([]);
      await expect(labels().setHosts('No such label', [])).rejects.toMatchObject({ code: 'label_not_found' });
    });

    it('refuses a second label of a name, and names nobody can read', async () => {
      await labels().create({ name: ' Twice ' });
      await expect(labels().create({ name: 'Twice' })).rejects.toMatchObject({ code: 'label_exists' });
      for (const name of ['', '   ', 'a\nb', '\ud800', 'x'.repeat(256)]) {
        await expect(labels().create({ name })).rejects.toMatchObject({ code: 'request_malformed' });
      }
    });

    it('a label that a profile aims by is not deleted; another one takes its members with it', async () => {
      const a = await withRecon();
      const { id } = await labels().create({ name: 'Aimed' });
      await labels().setHosts('Aimed', [a.udid]);
      await sql`
        with s as (insert into slot (kind, channel, identifier) values ('mdm', 'device', 'aimed.profile') returning id)
        insert into profile (team_id, slot_id, name, include_mode, include_label_ids, epoch, created_at, updated_at)
        select 1, id, 'Wi-Fi', 'any', array[${id}::int], 1, ${NOW}, ${NOW} from s
      `.execute(db.read);
      await expect(labels().delete('Aimed')).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('Wi-Fi'),
      });
      await sql`update profile set deleted_at = ${NOW} where name = 'Wi-Fi'`.execute(db.read);
      await queued(a.enrollment);
      await labels().delete('Aimed');
      expect((await recon(a.enrollment))?.label_ids).toEqual([]);
      expect(await queued(a.enrollment)).toEqual(['label']);
    });

    it('a member list replaces the one before: who stays is not touched, who goes and who comes is queued', async () => {
      const [a, b, c] = [await withRecon(), await withRecon(), await withRecon()];
      const { id } = await labels().create({ name: 'Replaced' });
      await labels().setHosts('Replaced', [a.udid, b.udid]);
      for (const { enrollment } of [a, b, c]) await queued(enrollment);
      expect(await labels().setHosts('Replaced', [b.udid, c.udid])).toEqual({ added: 1, removed: 1 });
      const copies = await Promise.all([a, b, c].map(async (host) => (await recon(host.enrollment))?.label_ids));
      expect(copies).toEqual([[], [id], [id]]);
      expect([await queued(a.enrollment), await queued(b.enrollment), await queued(c.enrollment)]).toEqual([
        ['label'],
        [],
        ['label'],
      ]);
      expect(await labels().setHosts('Replaced', [])).toEqual({ added: 0, removed: 2 });
    });

    it('hosts are meant by id, UDID in either spelling, serial number or their own name; a shared name means nobody', async () => {
      const hosts = [await withRecon(), await withRecon(), await withRecon(), await withRecon(), await withRecon()];
      const [a, b, c, d, e] = hosts as [EnrolledHost, EnrolledHost, EnrolledHost, EnrolledHost, EnrolledHost];
      const serial = (await inventory().get(c.hostId)).serialNumber ?? '';
      await sql`update host set name = 'only-one' where id = ${d.hostId}`.execute(db.read);
      await labels().create({ name: 'Refs' });
      const refs = [a.hostId.toUpperCase(), b.udid.toLowerCase(), serial, 'only-one'];
      expect(await labels().addHosts('Refs', refs)).toEqual({ added: 4, removed: 0 });
      await sql`update host set name = 'only-one' where id = ${e.hostId}`.execute(db.read);
      await expect(labels().removeHosts('Refs', [serial, 'only-one'])).rejects.toMatchObject({
        code: 'host_not_found',
        message: expect.stringContaining('"only-one"'),
      });
      expect((await recon(c.enrollment))?.label_ids).toHaveLength(1);
    });

    it('a UDID finds its own Mac even where an agent claims it as hardware UUID', async () => {
      const [a, b] = [await withRecon(), await withRecon()];
      await sql`update host set hardware_uuid = ${a.udid} where id = ${b.hostId}`.execute(db.read);
      expect((await inventory().get(a.udid)).id).toBe(a.hostId);
    });

    it('two changes of one host at once leave the copy equal to the members', async () => {
      const a = await withRecon();
      const names = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6'];
      for (const name of names) await labels().create({ name });
      await Promise.all(names.map((name) => labels().addHosts(name, [a.udid])));
      await Promise.all([labels().removeHosts('c1', [a.udid]), labels().removeHosts('c2', [a.udid])]);
      const { rows } = await sql<{
        label_id: number;
      }>`select label_id from label_member where host_id = ${a.hostId} order by 1`.execute(db.read);
      expect((await recon(a.enrollment))?.label_ids).toEqual(rows.map((row) => row.label_id));
      expect(rows).toHaveLength(4);
    });

    it.skipIf(kind === 'pglite')('a change that waited for another copies the members as they are then', async () => {
      const a = await withRecon();
      const ids = [(await labels().create({ name: 'first' })).id, (await labels().create({ name: 'second' })).id];
      const add = (tx: Tx, id: number | undefined) => labelStore(db).add(tx, id ?? 0, [a.hostId], NOW);
      const gates: (() => void)[] = [];
      const [added, mayCommit] = [0, 1].map(() => new Promise<void>((resolve) => gates.push(resolve)));
      const first = db.run(async (tx) => {
        await add(tx, ids[0]);
        gates[0]?.();
        await mayCommit;
      });
      await added;
      const second = db.run((tx) => add(tx, ids[1]));
      const waiting = async () => {
        const { rows } = await sql`
          select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
          db.read,
        );
        return rows.length > 0;
      };
      while (!(await waiting()));
      gates[1]?.();
      await Promise.all([first, second]);
      expect((await recon(a.enrollment))?.label_ids).toEqual(ids);
    });
  });

  describe('teams and hosts', () => {
    it('a move changes the host, its copy and the queue', async () => {
      const a = await withRecon();
      const id = await teams().create('Design');
      await inventory().moveToTeam(a.udid, id);
      expect((await inventory().get(a.hostId)).teamName).toBe('Design');
      expect((await recon(a.enrollment))?.team_id).toBe(id);
      expect(await queued(a.enrollment)).toEqual(['team']);
      await expect(teams().idOf('Nobody')).rejects.toMatchObject({ code: 'team_not_found' });
      await expect(teams().create('Design')).rejects.toMatchObject({ code: 'team_exists' });
    });

    it('finds a host by id, serial, UDID and by a name that only it has', async () => {
      const a = await withRecon();
      const b = await withRecon();
      await sql`update host set name = 'mac-one' where id = ${a.hostId}`.execute(db.read);
      const found = await inventory().get('mac-one');
      expect([found.id, found.enrollment]).toEqual([a.hostId, 'enrolled']);
      expect((await inventory().get(found.serialNumber ?? '')).id).toBe(a.hostId);
      await sql`update host set name = 'mac-one' where id = ${b.hostId}`.execute(db.read);
      await expect(inventory().get('mac-one')).rejects.toMatchObject({ code: 'host_not_found' });
      await expect(inventory().get("'; drop table host; --")).rejects.toMatchObject({ code: 'host_not_found' });
    });

    it('a host that was enrolled twice is one host, and its live enrolment speaks for it', async () => {
      const a = await enrolledHost(db, { state: 'ended' });
      await sql`
        insert into enrollment (enrollment_id, type, channel, host_id, state, generation, topic, binding)
        values (${`${a.udid}-live`}, 'Device', 'device', ${a.hostId}, 'enrolled', 1, 't', 'link_only'),
               (${`${a.udid}-gone`}, 'Device', 'device', ${a.hostId}, 'ended', 1, 't', 'link_only')
      `.execute(db.read);
      expect((await inventory().get(a.hostId)).enrollment).toBe('enrolled');
      const { hosts } = await inventory().page({
        team: undefined,
        label: undefined,
        text: a.udid,
        after: undefined,
        limit: 10,
      });
      expect(hosts.map((host) => [host.id, host.enrollment])).toEqual([[a.hostId, 'enrolled']]);
    });

    it('an unknown team or label as a filter is refused and not shown as no hosts', async () => {
      const page = (team: string | undefined, label: string | undefined) =>
        inventory().page({ team, label, text: undefined, after: undefined, limit: 1 });
      await expect(page('Nope', undefined)).rejects.toMatchObject({ code: 'team_not_found' });
      await expect(page(undefined, 'Nope')).rejects.toMatchObject({ code: 'label_not_found' });
      await labels().create({ name: 'Empty so far' });
      expect(await page('Default', 'Empty so far')).toEqual({ hosts: [], next: undefined });
    });

    it('pages through every host once', async () => {
      for (let i = 0; i < 5; i += 1) await enrolledHost(db);
      const ids: string[] = [];
      let after: string | undefined;
      do {
        const page = await inventory().page({ team: undefined, label: undefined, text: undefined, after, limit: 2 });
        ids.push(...page.hosts.map((host) => host.id));
        after = page.next;
      } while (after !== undefined);
      const { rows } = await sql<{ n: number }>`select count(*)::int as n from host`.execute(db.read);
      expect([new Set(ids).size, ids.length]).toEqual([rows[0]?.n, rows[0]?.n]);
    });

    it('searches a part of a name literally', async () => {
      const a = await withRecon();
      await sql`update host set name = '100% mac_x' where id = ${a.hostId}`.execute(db.read);
      const search = async (text: string) =>
        (await inventory().page({ team: undefined, label: undefined, text, after: undefined, limit: 50 })).hosts.map(
          (host) => host.id,
        );
      expect(await search('100% MAC_')).toEqual([a.hostId]);
      expect(await search('100_')).toEqual([]);
    });

    it('an agent finds the Mac that enrolled, in either spelling of its UUID; a new machine becomes a host', async () => {
      const a = await withRecon();
      const match = (hardwareUuid: string, serialNumber?: string) =>
        db.run((tx) =>
          inventory()
            .findOrCreate(tx, { hardwareUuid, ...(serialNumber === undefined ? {} : { serialNumber }) }, 1)
            .then((found) => found.hostId),
        );
      expect(await match(a.udid)).toBe(a.hostId);
      // Two virtual machines may share a serial number: their UUIDs tell them apart.
      const twin = await match('CCCCCCCC-0000-4000-8000-000000000001', 'SHARED');
      expect(await match('CCCCCCCC-0000-4000-8000-000000000002', 'SHARED')).not.toBe(twin);
      expect(await match(a.udid.toLowerCase())).toBe(a.hostId);
      const fresh = await match('AAAAAAAA-0000-4000-8000-000000000001', 'SERIAL-1');
      expect(await match('AAAAAAAA-0000-4000-8000-000000000001')).toBe(fresh);
      // S16: a serial number alone never leads to a Mac that is enrolled under another UDID.
      const { serialNumber } = await inventory().get(a.hostId);
      expect(await match('BBBBBBBB-0000-4000-8000-000000000001', serialNumber)).not.toBe(a.hostId);
    });

    // PGlite has one unit of work at a time.
    if (kind === 'postgres') {
      it('two agents of one new machine at once make one host', async () => {
        const hardware = { hardwareUuid: 'DDDDDDDD-0000-4000-8000-000000000001' };
        const bothLooked = gate(2);
        const store = hostStore(db);
        const looks = new WeakSet<object>();
        const racing = inventory({
          ...store,
          async match(tx, facts) {
            const found = await store.match(tx, facts);
            // The first look of each sees no host, as the other has not committed by then.
            if (!looks.has(tx)) await bothLooked();
            looks.add(tx);
            return found;
          },
        });
        const made = await Promise.all([1, 2].map(() => db.run((tx) => racing.findOrCreate(tx, hardware, 1))));
        expect(made[0]?.hostId).toBe(made[1]?.hostId);
        expect(made.map((one) => one.made).sort()).toEqual([false, true]);
      });
    }
  });
});

/** Everybody waits until this many have come. */
function gate(size: number): () => Promise<void> {
  let waiting = size;
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    waiting -= 1;
    if (waiting === 0) open();
    return opened;
  };
}

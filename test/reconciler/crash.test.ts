/** Crashes at every statement of a tick, restarts all at once, and one bad row among many (R1, R19, R25). */
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import type { Rooms } from '../../server/rooms.ts';
import { eachDatabase } from '../support/databases.ts';
import { faultySessions } from '../support/faulty-sessions.ts';
import { mobileconfig } from './history.ts';
import { House, TIMES } from './house.ts';
import { brokenRows } from './invariants.ts';
import { SimMac } from './sim-mac.ts';

const MACS = 3;
/** One of these is bad. */
const MANY = Number(process.env['POISONED_HOSTS'] ?? 100);

const everybody = { teamId: 1, includeMode: 'none' as const, includeLabels: [], excludeLabels: [] };

async function upload(rooms: Rooms, content: number): Promise<number> {
  const { versionId } = await rooms.profiles.upload(mobileconfig('com.example.a', 'device', content), everybody);
  return versionId;
}

/** Of this version: ops, their commands, and Macs with a waiting push. All three are as many, or there are none. */
async function carried(db: Database, versionId: number): Promise<{ ops: number; commands: number; pushes: number }> {
  const { rows } = await sql<{ ops: number; commands: number; pushes: number }>`
    select count(*)::int as ops, count(c.command_uuid)::int as commands, count(p.enrollment_id)::int as pushes
    from op o left join command c using (enrollment_id, command_uuid) left join push_outbox p using (enrollment_id)
    where o.version_id = ${versionId} and o.state = 'queued'
  `.execute(db.read);
  return rows[0] ?? { ops: 0, commands: 0, pushes: 0 };
}

/** Hosts as an enrolment leaves them, many at once. */
async function manyHosts(db: Database, count: number, topic: string): Promise<void> {
  await sql`
    with made as (
      insert into host (id, udid, serial_number, os_version, created_at, updated_at)
      select md5('host ' || n)::uuid, 'U' || n, 'S' || n, '15.1', now(), now() from generate_series(1, ${count}::int) as n
      returning id, udid
    ), enrolled as (
      insert into enrollment (enrollment_id, type, channel, host_id, state, generation, topic, push_token, push_magic,
        token_updated_at, binding, enrolled_at)
      select udid, 'Device', 'device', id, 'enrolled', 1, ${topic}, 'x', 'x', now(), 'link_only', now() from made returning id
    )
    insert into recon (enrollment_id, team_id, actual_known, osquery_at, osquery_state) select id, 1, true, '2026-03-01T12:00:00Z', 'rows' from enrolled
  `.execute(db.read);
}

eachDatabase((kind, open) => {
  test('a process that dies at any statement of a tick, or in its commit: op, command and push are there or none is', async () => {
    const { faults, wrap } = faultySessions();
    const db = await open(wrap);
    try {
      const house = await House.open(db);
      let rooms = await house.replica();
      const macs = Array.from({ length: MACS }, (_, index) => new SimMac(house, index + 1, 'none'));
      for (const mac of macs) await mac.enrol(rooms);
      await rooms.reconciler.tick();
      for (const mac of macs) while (await mac.poll(rooms, 'device', 'obeys'));

      let struck = 0;
      for (let after = 0; ; after += 1) {
        const versionId = await upload(rooms, after);
        await sql`delete from push_outbox`.execute(db.read);
        const before = faults.struck;
        faults.arm(
          after === 0
            ? { at: 'before commit' }
            : after === 1
              ? { at: 'after commit' }
              : { at: 'statement', after: after - 2, times: 3 },
        );
        await rooms.reconciler.tick().catch(() => undefined);
        faults.arm(undefined);
        const there = await carried(db, versionId);
        expect(there.commands).toBe(there.ops);
        expect(there.pushes).toBe(there.ops);
        expect(await brokenRows(db, house.fingerprintDigest)).toEqual([]);

        await rooms.reconciler.stop();
        rooms = await house.replica();
        house.forward(2 * TIMES.intervalMs);
        await rooms.reconciler.audit();
        expect(await carried(db, versionId)).toEqual({ ops: MACS, commands: MACS, pushes: MACS });
        for (const mac of macs) while (await mac.poll(rooms, 'device', 'obeys'));
        if (faults.struck === before) break;
        struck += 1;
      }
      expect(struck).toBeGreaterThan(8);
    } finally {
      await db.close();
    }
  }, 120_000);

  test('a storm of restarts: each begins with a full audit, and nobody sends anything twice', async () => {
    const db = await open();
    try {
      const house = await House.open(db);
      const first = await house.replica();
      const macs = Array.from({ length: MACS }, (_, index) => new SimMac(house, index + 1, 'none'));
      for (const mac of macs) await mac.enrol(first);
      for (let turn = 0; turn < 5; turn += 1) {
        const versionId = await upload(first, turn);
        const storm: Rooms[] = [];
        for (let index = 0; index < 6; index += 1) storm.push(await house.replica());
        await Promise.all(storm.map(({ reconciler }) => reconciler.audit()));
        // Whom two of them wanted at once is looked at a second later.
        house.forward(TIMES.intervalMs);
        await storm[0]?.reconciler.tick();
        expect(await carried(db, versionId)).toMatchObject({ ops: MACS, commands: MACS });
        expect(await brokenRows(db, house.fingerprintDigest)).toEqual([]);
      }
    } finally {
      await db.close();
    }
  });

  const poisons = [
    {
      what: 'what it is known to hold names no version',
      poison: sql`update recon set applied = '{424242}' where enrollment_id = `,
    },
    { what: 'the database refuses its rows', poison: undefined },
  ];
  test.each(poisons)(
    'one bad row among many, $what: all the others are planned in the same tick',
    async ({ poison }) => {
      const many = kind === 'pglite' ? Math.min(MANY, 1000) : MANY;
      const db = await open();
      try {
        const house = await House.open(db);
        const rooms = await house.replica();
        await manyHosts(db, many, house.topic);
        const { rows } = await sql<{ id: number }>`
        select id from enrollment order by id offset ${Math.floor(many / 2)} limit 1
      `.execute(db.read);
        const bad = rows[0]?.id ?? 0;
        if (poison === undefined)
          await sql.raw(`alter table op add constraint poison check (enrollment_id <> ${bad})`).execute(db.read);
        else await sql`${poison} ${bad}`.execute(db.read);
        await upload(rooms, 1);
        const ticked = await rooms.reconciler.tick();
        expect(ticked).toMatchObject({ commands: many - 1, failed: 1 });
        const { rows: planned } = await sql<{ n: number }>`
        select count(*)::int as n from op join command using (enrollment_id, command_uuid)
      `.execute(db.read);
        expect(planned[0]?.n).toBe(many - 1);
        const { rows: aside } = await sql`select enrollment_id, attempts from recon_queue`.execute(db.read);
        expect(aside).toContainEqual({ enrollment_id: bad, attempts: 1 });
        if (process.env['POISONED_HOSTS'] !== undefined)
          console.log(JSON.stringify({ engine: kind, hosts: many, planned: planned[0]?.n }));
      } finally {
        await db.close();
      }
    },
    60_000 + 20 * MANY,
  );
});

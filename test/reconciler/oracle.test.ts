/** The worker's commands are the literal set difference in SQL, on random fleets (design §4). */
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import type { IncludeMode } from '../../reconciler/types.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet, type Mac, ORACLE } from './fleet.ts';

const HOSTS = 24;
const LABELS = 6;
const ids = fc.subarray(Array.from({ length: LABELS }, (_, index) => index));
const profile = fc.record({
  team: fc.integer({ min: 0, max: 1 }),
  name: fc.integer({ min: 0, max: 7 }),
  includeMode: fc.constantFrom<IncludeMode>('none', 'any', 'all'),
  include: ids,
  exclude: fc.oneof({ weight: 3, arbitrary: fc.constant<number[]>([]) }, ids),
});
const fleet = fc.record({
  profiles: fc.uniqueArray(profile, { maxLength: 10, selector: (one) => `${one.team} ${one.name}` }),
  hosts: fc.array(
    fc.record({
      team: fc.integer({ min: 0, max: 1 }),
      labels: ids,
      held: fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 6 }),
    }),
    {
      minLength: HOSTS,
      maxLength: HOSTS,
    },
  ),
});

async function difference(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    ${ORACLE}, missing as (select * from ideal except select * from current), surplus as (select * from current except select * from ideal)
    select enrollment_id || ' install ' || version_id as what from missing
    union all
    select enrollment_id || ' remove slot ' || slot_id from surplus s
    where not exists (select from ideal i where i.enrollment_id = s.enrollment_id and i.slot_id = s.slot_id)
    order by 1
  `.execute(db.read);
  return rows.map((row) => row.what);
}

async function planned(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    select o.enrollment_id || case o.op when 'install' then ' install ' || o.version_id else ' remove slot ' || o.slot_id end as what
    from op o join command c on c.enrollment_id = o.enrollment_id and c.command_uuid = o.command_uuid
    where c.op_generation = o.generation and c.slot_id = o.slot_id
    order by 1
  `.execute(db.read);
  return rows.map((row) => row.what);
}

eachDatabase((_kind, open) => {
  test('ideal EXCEPT current is what the worker queues, and queues once', async () => {
    const db = await open();
    const world = new Fleet(db);
    const reconciler = world.reconciler();
    const teams = [1, await world.team('Second')];
    const labels: number[] = [];
    for (let index = 0; index < LABELS; index += 1) labels.push(await world.label(`L${index}`, 'manual'));
    const macs: Mac[] = [];
    for (let index = 0; index < HOSTS; index += 1) macs.push(await world.mac(reconciler));
    try {
      await fc.assert(
        fc.asyncProperty(fleet, async ({ profiles, hosts }) => {
          await sql`delete from command`.execute(db.read);
          await sql`delete from op`.execute(db.read);
          await sql`update profile set deleted_at = now() where deleted_at is null`.execute(db.read);
          for (const one of profiles)
            await world.upload({
              team: teams[one.team] as number,
              identifier: `com.example.${one.name}`,
              includeMode: one.includeMode,
              include: one.include.map((index) => labels[index] as number),
              exclude: one.exclude.map((index) => labels[index] as number),
            });
          const versions = await sql<{ id: number; slot_id: number }>`
            select v.id, p.slot_id from profile_version v join profile p on p.id = v.profile_id order by v.id desc limit 41
          `.execute(db.read);
          for (const [index, host] of hosts.entries()) {
            const held = new Map<number, number>();
            for (const at of host.held) {
              const version = versions.rows[at];
              if (version !== undefined) held.set(version.slot_id, version.id);
            }
            await sql`
              update recon set team_id = ${teams[host.team]}, op_count = 0, actual_known = true, osquery_at = ${world.clock.now()},
                osquery_state = 'rows', label_ids = ${sql.val(host.labels.map((at) => labels[at] as number).sort((a, b) => a - b))}::int[],
                applied = ${sql.val([...held.values()].sort((a, b) => a - b))}::int[], applied_fp = 12345
              where enrollment_id = ${macs[index]?.enrollment}
            `.execute(db.read);
          }
          await world.change(async () => undefined);
          const expected = await difference(db);
          const done = await reconciler.drain();
          expect(await planned(db)).toEqual(expected);
          expect(done.commands).toBe(expected.length);
          await world.invariants();
          await world.change(async () => undefined);
          expect((await reconciler.drain()).commands).toBe(0);
        }),
        { numRuns: 12 },
      );
    } finally {
      await db.close();
    }
  });
});

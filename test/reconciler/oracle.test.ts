/** The worker's commands are the literal set difference in SQL, on random fleets (design §4). */
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import type { IncludeMode } from '../../reconciler/types.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet, type Mac } from './fleet.ts';
import { VERDICT } from './oracle.ts';

/** Fleets per engine. */
const RUNS = Number(process.env['FLEETS'] ?? 6);
const SEED = process.env['SOAK_SEED'];
const HOSTS = 24;
/** The first three are manual, the others dynamic; the last is gone when the fleet is judged. */
const LABELS = 7;
const GONE = LABELS - 1;
const MAX_EPOCH = 5;

const ids = fc.subarray(Array.from({ length: LABELS }, (_, index) => index));
const few = fc.oneof({ weight: 3, arbitrary: fc.constant<number[]>([]) }, ids);
const os = fc.constantFrom('', '14.6', '15.1', '15.1.2', '26.0');
const bound = fc.constantFrom(undefined, undefined, '14', '15', '15.1');
const profile = fc.record({
  team: fc.nat(1),
  name: fc.nat(7),
  includeMode: fc.constantFrom<IncludeMode>('none', 'any', 'all'),
  include: ids,
  exclude: few,
  minOs: bound,
  maxOs: bound,
});
const host = fc.record({
  team: fc.nat(1),
  labels: ids,
  /** Labels of a later epoch have not been evaluated here. */
  labelEpoch: fc.nat(MAX_EPOCH),
  unknown: few,
  os,
  held: fc.array(fc.nat(40), { maxLength: 6 }),
});
const fleet = fc.record({
  profiles: fc.uniqueArray(profile, { maxLength: 10, selector: (one) => `${one.team} ${one.name}` }),
  epochs: fc.array(fc.integer({ min: 1, max: MAX_EPOCH }), { minLength: LABELS, maxLength: LABELS }),
  hosts: fc.array(host, { minLength: HOSTS, maxLength: HOSTS }),
});
type Fleets = typeof fleet extends fc.Arbitrary<infer One> ? One : never;

/** What is missing is installed; what is held without being wanted goes, save where nobody knows. */
async function difference(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    with ${VERDICT}, missing as (select * from ideal except select * from current), surplus as (select * from current except select * from ideal)
    select enrollment_id || ' install ' || version_id as what from missing
    union all
    select enrollment_id || ' remove slot ' || slot_id from surplus s
    where not exists (select from verdict v where v.enrollment_id = s.enrollment_id and v.slot_id = s.slot_id and v.wanted is not false)
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

class Fleetwide {
  readonly world: Fleet;
  readonly reconciler;
  readonly macs: Mac[] = [];
  teams: number[] = [];
  labels: number[] = [];

  constructor(db: Database) {
    this.world = new Fleet(db);
    this.reconciler = this.world.reconciler();
  }

  async start(): Promise<void> {
    this.teams = [1, await this.world.team('Second')];
    for (let index = 0; index < HOSTS; index += 1) this.macs.push(await this.world.mac(this.reconciler));
  }

  /** Rows as they would have come about; the copies in `recon` agree with their sources. */
  async become({ profiles, epochs, hosts }: Fleets): Promise<void> {
    const { db } = this.world;
    await sql`delete from command`.execute(db.read);
    await sql`delete from op`.execute(db.read);
    await sql`delete from label`.execute(db.read);
    await sql`update profile set deleted_at = now() where deleted_at is null`.execute(db.read);
    this.labels = [];
    for (const [index, epoch] of epochs.entries()) {
      const id = await this.world.label(`L${index}`, index < 3 ? 'manual' : 'dynamic');
      await sql`update label set epoch = ${index < 3 ? 0 : epoch} where id = ${id}`.execute(db.read);
      this.labels.push(id);
    }
    for (const { team, name, minOs, maxOs, ...one } of profiles)
      await this.world.upload({
        team: this.teams[team] as number,
        identifier: `com.example.${name}`,
        includeMode: one.includeMode,
        include: this.#ids(one.include),
        exclude: this.#ids(one.exclude),
        ...(minOs === undefined ? {} : { minOs }),
        ...(maxOs === undefined ? {} : { maxOs }),
      });
    const versions = await sql<{ id: number; slot_id: number }>`
      select v.id, p.slot_id from profile_version v join profile p on p.id = v.profile_id order by v.id desc limit 41
    `.execute(db.read);
    for (const [index, one] of hosts.entries()) {
      const held = new Map<number, number>();
      for (const at of one.held) {
        const version = versions.rows[at];
        if (version !== undefined) held.set(version.slot_id, version.id);
      }
      const { hostId, enrollment } = this.macs[index] as Mac;
      await sql`
        update host set team_id = ${this.teams[one.team]}, os_version = ${one.os} where id = ${hostId}
      `.execute(db.read);
      await sql`
        insert into label_member (label_id, host_id) select id, ${hostId} from unnest(${sql.val(this.#ids(one.labels))}::int[]) as id
      `.execute(db.read);
      await sql`
        insert into host_label (host_id, label_epoch, unknown_label_ids) values (${hostId}, ${one.labelEpoch}, ${sql.val(this.#unknown(one.unknown))}::int[])
        on conflict (host_id) do update set label_epoch = excluded.label_epoch, unknown_label_ids = excluded.unknown_label_ids
      `.execute(db.read);
      await sql`
        update recon set team_id = ${this.teams[one.team]}, op_count = 0, actual_known = true, osquery_at = ${this.world.clock.now()},
          osquery_state = 'rows', label_ids = ${sql.val(this.#ids(one.labels))}::int[], label_epoch = ${one.labelEpoch},
          unknown_label_ids = ${sql.val(this.#unknown(one.unknown))}::int[],
          applied = ${sql.val([...held.values()].sort((a, b) => a - b))}::int[], applied_fp = 12345
        where enrollment_id = ${enrollment}
      `.execute(db.read);
    }
    // As if it had been deleted while profiles still name it: nobody knows any more who is in it.
    await sql`delete from label where id = ${this.labels[GONE]}`.execute(db.read);
    await sql`update recon set label_ids = array_remove(label_ids, ${this.labels[GONE]}::int)`.execute(db.read);
    await this.world.change(async () => undefined);
  }

  #ids(places: readonly number[]): number[] {
    return places.map((place) => this.labels[place] as number).sort((a, b) => a - b);
  }

  /** Only a query can fail. */
  #unknown(places: readonly number[]): number[] {
    return this.#ids(places.filter((place) => place >= 3 && place !== GONE));
  }
}

eachDatabase((_kind, open) => {
  const onFleets = async (judge: (fleets: Fleetwide, rows: Fleets) => Promise<void>) => {
    const db = await open();
    try {
      const fleets = new Fleetwide(db);
      await fleets.start();
      await fc.assert(
        fc.asyncProperty(fleet, async (rows) => {
          await fleets.become(rows);
          await judge(fleets, rows);
        }),
        { numRuns: RUNS, endOnFailure: true, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
      );
    } finally {
      await db.close();
    }
  };
  const limit = 60_000 + 5000 * RUNS;

  test(
    'ideal EXCEPT current is what the worker queues, and queues once',
    () =>
      onFleets(async ({ world, reconciler }) => {
        const expected = await difference(world.db);
        const done = await reconciler.drain();
        expect(await planned(world.db)).toEqual(expected);
        expect(done.commands).toBe(expected.length);
        await world.invariants();
        await world.change(async () => undefined);
        expect((await reconciler.drain()).commands).toBe(0);
      }),
    limit,
  );

  test(
    'the audit finds exactly what was planted, repairs it, and then finds nothing',
    () =>
      onFleets(async ({ world, reconciler, macs, teams, labels }, { hosts }) => {
        await reconciler.drain();
        const planted = new Set<number>();
        for (const [index, { team, labels: members }] of hosts.entries()) {
          const { hostId, enrollment } = macs[index] as Mac;
          if (index % 6 === 0) {
            await sql`update host set team_id = ${teams[1 - team]} where id = ${hostId}`.execute(world.db.read);
          } else if (index % 6 === 1) {
            const change = members.includes(0)
              ? sql`delete from label_member where host_id = ${hostId} and label_id = ${labels[0]}`
              : sql`insert into label_member (label_id, host_id) values (${labels[0]}, ${hostId})`;
            await change.execute(world.db.read);
          } else if (index % 6 === 2) {
            await sql`update recon set applied_fp = applied_fp # 1 where enrollment_id = ${enrollment}`.execute(
              world.db.read,
            );
          } else if (index % 6 === 3) {
            const { rows } = await sql`
              delete from command where enrollment_id = ${enrollment} and slot_id is not null returning 1
            `.execute(world.db.read);
            if (rows.length === 0) continue;
          } else continue;
          planted.add(enrollment);
        }
        const { swept, repaired } = await reconciler.audit();
        expect(swept).toMatchObject({ repaired: HOSTS / 3, queued: planted.size });
        expect(repaired).toBeLessThanOrEqual(planted.size);
        // Not equal: what was on its way before and nobody knows about now goes on.
        expect(await planned(world.db)).toEqual(expect.arrayContaining(await difference(world.db)));
        expect(await reconciler.audit()).toMatchObject({ commands: 0, swept: { repaired: 0, queued: 0 } });
      }),
    limit,
  );
});

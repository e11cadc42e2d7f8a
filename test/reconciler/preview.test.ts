/** What a preview says is what really happens: the same change is rehearsed, previewed, done, and ticked. */
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { rehearse } from '../../core/rehearse.ts';
import type { Tx } from '../../core/tx.ts';
import { type Database, executorOf } from '../../db/database.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import type { PairView } from '../../reconciler/page.ts';
import type { Reconciler } from '../../reconciler/tick.ts';
import type { IncludeMode, Preview, PreviewChange } from '../../reconciler/types.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet, type Mac } from './fleet.ts';

const HOSTS = 10;
const LABELS = 4;
const some = fc.subarray(Array.from({ length: LABELS }, (_, index) => index));
const target = fc.record({
  includeMode: fc.constantFrom<IncludeMode>('none', 'any', 'all'),
  include: some,
  exclude: fc.oneof({ weight: 3, arbitrary: fc.constant<number[]>([]) }, some),
  minOs: fc.constantFrom(undefined, undefined, '15'),
});
const profile = fc.record({
  team: fc.integer({ min: 0, max: 1 }),
  name: fc.integer({ min: 0, max: 4 }),
  channel: fc.constantFrom('device' as const, 'device' as const, 'user' as const),
  target,
});
const change = fc.oneof(
  fc.record({ kind: fc.constant('upload' as const), team: fc.integer({ min: 0, max: 1 }), target }),
  fc.record({ kind: fc.constant('edit' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('retarget' as const), which: fc.nat(), target }),
  fc.record({ kind: fc.constant('remove' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('merge' as const) }),
);
const scenario = fc.record({
  profiles: fc.uniqueArray(profile, { minLength: 1, maxLength: 7, selector: (one) => `${one.team} ${one.name}` }),
  hosts: fc.array(
    fc.record({
      team: fc.integer({ min: 0, max: 1 }),
      labels: some,
      failed: fc.oneof({ weight: 2, arbitrary: fc.constant<number[]>([]) }, some),
      os: fc.constantFrom('14.6', '15.1', ''),
      answers: fc.constantFrom('all', 'some', 'none'),
    }),
    { minLength: HOSTS, maxLength: HOSTS },
  ),
  change,
});
type Scenario = typeof scenario extends fc.Arbitrary<infer Value> ? Value : never;

interface World {
  readonly db: Database;
  readonly fleet: Fleet;
  readonly reconciler: Reconciler;
  readonly teams: readonly number[];
  readonly labels: readonly number[];
  readonly macs: readonly Mac[];
}

async function makeWorld(db: Database): Promise<World> {
  const fleet = new Fleet(db);
  const reconciler = fleet.reconciler();
  const teams = [1, await fleet.team('Second')];
  const labels: number[] = [];
  for (let index = 0; index < LABELS; index += 1) labels.push(await fleet.label(`L${index}`));
  const macs: Mac[] = [];
  for (let index = 0; index < HOSTS; index += 1) {
    const mac = await fleet.mac(reconciler);
    macs.push(mac);
    if (index % 3 === 0) macs.push(await fleet.user(reconciler, mac));
  }
  return { db, fleet, reconciler, teams, labels, macs };
}

/** A fleet in the middle of its life: some have answered everything, some a part, some nothing. */
async function prepare(world: World, { profiles, hosts }: Scenario): Promise<void> {
  const { db, fleet, reconciler, teams, labels, macs } = world;
  for (const table of ['command', 'op', 'recon_queue']) await sql`delete from ${sql.table(table)}`.execute(db.read);
  await sql`update profile set deleted_at = now() where deleted_at is null`.execute(db.read);
  await sql`
    update recon set applied = '{}', applied_fp = 0, op_count = 0, actual_known = true, osquery_at = ${fleet.clock.now()}, osquery_state = 'rows'
  `.execute(db.read);
  for (const { team, name, channel, target: aim } of profiles)
    await fleet.upload({
      team: teams[team] as number,
      identifier: `com.example.${name}`,
      channel,
      ...aimOf(labels, aim),
    });
  const devices = macs.filter((mac, index) => macs.findIndex((other) => other.hostId === mac.hostId) === index);
  for (const [index, host] of hosts.entries()) {
    const mac = devices[index] as Mac;
    await fleet.moveTeam(mac, teams[host.team] as number);
    await sql`update host set os_version = ${host.os} where id = ${mac.hostId}`.execute(db.read);
    await fleet.answerLabels(mac, idsOf(labels, host.labels), idsOf(labels, host.failed));
  }
  await reconciler.drain();
  for (const [index, mac] of macs.entries()) {
    mac.holds.clear();
    const answers = hosts[index % hosts.length]?.answers;
    if (answers === 'none') continue;
    await fleet.learnVersions();
    if (answers === 'all') {
      await fleet.pollAll(reconciler, mac);
      await fleet.report(reconciler, mac);
    } else {
      const command = await fleet.fetch(mac);
      if (command === undefined) continue;
      fleet.obey(mac, command.says);
      await fleet.answer(reconciler, mac, command.uuid);
    }
  }
  await reconciler.drain();
}

function idsOf(labels: readonly number[], places: readonly number[]): number[] {
  return places.map((place) => labels[place] as number);
}

function aimOf(labels: readonly number[], { includeMode, include, exclude, minOs }: Scenario['profiles'][0]['target']) {
  return {
    includeMode,
    include: idsOf(labels, include),
    exclude: idsOf(labels, exclude),
    ...(minOs === undefined ? {} : { minOs }),
  };
}

/** The change itself, in whoever's transaction, and what a preview must be told besides the catalogue. */
async function carryOut(world: World, tx: Tx, { change: what }: Scenario): Promise<Pick<PreviewChange, 'moves'>> {
  const { fleet, teams, labels } = world;
  const executor = executorOf(tx);
  const { rows: live } = await sql<{ id: number }>`select id from profile where deleted_at is null order by id`.execute(
    executor,
  );
  const chosen = 'which' in what ? (live[what.which % live.length]?.id ?? 0) : 0;
  switch (what.kind) {
    case 'upload': {
      const aim = aimOf(labels, what.target);
      await fleet.insertProfile(tx, { team: teams[what.team] as number, identifier: 'com.example.new', ...aim });
      break;
    }
    case 'edit':
      await fleet.newVersion(tx, chosen);
      break;
    case 'retarget': {
      const aim = aimOf(labels, what.target);
      await sql`
        update profile set include_mode = ${aim.includeMode}, include_label_ids = ${sql.val(aim.include)}::int[],
          exclude_label_ids = ${sql.val(aim.exclude)}::int[], min_os = ${aim.minOs ?? null} where id = ${chosen}
      `.execute(executor);
      break;
    }
    case 'remove':
      await sql`update profile set deleted_at = now() where id = ${chosen}`.execute(executor);
      break;
    case 'merge': {
      const [first = 0, second = 0] = teams;
      await sql`update host set team_id = ${first} where team_id = ${second}`.execute(executor);
      await sql`update recon set team_id = ${first} where team_id = ${second}`.execute(executor);
      return { moves: new Map([[second, first]]) };
    }
  }
  return {};
}

async function previewOf(world: World, parts: Scenario): Promise<Preview> {
  const store = reconcileStore(world.db);
  const told = await rehearse(world.db, async (tx) => {
    const more = await carryOut(world, tx, parts);
    return { rows: await store.loadCatalogue(tx), teamIds: undefined, ...more };
  });
  return world.reconciler.preview(told);
}

interface Sent {
  readonly key: string;
  readonly uuid: string;
}

async function sends(db: Database): Promise<Sent[]> {
  const { rows } = await sql<{ key: string; uuid: string }>`
    select c.command_uuid as uuid, h.id || ' ' || s.channel || ' ' || s.identifier || ' ' || case
        when c.request_type = 'RemoveProfile' then 'remove'
        when exists (select from unnest(r.applied) a join profile_version v on v.id = a join profile p on p.id = v.profile_id
                     where p.slot_id = c.slot_id) then 'replace' else 'install' end as key
    from command c join enrollment e on e.id = c.enrollment_id join host h on h.id = e.host_id
    join recon r on r.enrollment_id = e.id join slot s on s.id = c.slot_id
  `.execute(db.read);
  return rows;
}

/** Pairs that the pages of the hosts call held back, or kept as they are by an unknown. */
async function holds({ reconciler, macs }: World): Promise<string[]> {
  const found: string[] = [];
  for (const hostId of new Set(macs.map((mac) => mac.hostId))) {
    const { profiles } = await reconciler.reads.hostProfiles(hostId);
    for (const pair of profiles.filter(isHeld)) found.push(`${hostId} ${pair.channel} ${pair.identifier} hold`);
  }
  return found;
}

function isHeld({ state, evidence }: PairView): boolean {
  const open = evidence.some(
    ({ about, says }) => about === 'gate' && /failed on this host|not been evaluated|has not reported/.test(says),
  );
  return state === 'waiting' || open;
}

eachDatabase((_kind, open) => {
  test('a preview is what the tick does once the change is done', async () => {
    const db = await open();
    try {
      const world = await makeWorld(db);
      await fc.assert(
        fc.asyncProperty(scenario, async (parts) => {
          await prepare(world, parts);
          const before = new Set((await sends(db)).map((one) => one.uuid));
          const held = new Set(await holds(world));
          const preview = await previewOf(world, parts);
          expect((await sends(db)).filter((one) => !before.has(one.uuid))).toEqual([]);

          await world.fleet.change((tx) => carryOut(world, tx, parts));
          await world.reconciler.drain();
          const made = (await sends(db)).filter((one) => !before.has(one.uuid)).map((one) => one.key);
          const newlyHeld = (await holds(world)).filter((key) => !held.has(key));
          const lines = preview.lines.map((one) => `${one.hostId} ${one.channel} ${one.identifier} ${one.action}`);
          expect(lines.filter((line) => !line.endsWith('hold')).sort()).toEqual(made.sort());
          expect(lines.filter((line) => line.endsWith('hold')).sort()).toEqual(newlyHeld.sort());
          const { install, replace, remove, hold } = preview.counts;
          expect(install + replace + remove + hold).toBe(lines.length);
          expect(preview.truncated).toBe(false);
        }),
        { numRuns: 15 },
      );
    } finally {
      await db.close();
    }
  });
});

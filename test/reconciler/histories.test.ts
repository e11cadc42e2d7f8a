/** Whatever happened before: once faults stop, three ticks bring every Mac to what the SQL definition says. */
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { Channel } from '../../core/enrollment.ts';
import type { Database } from '../../db/database.ts';
import type { IncludeMode } from '../../reconciler/types.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet, type Mac, ORACLE } from './fleet.ts';
import { witness } from './world.ts';

const MACS = 3;
const LABELS = 3;
const DAY = 24 * 3_600_000;
const SETTINGS = { verifyGraceMs: 1000, verifyBackoffMs: 1000, deliveryBackoffMs: 1000 };
/** Histories per engine; `HISTORIES=5000 npx vitest run test/reconciler/histories.test.ts` for more. */
const RUNS = Number(process.env['HISTORIES'] ?? 12);

const mac = fc.nat(MACS - 1);
const labels = fc.subarray([0, 1, 2]);
const BEHAVIOURS = [
  'obeys',
  'obeys',
  'ack lost',
  'lies',
  'fails',
  'is busy',
  'answers twice',
  'removes instead',
] as const;

const event = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('upload' as const),
      name: fc.nat(3),
      channel: fc.constantFrom<Channel>('device', 'device', 'user'),
      mode: fc.constantFrom<IncludeMode>('none', 'any', 'all'),
      include: labels,
      exclude: fc.constantFrom<number[]>([], [], [2]),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('edit' as const), name: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), name: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('labels' as const),
      mac,
      members: labels,
      failed: fc.oneof(fc.constant<number[]>([]), labels),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('move' as const), mac, team: fc.nat(1) }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('poll' as const), mac, behaviour: fc.constantFrom(...BEHAVIOURS) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('report' as const),
      mac,
      source: fc.constantFrom('osquery' as const, 'profile_list' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('late answer' as const), mac, which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('removed by hand' as const), mac, name: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('put back' as const), mac, which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('re-enrolled' as const), mac }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('tick' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(100, 2000, 200_000, DAY) }),
  },
);
type Event = typeof event extends fc.Arbitrary<infer One> ? One : never;

class History {
  readonly fleet: Fleet;
  readonly teams: number[];
  readonly labels: number[];
  reconciler;
  readonly macs: Mac[] = [];
  readonly memberOf = new Map<Mac, number[]>();
  readonly profiles = new Map<number, number>();
  readonly answered = new Map<Mac, string[]>();

  constructor(fleet: Fleet, teams: number[], ids: number[]) {
    this.fleet = fleet;
    this.teams = teams;
    this.labels = ids;
    this.reconciler = fleet.reconciler(SETTINGS);
  }

  async happen(one: Event): Promise<void> {
    const { fleet, reconciler } = this;
    const concerned = 'mac' in one ? (this.macs[one.mac] as Mac) : undefined;
    if (concerned !== undefined) return this.happenTo(concerned, one);
    switch (one.kind) {
      case 'upload':
        if (this.profiles.has(one.name)) return;
        this.profiles.set(
          one.name,
          await fleet.upload({
            team: this.teams[one.name % 2] as number,
            identifier: `com.example.${one.name >> 1}`,
            channel: one.channel,
            includeMode: one.mode,
            include: one.include.map((at) => this.labels[at] as number),
            exclude: one.exclude.map((at) => this.labels[at] as number),
          }),
        );
        return;
      case 'edit': {
        const id = this.profiles.get(one.name);
        if (id !== undefined) await fleet.edit(id);
        return;
      }
      case 'delete': {
        const id = this.profiles.get(one.name);
        if (id !== undefined) await fleet.remove(id);
        this.profiles.delete(one.name);
        return;
      }
      case 'tick':
        await reconciler.tick();
        await fleet.invariants();
        return;
      case 'time':
        fleet.clock.forward(one.ms);
        return;
    }
  }

  async happenTo(concerned: Mac, one: Event): Promise<void> {
    const { fleet, reconciler } = this;
    switch (one.kind) {
      case 'labels': {
        // Labels belong to the host, and the user's channel is of the first.
        if (concerned === this.macs.at(-1)) return;
        const members = one.members.map((at) => this.labels[at] as number);
        this.memberOf.set(concerned, members);
        return fleet.answerLabels(
          concerned,
          members,
          one.failed.map((at) => this.labels[at] as number),
        );
      }
      case 'move':
        if (concerned === this.macs.at(-1)) return;
        return fleet.moveTeam(concerned, this.teams[one.team] as number);
      case 'poll':
        return this.poll(concerned, one.behaviour);
      case 'report':
        return fleet.report(reconciler, concerned, one.source);
      case 'late answer': {
        const uuid = this.answered.get(concerned)?.at(one.which);
        if (uuid !== undefined) await fleet.answer(reconciler, concerned, uuid);
        return;
      }
      case 'removed by hand':
        concerned.holds.delete(`com.example.${one.name}`);
        return;
      case 'put back': {
        // Of its own channel: on the other it would be somebody else's profile, shown and left alone.
        const channel = concerned === this.macs.at(-1) ? 'user' : 'device';
        const own = [...fleet.versions].filter(([, version]) => version.channel === channel);
        const [id, version] = own[one.which] ?? [];
        if (id !== undefined && version !== undefined) concerned.holds.set(version.identifier, witness(id));
        return;
      }
      case 're-enrolled':
        // Labels count as not evaluated until the host answers again. A user channel begins with its device.
        return concerned === this.macs.at(-1) ? undefined : fleet.reenrol(reconciler, concerned);
      default:
        return;
    }
  }

  async poll(one: Mac, behaviour: (typeof BEHAVIOURS)[number]): Promise<void> {
    const { fleet, reconciler } = this;
    await fleet.learnVersions();
    const command = await fleet.fetch(one);
    if (command === undefined || behaviour === 'is busy') return;
    if (behaviour === 'fails') {
      const locked = [{ domain: 'MCInstallationErrorDomain', code: 4009, description: 'locked' }];
      return fleet.answer(reconciler, one, command.uuid, 'Error', locked);
    }
    if (behaviour === 'removes instead') one.holds.delete(command.says.split(' ')[1] ?? '');
    else if (behaviour !== 'lies') fleet.obey(one, command.says);
    if (behaviour === 'ack lost') return;
    await fleet.answer(reconciler, one, command.uuid);
    if (behaviour === 'answers twice') await fleet.answer(reconciler, one, command.uuid);
    this.answered.set(one, [...(this.answered.get(one) ?? []), command.uuid]);
  }

  /** Everybody behaves from now on: one tick, all commands obeyed, one report each. */
  async goodRound(): Promise<void> {
    const { fleet, reconciler } = this;
    await reconciler.tick();
    await fleet.invariants();
    for (const one of this.macs) await fleet.pollAll(reconciler, one);
    fleet.clock.forward(SETTINGS.verifyGraceMs);
    for (const one of this.macs) await fleet.report(reconciler, one);
  }

  /** What each Mac should hold by the definition in SQL. */
  async ideal(): Promise<Map<number, Map<string, string>>> {
    const { rows } = await sql<{ enrollment_id: number; identifier: string; version_id: number }>`
      ${ORACLE} select i.enrollment_id, s.identifier, i.version_id from ideal i join slot s on s.id = i.slot_id order by 1, 2
    `.execute(this.fleet.db.read);
    const all = new Map(this.macs.map((one) => [one.enrollment, new Map<string, string>()]));
    for (const row of rows) all.get(row.enrollment_id)?.set(row.identifier, witness(row.version_id).toUpperCase());
    return all;
  }

  /** Ops that the device's own repeated word has ended: they wait for another content. */
  async givenUp(): Promise<{ enrollment_id: number; profile_id: number }[]> {
    const { rows } = await sql<{ enrollment_id: number; profile_id: number }>`
      select o.enrollment_id, v.profile_id from op o join profile_version v on v.id = o.version_id
      where o.state = 'failed' and o.next_at is null
    `.execute(this.fleet.db.read);
    return rows;
  }
}

async function empty(db: Database): Promise<void> {
  await sql`truncate host, enrollment, recon, recon_queue, op, command, command_history, push_outbox, slot, profile, profile_version, label, label_member cascade`.execute(
    db.read,
  );
}

async function live(db: Database, events: readonly Event[]): Promise<void> {
  await empty(db);
  const fleet = new Fleet(db);
  const second = await fleet.team(`Second ${fleet.ids.uuid()}`);
  const ids: number[] = [];
  for (let index = 0; index < LABELS; index += 1) ids.push(await fleet.label(`L${index}`));
  const history = new History(fleet, [1, second], ids);
  for (let index = 1; index < MACS; index += 1) history.macs.push(await fleet.mac(history.reconciler));
  // The last one is the user channel of the first.
  history.macs.push(await fleet.user(history.reconciler, history.macs[0] as Mac));
  for (const one of events) await history.happen(one);

  fleet.clock.forward(2 * DAY);
  for (const one of history.macs.slice(0, -1)) await fleet.answerLabels(one, history.memberOf.get(one) ?? []);
  for (let round = 0; round < 3; round += 1) await history.goodRound();
  const stuck = await history.givenUp();
  if (stuck.length > 0) {
    for (const id of new Set(stuck.map((one) => one.profile_id))) await fleet.edit(id);
    for (let round = 0; round < 3; round += 1) await history.goodRound();
  }

  const ideal = await history.ideal();
  for (const one of history.macs) {
    expect(new Map([...one.holds].sort()), `Mac ${one.enrollment}`).toEqual(ideal.get(one.enrollment));
    const { profiles } = await history.reconciler.reads.hostProfiles(one.hostId);
    const own = profiles.filter((pair) => (pair.channel === 'user') === (one === history.macs.at(-1)));
    const states = own.map((pair) => `${pair.identifier} ${pair.state} ${pair.waiting ?? ''}`.trim());
    expect(states.filter((state) => !/ (verified|not_in_scope|waiting no_user_channel)$/.test(state))).toEqual([]);
    expect(states.filter((state) => state.endsWith(' verified')).length).toBe(one.holds.size);
  }
  const again = await history.reconciler.audit();
  expect(again).toMatchObject({ commands: 0, failed: 0, swept: { repaired: 0, queued: 0 } });
  expect(await fleet.liveCommands()).toEqual([]);
}

eachDatabase((_kind, open) => {
  test(
    'every history converges, and the tick after it is empty',
    async () => {
      const db = await open();
      try {
        await fc.assert(
          fc.asyncProperty(fc.array(event, { minLength: 10, maxLength: 60, size: 'max' }), (events) =>
            live(db, events),
          ),
          { numRuns: RUNS, endOnFailure: process.env['SHRINK'] === undefined },
        );
      } finally {
        await db.close();
      }
    },
    60_000 + 2000 * RUNS,
  );
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Catalogue } from '../../reconciler/catalogue.ts';
import { SUPERSEDED, UNPROVEN } from '../../reconciler/decide.ts';
import { judge } from '../../reconciler/gate.ts';
import { pairsOf } from '../../reconciler/pairs.ts';
import { type HostPlan, planHost } from '../../reconciler/plan.ts';
import { stateOf } from '../../reconciler/state.ts';
import type { CatalogueProfile, HostFacts, LiveCommand, Op, OpChange } from '../../reconciler/types.ts';
import { isSettled } from '../../reconciler/wish.ts';
import { catalogueOf, command, facts, label, later, MINUTE, NOW, op, profile, row, settings, slot } from './world.ts';

const plan = (catalogue: Catalogue, host: HostFacts) => planHost(catalogue, host, NOW, settings);
const only = (result: HostPlan | undefined): OpChange | undefined => {
  expect(result?.changes.length ?? 0).toBeLessThanOrEqual(1);
  return result?.changes[0];
};

/** What the store makes of a plan. */
function carryOut(host: HostFacts, done: HostPlan): HostFacts {
  const ops = new Map(host.ops.map((one) => [one.slotId, one]));
  const commands = new Map(host.commands);
  for (const change of done.changes) {
    if (change.cancel !== undefined) commands.delete(change.cancel);
    if (change.kind === 'drop') ops.delete(change.slotId);
    if (change.kind === 'set') ops.set(change.op.slotId, change.op);
    if (change.kind === 'send') {
      const uuid = `new-${change.op.generation}`;
      commands.set(uuid, command(uuid));
      ops.set(change.op.slotId, { ...change.op, commandUuid: uuid });
    }
  }
  return {
    row: { ...host.row, rev: done.rev },
    ops: [...ops.values()],
    commands,
    profileListLive: host.profileListLive || done.profileList,
    heldElsewhere: host.heldElsewhere,
  };
}

describe('without an op', () => {
  const wanted = catalogueOf({ profiles: [profile(1)] });
  const unwanted = catalogueOf();

  test('wanted and absent: install', () => {
    expect(only(plan(wanted, facts(row(wanted))))).toMatchObject({
      kind: 'send',
      op: { op: 'install', versionId: 10, generation: 101 },
    });
  });
  test('wanted and there: nothing', () => {
    expect(plan(wanted, facts(row(wanted, { applied: [10] })))).toBeUndefined();
  });
  test('another version is there: one install, no removal', () => {
    expect(only(plan(wanted, facts(row(wanted, { applied: [11] }))))).toMatchObject({
      kind: 'send',
      op: { op: 'install', versionId: 10 },
    });
  });
  test('not wanted and there: removal', () => {
    expect(only(plan(unwanted, facts(row(unwanted, { applied: [11] }))))).toMatchObject({
      kind: 'send',
      op: { op: 'remove', versionId: 11 },
    });
  });
  test('a declaration is not our business', () => {
    const ddm = catalogueOf({ slots: [slot(1, { kind: 'ddm' })], profiles: [profile(1)] });
    expect(plan(ddm, facts(row(ddm)))).toBeUndefined();
  });
  test('a profile for users does not concern the device channel', () => {
    const user = catalogueOf({ slots: [slot(1, { channel: 'user' })], profiles: [profile(1)] });
    expect(plan(user, facts(row(user)))).toBeUndefined();
    expect(only(plan(user, facts(row(user, { channel: 'user' }))))).toMatchObject({ op: { op: 'install' } });
  });
  test('another team, the same version: no command at all', () => {
    const both = catalogueOf({ profiles: [profile(1), profile(1, { id: 9, teamId: 2 })] });
    expect(plan(both, facts(row(both, { applied: [10], teamId: 2 })))).toBeUndefined();
  });
});

describe('unknown keeps the present state, in every mode', () => {
  const modes: Partial<CatalogueProfile>[] = [
    { includeMode: 'any', includeLabelIds: [1] },
    { includeMode: 'all', includeLabelIds: [1] },
    { excludeLabelIds: [1] },
  ];
  const catalogues = modes.map((mode) => catalogueOf({ profiles: [profile(1, mode)], labels: [label(1, 9)] }));
  test.each(catalogues)('mode %#', (catalogue) => {
    expect(plan(catalogue, facts(row(catalogue)))).toBeUndefined();
    expect(plan(catalogue, facts(row(catalogue, { applied: [10] })))).toBeUndefined();
    expect(plan(catalogue, facts(row(catalogue, { applied: [11] })))).toBeUndefined();
  });
  test('a queued install stays, a removal nobody has seen is taken back', () => {
    const catalogue = catalogues[0] as Catalogue;
    expect(plan(catalogue, facts(row(catalogue), [op(1)], [command('command-1')]))).toBeUndefined();
    const removing = facts(row(catalogue, { applied: [10] }), [op(1, { op: 'remove' })], [command('command-1')]);
    expect(only(plan(catalogue, removing))).toEqual({ kind: 'drop', slotId: 1, cancel: 'command-1' });
    const seen = facts(
      row(catalogue, { applied: [10] }),
      [op(1, { op: 'remove' })],
      [command('command-1', { deliveries: 1 })],
    );
    expect(plan(catalogue, seen)).toBeUndefined();
  });
  test('a due retry is put off, not made', () => {
    const catalogue = catalogues[0] as Catalogue;
    const due = facts(row(catalogue), [op(1, { state: 'failed', nextAt: later(-1) })]);
    const change = only(plan(catalogue, due));
    expect(change).toMatchObject({ kind: 'set', op: { state: 'failed' } });
    expect(change?.kind === 'set' && change.op.nextAt && change.op.nextAt > NOW).toBe(true);
  });
});

describe('with an op, still wanted', () => {
  const catalogue = catalogueOf({ profiles: [profile(1)] });
  test('a live command is left alone, delivered or not', () => {
    for (const deliveries of [0, 3])
      expect(plan(catalogue, facts(row(catalogue), [op(1)], [command('command-1', { deliveries })]))).toBeUndefined();
  });
  test('a command that vanished is made again', () => {
    expect(only(plan(catalogue, facts(row(catalogue), [op(1)])))).toMatchObject({
      kind: 'send',
      op: { generation: 101 },
    });
  });
  test('a command still to be made waits for its time and keeps its counters', () => {
    const again = op(1, { commandUuid: undefined, verifyMisses: 1, nextAt: later(1) });
    expect(plan(catalogue, facts(row(catalogue), [again]))).toBeUndefined();
    const due = facts(row(catalogue), [{ ...again, nextAt: later(0) }]);
    expect(only(plan(catalogue, due))).toMatchObject({ kind: 'send', op: { verifyMisses: 1, nextAt: undefined } });
  });
  test('failed: retried when due, never when there is no time', () => {
    const failed = op(1, { state: 'failed', deliveryAttempts: 2, reason: 'device_locked' });
    expect(plan(catalogue, facts(row(catalogue), [failed]))).toBeUndefined();
    expect(plan(catalogue, facts(row(catalogue), [{ ...failed, nextAt: later(1) }]))).toBeUndefined();
    const due = facts(row(catalogue), [{ ...failed, nextAt: later(-1) }]);
    expect(only(plan(catalogue, due))).toMatchObject({ kind: 'send', op: { state: 'queued', deliveryAttempts: 2 } });
  });
  test('acknowledged: nothing until its time, then ProfileList, once', () => {
    const acked = op(1, { state: 'acked', ackedAt: later(-2 * MINUTE), nextAt: later(1) });
    expect(plan(catalogue, facts(row(catalogue, { applied: [10] }), [acked]))).toBeUndefined();
    const due = facts(row(catalogue, { applied: [10] }), [{ ...acked, nextAt: later(0) }]);
    const asked = plan(catalogue, due);
    expect(asked).toMatchObject({ profileList: true, changes: [{ kind: 'set', op: { state: 'acked' } }] });
    expect(plan(catalogue, carryOut(due, asked as HostPlan))).toBeUndefined();
  });
});

describe('with an op, another version wanted', () => {
  const catalogue = catalogueOf({ profiles: [profile(1, { versionId: 11 })] });
  test.each([
    ['queued', 0, ''],
    ['queued', 1, SUPERSEDED],
    ['acked', 1, ''],
    ['failed', 1, ''],
  ] as const)('%s, handed out %i times: a new intent', (state, deliveries, reason) => {
    const old = op(1, { state, deliveryAttempts: 2, verifyMisses: 1, nextAt: later(MINUTE) });
    const commands = state === 'queued' ? [command('command-1', { deliveries })] : [];
    expect(only(plan(catalogue, facts(row(catalogue), [old], commands)))).toMatchObject({
      kind: 'send',
      cancel: state === 'queued' ? 'command-1' : undefined,
      op: { versionId: 11, generation: 101, deliveryAttempts: 0, verifyMisses: 0, reason },
    });
  });
});

describe('with an op, no longer wanted', () => {
  const catalogue = catalogueOf();
  test.each([
    ['queued, never seen', op(1), [command('command-1')], [], { kind: 'drop', cancel: 'command-1' }],
    ['queued, handed out', op(1), [command('command-1', { deliveries: 1 })], [], { kind: 'send', cancel: 'command-1' }],
    ['queued, its command vanished', op(1), [], [], { kind: 'send' }],
    ['queued over an older version', op(1), [command('command-1')], [11], { kind: 'send', op: { versionId: 11 } }],
    [
      'queued, replaced one that was handed out',
      op(1, { reason: SUPERSEDED }),
      [command('command-1')],
      [],
      { kind: 'send' },
    ],
    ['acknowledged', op(1, { state: 'acked' }), [], [10], { kind: 'send' }],
    ['failed', op(1, { state: 'failed' }), [], [], { kind: 'drop' }],
    ['failed over an older version', op(1, { state: 'failed' }), [], [11], { kind: 'send', op: { versionId: 11 } }],
  ] as const)('install %s', (_, old, commands, applied, change) => {
    const result = only(plan(catalogue, facts(row(catalogue, { applied: [...applied] }), [old], commands)));
    expect(result).toMatchObject(change);
    if (result?.kind === 'send') expect(result.op.op).toBe('remove');
  });
  test('a removal under way is left alone', () => {
    expect(
      plan(catalogue, facts(row(catalogue, { applied: [10] }), [op(1, { op: 'remove' })], [command('command-1')])),
    ).toBeUndefined();
  });
});

describe('a removal, wanted again', () => {
  const catalogue = catalogueOf({ profiles: [profile(1)] });
  test('never seen: taken back, and the pair is again what it was', () => {
    const host = facts(row(catalogue, { applied: [10] }), [op(1, { op: 'remove' })], [command('command-1')]);
    const taken = plan(catalogue, host);
    expect(only(taken)).toEqual({ kind: 'drop', slotId: 1, cancel: 'command-1' });
    const after = carryOut(host, taken as HostPlan);
    expect([...after.commands, ...after.ops, ...after.row.applied]).toEqual([10]);
    expect([...pairsOf(catalogue, after)].map((pair) => stateOf(pair).state)).toEqual(['verified']);
  });
  test.each([
    ['in place of an install that nobody had confirmed', { state: 'acked' as const }, []],
    ['in place of an install that was handed out', {}, [command('command-1', { deliveries: 1 })]],
  ])('never seen, %s: taken back, and its content is to be proven', (_, more, commands) => {
    const unwanted = catalogueOf();
    const host = facts(row(unwanted, { applied: [10] }), [op(1, more)], commands);
    const removing = carryOut(host, plan(unwanted, host) as HostPlan);
    expect(removing.ops).toMatchObject([{ op: 'remove', reason: UNPROVEN }]);
    expect(only(plan(catalogue, removing))).toMatchObject({
      kind: 'set',
      cancel: 'new-101',
      op: { op: 'install', state: 'acked', versionId: 10, ackedAt: undefined },
    });
  });
  test.each([
    ['handed out', { op: 'remove' as const }, [command('command-1', { deliveries: 1 })], [10]],
    ['never seen, another version', { op: 'remove' as const }, [command('command-1')], [11]],
    ['acknowledged', { op: 'remove' as const, state: 'acked' as const }, [], []],
    ['failed', { op: 'remove' as const, state: 'failed' as const }, [], [10]],
  ])('%s: installed again', (_, more, commands, applied) => {
    const host = facts(row(catalogue, { applied }), [op(1, more)], commands);
    expect(only(plan(catalogue, host))).toMatchObject({ kind: 'send', op: { op: 'install', versionId: 10 } });
  });
});

describe('a new enrolment generation', () => {
  const catalogue = catalogueOf({ profiles: [profile(1)] });
  test('asks what is there and installs at once', () => {
    const result = plan(catalogue, facts(row(catalogue, { actualKnown: false })));
    expect(result).toMatchObject({ profileList: true, changes: [{ kind: 'send', op: { op: 'install' } }] });
  });
  test('an op of an older one does not count', () => {
    const old = op(1, { enrollmentGeneration: 1, state: 'acked' });
    expect(only(plan(catalogue, facts(row(catalogue, { enrollmentGeneration: 2 }), [old])))).toMatchObject({
      kind: 'send',
      op: { enrollmentGeneration: 2, state: 'queued' },
    });
  });
});

test('a bounded host gets the rest in its next evaluation', () => {
  const slots = Array.from({ length: 7 }, (_, index) => slot(index + 1));
  const catalogue = catalogueOf({ slots, profiles: slots.map(({ id }) => profile(id)) });
  let host = facts(row(catalogue));
  const sizes: number[] = [];
  for (let turn = 0; turn < 4; turn += 1) {
    const result = planHost(catalogue, host, NOW, { ...settings, maxSendsPerHost: 3 });
    sizes.push(result?.changes.length ?? 0);
    if (result !== undefined) host = carryOut(host, result);
    expect(result?.more ?? false).toBe(turn < 2);
  }
  expect(sizes).toEqual([3, 3, 1, 0]);
});

/** Six slots, three versions each; labels 1 holds, 2 does not, 3 is unknown. */
const SLOTS = Array.from({ length: 6 }, (_, index) => slot(index + 1));
const LABELS = [label(1), label(2), label(3, 9)];
const gate = fc.constantFrom<Partial<CatalogueProfile>>(
  {},
  { includeMode: 'any', includeLabelIds: [1] },
  { includeMode: 'any', includeLabelIds: [2] },
  { includeMode: 'any', includeLabelIds: [3] },
  { includeMode: 'all', includeLabelIds: [1, 3] },
  { excludeLabelIds: [1] },
  { excludeLabelIds: [3] },
  { minOs: '16' },
);
const anyOp = fc.record({
  op: fc.constantFrom('install' as const, 'remove' as const),
  version: fc.integer({ min: 0, max: 2 }),
  state: fc.constantFrom('queued' as const, 'acked' as const, 'failed' as const),
  reason: fc.constantFrom('', SUPERSEDED, UNPROVEN),
  due: fc.constantFrom(undefined, -1, 1),
  command: fc.constantFrom('none', 'vanished', 'unseen', 'seen'),
  generation: fc.constantFrom(1, 1, 1, 0),
});
const world = fc.record({
  wanted: fc.array(fc.option(fc.tuple(gate, fc.integer({ min: 0, max: 2 })), { nil: undefined }), {
    minLength: 6,
    maxLength: 6,
  }),
  held: fc.array(fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }), { minLength: 6, maxLength: 6 }),
  ops: fc.array(fc.option(anyOp, { nil: undefined }), { minLength: 6, maxLength: 6 }),
  actualKnown: fc.boolean(),
});

function build({ wanted, held, ops, actualKnown }: typeof world extends fc.Arbitrary<infer World> ? World : never) {
  const profiles = wanted.flatMap((one, index) =>
    one === undefined ? [] : [profile(index + 1, { ...one[0], versionId: (index + 1) * 10 + one[1] })],
  );
  const catalogue = catalogueOf({ slots: SLOTS, profiles, labels: LABELS });
  const applied = held.flatMap((one, index) => (one === undefined ? [] : [(index + 1) * 10 + one]));
  const commands: LiveCommand[] = [];
  const made = ops.flatMap((one, index): Op[] => {
    if (one === undefined) return [];
    const uuid = `command-${index + 1}`;
    if (one.state === 'queued' && (one.command === 'unseen' || one.command === 'seen'))
      commands.push(command(uuid, { deliveries: one.command === 'seen' ? 1 : 0 }));
    return [
      op(index + 1, {
        op: one.op,
        versionId: (index + 1) * 10 + one.version,
        state: one.state,
        reason: one.reason,
        nextAt: one.due === undefined ? undefined : later(one.due),
        commandUuid: one.command === 'none' ? undefined : uuid,
        enrollmentGeneration: one.generation,
        generation: index + 1,
      }),
    ];
  });
  const recon = row(catalogue, { applied, labelIds: [1], labelEpoch: 5, actualKnown });
  return { catalogue, host: facts(recon, made, commands) };
}

describe('properties', () => {
  test('the plan of its own result is empty, and nothing stays due', () => {
    fc.assert(
      fc.property(world, (parts) => {
        const { catalogue, host } = build(parts);
        const result = plan(catalogue, host);
        if (result === undefined) return;
        const after = carryOut(host, result);
        expect(plan(catalogue, after)).toBeUndefined();
        expect(after.ops.filter((one) => one.nextAt !== undefined && one.nextAt <= NOW)).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test('at most one change per slot, every command a generation of its own, every command lives at most once per slot', () => {
    fc.assert(
      fc.property(world, (parts) => {
        const { catalogue, host } = build(parts);
        const result = plan(catalogue, host);
        if (result === undefined) return;
        const slots = result.changes.map((one) => (one.kind === 'drop' ? one.slotId : one.op.slotId));
        expect(new Set(slots).size).toBe(slots.length);
        const generations = result.changes.flatMap((one) => (one.kind === 'send' ? [one.op.generation] : []));
        expect(new Set(generations).size).toBe(generations.length);
        expect(generations.every((generation) => generation > host.row.rev && generation <= result.rev)).toBe(true);
        const after = carryOut(host, result);
        const alive = new Set(after.ops.flatMap((one) => (one.state === 'queued' ? [one.commandUuid] : [])));
        expect([...after.commands.keys()].filter((uuid) => !alive.has(uuid))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test('the order of inputs is irrelevant', () => {
    fc.assert(
      fc.property(world, (parts) => {
        const { catalogue, host } = build(parts);
        const turned = catalogueOf({
          slots: [...SLOTS].reverse(),
          profiles: [...catalogue.profiles].reverse(),
          labels: [...LABELS].reverse(),
        });
        const other = facts(host.row, [...host.ops].reverse(), [...host.commands.values()].reverse());
        expect(plan(turned, other)).toEqual(plan(catalogue, host));
      }),
      { numRuns: 500 },
    );
  });

  test('without ops it is the set difference of wanted and applied', () => {
    fc.assert(
      fc.property(world, (parts) => {
        const { catalogue, host } = build({ ...parts, ops: [], actualKnown: true });
        const wanted = new Map<number, number>();
        for (const one of catalogue.profiles) {
          const { value } = judge(one, host.row, catalogue.labels);
          const there = host.row.applied.find((id) => Math.floor(id / 10) === one.slotId);
          if (value === 'yes') wanted.set(one.slotId, one.versionId);
          if (value === 'unknown' && there !== undefined) wanted.set(one.slotId, there);
        }
        const install = [...wanted.values()].filter((id) => !host.row.applied.includes(id));
        const remove = host.row.applied.filter((id) => !wanted.has(Math.floor(id / 10)));
        const sent = (plan(catalogue, host)?.changes ?? []).flatMap((one) => (one.kind === 'send' ? [one.op] : []));
        const sorted = (ids: number[]) => ids.sort((a, b) => a - b);
        expect(sorted(sent.flatMap((one) => (one.op === 'install' ? [one.versionId] : [])))).toEqual(sorted(install));
        expect(sorted(sent.flatMap((one) => (one.op === 'remove' ? [one.versionId] : [])))).toEqual(sorted(remove));
      }),
      { numRuns: 500 },
    );
  });

  test('the fingerprint shortcut never hides a plan', () => {
    fc.assert(
      fc.property(world, fc.boolean(), (parts, holdsWhatItShould) => {
        const { catalogue, host: built } = build({ ...parts, actualKnown: true });
        const yes = (one: CatalogueProfile) => judge(one, built.row, catalogue.labels).value === 'yes';
        const wanted = catalogue.profilesOf(1, 'device').filter(yes);
        const applied = wanted.map((one) => one.versionId);
        const host = holdsWhatItShould ? { ...built, row: row(catalogue, { ...built.row, applied }) } : built;
        if (!isSettled(catalogue, host)) return;
        // A wrong sum switches the shortcut off: the whole evaluation must find nothing either.
        const doubtful = { ...host, row: { ...host.row, fingerprint: { high: 1, low: 1 } } };
        expect(plan(catalogue, doubtful)).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });
});

import { describe, expect, test } from 'vitest';
import type { Observation, ObservedProfile } from '../../core/effects.ts';
import { RESERVED_IDENTIFIER_PREFIX } from '../../profiles/payload-rules.ts';
import { observe } from '../../reconciler/observe.ts';
import type { FactsChange, Op, ReconRow } from '../../reconciler/types.ts';
import {
  catalogueOf,
  label,
  later,
  MINUTE,
  NOW,
  observed,
  op,
  profile,
  row,
  settings,
  slot,
  version,
} from './world.ts';

const catalogue = catalogueOf({ profiles: [profile(1)] });
/** Something is always there, so that an absent profile is a report of absence and not an empty one. */
const enrollment: ObservedProfile = { ...observed(9, 90), identifier: `${RESERVED_IDENTIFIER_PREFIX}enrollment` };
const rows = (...profiles: ObservedProfile[]): Observation => ({ state: 'rows', profiles: [enrollment, ...profiles] });

const SEEN: Record<string, ObservedProfile[]> = {
  wanted: [observed(1, 10)],
  older: [observed(1, 11)],
  foreign: [observed(1, 999)],
  absent: [],
};
const AFTER_GRACE = later(-settings.verifyGraceMs);

function look(existing: Op | undefined, seen: string, more: Partial<ReconRow> = {}, known = catalogue): FactsChange {
  const ops = existing === undefined ? [] : [existing];
  const change = observe(
    known,
    row(known, more),
    ops,
    rows(...(SEEN[seen] as ObservedProfile[])),
    'osquery',
    NOW,
    settings,
  );
  if (change === undefined) throw new Error('the report said nothing');
  return change;
}

/** `what happens to the op [applied]`, `!` where the next plan is asked for. */
function cell(change: FactsChange): string {
  const [only] = change.changes;
  expect(change.changes.length).toBeLessThanOrEqual(1);
  const what =
    only === undefined
      ? 'kept'
      : only.kind === 'drop'
        ? only.cancel === undefined
          ? 'settled'
          : 'healed'
        : only.op.state === 'queued' && only.op.commandUuid === undefined
          ? `again ${only.op.verifyMisses}`
          : `${only.op.state} noted`;
  return `${what} [${change.applied.join()}]${change.dirty ? '!' : ''}`;
}

describe('an install of version 10 over version 12', () => {
  const queued = op(1);
  const acked = op(1, { state: 'acked', ackedAt: AFTER_GRACE });
  const fresh = op(1, { state: 'acked', ackedAt: later(-settings.verifyGraceMs + 1) });
  const failed = op(1, { state: 'failed', reason: 'device_locked' });
  const table: [string, Op, number[], Record<string, string>][] = [
    [
      'queued',
      queued,
      [12],
      { wanted: 'healed [10]!', older: 'queued noted [11]!', foreign: 'queued noted []!', absent: 'kept []!' },
    ],
    [
      'acked',
      acked,
      [10],
      { wanted: 'settled [10]', older: 'again 1 [11]!', foreign: 'again 1 []!', absent: 'again 1 []!' },
    ],
    [
      'acked, in grace',
      fresh,
      [10],
      { wanted: 'settled [10]', older: 'kept [10]', foreign: 'kept [10]', absent: 'kept [10]' },
    ],
    [
      'failed',
      failed,
      [12],
      { wanted: 'settled [10]!', older: 'failed noted [11]!', foreign: 'failed noted []!', absent: 'kept []!' },
    ],
  ];
  test.each(
    table.flatMap(([name, existing, applied, expected]) =>
      Object.entries(expected).map(([seen, result]) => [name, seen, existing, applied, result] as const),
    ),
  )('%s, seen %s', (_name, seen, existing, applied, result) => {
    expect(cell(look(existing, seen, { applied: [...applied] }))).toBe(result);
  });
});

describe('a removal', () => {
  const unwanted = catalogueOf();
  const queued = op(1, { op: 'remove' });
  const acked = op(1, { op: 'remove', state: 'acked', ackedAt: AFTER_GRACE });
  const fresh = op(1, { op: 'remove', state: 'acked', ackedAt: later(-1) });
  const failed = op(1, { op: 'remove', state: 'failed', reason: 'device_locked' });
  const table: [string, Op, number[], Record<string, string>][] = [
    [
      'queued',
      queued,
      [10],
      { wanted: 'queued noted [10]', older: 'queued noted [11]!', foreign: 'queued noted []!', absent: 'healed []!' },
    ],
    ['queued, nothing known', queued, [], { wanted: 'queued noted [10]!', absent: 'kept []' }],
    [
      'acked',
      acked,
      [],
      { wanted: 'again 1 [10]!', older: 'again 1 [11]!', foreign: 'settled []', absent: 'settled []' },
    ],
    ['acked, in grace', fresh, [], { wanted: 'kept []', older: 'kept []', foreign: 'kept []', absent: 'settled []' }],
    [
      'failed',
      failed,
      [10],
      { wanted: 'failed noted [10]', older: 'failed noted [11]!', foreign: 'failed noted []!', absent: 'settled []!' },
    ],
  ];
  test.each(
    table.flatMap(([name, existing, applied, expected]) =>
      Object.entries(expected).map(([seen, result]) => [name, seen, existing, applied, result] as const),
    ),
  )('%s, seen %s', (_name, seen, existing, applied, result) => {
    expect(cell(look(existing, seen, { applied: [...applied] }, unwanted))).toBe(result);
  });
  test('what is still there under a UUID that is not ours is drift', () => {
    expect(look(acked, 'foreign', {}, unwanted).observedExtra).toMatchObject([
      { identifier: 'com.example.1', why: 'left_over' },
    ]);
  });
});

describe('without an op', () => {
  const unwanted = catalogueOf();
  const table: [string, typeof catalogue, number[], Record<string, string>][] = [
    [
      'wanted, held',
      catalogue,
      [10],
      { wanted: 'kept [10]', older: 'again 0 [11]!', foreign: 'again 0 []!', absent: 'again 0 []!' },
    ],
    [
      'wanted, not held',
      catalogue,
      [],
      { wanted: 'kept [10]!', older: 'kept [11]!', foreign: 'kept []', absent: 'kept []' },
    ],
    [
      'not wanted, held',
      unwanted,
      [10],
      { wanted: 'kept [10]', older: 'kept [11]!', foreign: 'kept []!', absent: 'kept []!' },
    ],
    [
      'not wanted, not held',
      unwanted,
      [],
      { wanted: 'kept [10]!', older: 'kept [11]!', foreign: 'kept []', absent: 'kept []' },
    ],
  ];
  test.each(
    table.flatMap(([name, known, applied, expected]) =>
      Object.entries(expected).map(([seen, result]) => [name, seen, known, applied, result] as const),
    ),
  )('%s, seen %s', (_name, seen, known, applied, result) => {
    expect(cell(look(undefined, seen, { applied: [...applied] }, known))).toBe(result);
  });
  test('content that is not ours under an unwanted identifier of ours is drift, under a wanted one is replaced', () => {
    expect(look(undefined, 'foreign', {}, unwanted).observedExtra).toMatchObject([{ identifier: 'com.example.1' }]);
    expect(look(undefined, 'foreign', {}).observedExtra).toEqual([]);
  });
  test.each([
    ['absent', 'removed_by_hand'],
    ['foreign', 'replaced_by_hand'],
    ['older', 'replaced_by_hand'],
  ])('settled and then %s: installed again, and the op says %s', (seen, reason) => {
    const change = look(undefined, seen, { applied: [10] });
    expect(change.changes).toMatchObject([
      { kind: 'set', op: { op: 'install', versionId: 10, state: 'queued', reason, generation: 0, verifyMisses: 0 } },
    ]);
  });
  test("what was not settled is nobody's hand: another version known to be there, or nothing known yet", () => {
    expect(look(undefined, 'absent', { applied: [11] }).changes).toEqual([]);
    expect(look(undefined, 'absent', { applied: [], actualKnown: false }).changes).toEqual([]);
  });
  test('while a label is unknown nothing is installed, and other content under the identifier is drift', () => {
    const open = catalogueOf({
      labels: [label(1, 5)],
      profiles: [profile(1, { includeMode: 'any', includeLabelIds: [1] })],
    });
    expect(look(undefined, 'absent', { applied: [10] }, open)).toMatchObject({ applied: [], changes: [] });
    expect(look(undefined, 'foreign', { applied: [10] }, open)).toMatchObject({
      applied: [],
      changes: [],
      observedExtra: [{ identifier: 'com.example.1', why: 'left_over' }],
    });
  });
  test('what the device once refused to remove is not tried again while it is there', () => {
    const refused = {
      observedExtra: [{ identifier: 'com.example.1', uuid: '', displayName: '', why: 'not_ours' as const }],
    };
    const still = look(undefined, 'wanted', refused, unwanted);
    expect(still).toMatchObject({ applied: [], dirty: false, observedExtra: [{ why: 'not_ours' }] });
    expect(look(undefined, 'absent', refused, unwanted).observedExtra).toEqual([]);
    expect(look(undefined, 'wanted', refused).applied).toEqual([10]);
  });
});

describe('misses', () => {
  const acked = (verifyMisses: number, more: Partial<Op> = {}) =>
    op(1, { state: 'acked', ackedAt: AFTER_GRACE, verifyMisses, ...more });
  const miss = (existing: Op, seen: string) => look(existing, seen).changes[0];

  test('are sent again up to the bound, later each time, then failed with the number', () => {
    const first = miss(acked(0), 'absent');
    const second = miss(acked(1), 'absent');
    expect(first).toMatchObject({
      op: { state: 'queued', verifyMisses: 1, reason: 'not_observed', commandUuid: undefined },
    });
    expect(second).toMatchObject({ op: { state: 'queued', verifyMisses: 2 } });
    const wait = (change: typeof first) =>
      change?.kind === 'set' ? (change.op.nextAt?.getTime() ?? 0) - NOW.getTime() : 0;
    expect(wait(second)).toBeGreaterThan(wait(first));
    expect(miss(acked(2), 'absent')).toMatchObject({
      op: { state: 'failed', verifyMisses: 3, reason: 'not_observed', nextAt: undefined },
    });
  });
  test('another version seen is a reason of its own and keeps its UUID', () => {
    expect(miss(acked(0), 'older')).toMatchObject({
      op: { reason: 'other_version_observed', observedUuid: observed(1, 11).uuid },
    });
  });
  test("other content, installed after the delivery, is somebody else's doing and says so", () => {
    const since = { ...observed(1, 999), installedAt: NOW };
    const change = observe(catalogue, row(catalogue), [acked(0)], rows(since), 'osquery', NOW, settings);
    expect(change?.changes).toMatchObject([{ op: { reason: 'other_content_since', verifyMisses: 1 } }]);
  });
  test('a removal that is still there is tried daily after the bound', () => {
    const change = miss(acked(2, { op: 'remove' }), 'wanted');
    expect(change).toMatchObject({
      op: { state: 'failed', reason: 'still_observed', nextAt: later(settings.slowRetryMs) },
    });
  });
  test('a failed op that is there after all is settled', () => {
    expect(cell(look(acked(3, { state: 'failed', reason: 'not_observed' }), 'wanted'))).toBe('settled [10]!');
  });
});

describe('reports that say nothing', () => {
  const host = row(catalogue, { applied: [10] });
  const user = row(catalogue, { applied: [10], channel: 'user' });
  const says = (recon: ReconRow, observation: Observation, source: 'osquery' | 'profile_list') =>
    observe(catalogue, recon, [], observation, source, NOW, settings);

  test.each([
    { state: 'zero_rows' },
    { state: 'table_absent' },
    { state: 'query_error', message: 'no such table' },
    { state: 'rows', profiles: [] },
  ] as const)('$state is not "missing"', (observation) => {
    expect(says(host, observation, 'osquery')).toBeUndefined();
    expect(says(host, observation, 'profile_list')).toBeUndefined();
    expect(says(user, observation, 'osquery')).toBeUndefined();
  });
  test('only an empty ProfileList of a user channel means that it is empty', () => {
    expect(says(user, { state: 'zero_rows' }, 'profile_list')?.applied).toEqual([]);
    expect(says(user, { state: 'query_error', message: '' }, 'profile_list')).toBeUndefined();
  });
});

describe('an agent that speaks without an answer', () => {
  const left = (nextAt: Date) => op(1, { state: 'acked', ackedAt: later(-10 * MINUTE), nextAt });
  const patience = later(settings.agentPatienceMs - 10 * MINUTE);
  const saysNothing = (existing: Op) =>
    observe(catalogue, row(catalogue), [existing], { state: 'table_absent' }, 'osquery', NOW, settings);

  test('gives its acknowledgements to ProfileList at once', () => {
    expect(saysNothing(left(patience))).toMatchObject({ dirty: true, applied: [], changes: [{ op: { nextAt: NOW } }] });
  });
  test('and not again once ProfileList was asked', () => {
    expect(saysNothing(left(later(settings.profileListEveryMs)))).toBeUndefined();
    expect(saysNothing(op(1))).toBeUndefined();
  });
});

describe('what else a report brings', () => {
  test('the actual state becomes known', () => {
    expect(look(undefined, 'wanted', { actualKnown: false })).toMatchObject({ actualKnown: true, applied: [10] });
  });
  test('foreign profiles are drift, the enrolment profile and our own never', () => {
    const foreign = { ...observed(1, 5), identifier: 'com.vendor.vpn', displayName: 'VPN' };
    const enrolled = { ...observed(1, 5), identifier: 'com.example.mdm' };
    const known = row(catalogue, { applied: [10], enrollmentProfile: 'com.example.mdm' });
    const change = observe(catalogue, known, [], rows(observed(1, 10), foreign, enrolled), 'osquery', NOW, settings);
    expect(change?.observedExtra).toEqual([
      { identifier: 'com.vendor.vpn', uuid: foreign.uuid, displayName: 'VPN', why: 'foreign' },
    ]);
  });
  test('what another MDM server left is recognised: by its identifier, or by ProfileList because it enrols', () => {
    const fleet = { ...observed(1, 5), identifier: 'com.fleetdm.fleet.mdm.apple' };
    const jamf = { ...observed(1, 6), identifier: '00000000-0000-0000-A000-4A414D460003' };
    const dead = { ...observed(1, 7), identifier: 'com.vendor.mdm', enrols: true };
    const known = row(catalogue, { enrollmentProfile: 'com.example.mdm' });
    const own = { ...observed(1, 8), identifier: 'com.example.mdm', enrols: true };
    const see = (recon: ReconRow, ...seen: ObservedProfile[]) =>
      observe(catalogue, recon, [], rows(own, ...seen), 'profile_list', NOW, settings)?.observedExtra ?? [];
    const first = see(known, fleet, jamf, dead);
    expect(first.map(({ identifier, why }) => [identifier, why])).toEqual([
      [jamf.identifier, 'left_over'],
      ['com.fleetdm.fleet.mdm.apple', 'left_over'],
      ['com.vendor.mdm', 'left_over'],
    ]);
    // osquery does not say that it enrols: what was recognised stays so, other content does not.
    expect(see({ ...known, observedExtra: first }, { ...dead, enrols: false })).toMatchObject([{ why: 'left_over' }]);
    expect(see({ ...known, observedExtra: first }, { ...dead, enrols: false, uuid: 'x' })).toMatchObject([
      { why: 'foreign' },
    ]);
  });
  test('an identifier listed more than once is drift, ours and foreign, once each', () => {
    const vendor = { ...observed(1, 5), identifier: 'com.vendor.vpn' };
    const twice = [observed(1, 999), observed(1, 10), observed(1, 998), vendor, vendor];
    const change = observe(catalogue, row(catalogue, { applied: [10] }), [], rows(...twice), 'osquery', NOW, settings);
    expect(change?.applied).toEqual([10]);
    expect(change?.observedExtra.map(({ identifier, uuid, why }) => [why, identifier, uuid])).toEqual([
      ['duplicate', 'com.example.1', observed(1, 999).uuid],
      ['duplicate', 'com.vendor.vpn', vendor.uuid],
      ['foreign', 'com.vendor.vpn', vendor.uuid],
    ]);
  });
  test('the same report in any order is the same drift', () => {
    const seen = ['c', 'a', 'b'].map((name) => ({ ...observed(1, 5), identifier: name }));
    const drift = (order: ObservedProfile[]) =>
      observe(catalogue, row(catalogue), [], rows(...order), 'osquery', NOW, settings)?.observedExtra;
    expect(drift(seen)).toEqual(drift(seen.toReversed()));
    expect(drift(seen)?.map(({ identifier }) => identifier)).toEqual(['a', 'b', 'c']);
  });
  test('too much drift is cut by kind: what matters most stays', () => {
    const many = Array.from({ length: 500 }, (_, index) => ({ ...observed(1, 5), identifier: `com.vendor.${index}` }));
    const change = observe(
      catalogue,
      row(catalogue),
      [],
      rows(...many, { ...observed(1, 5), identifier: 'zz', enrols: true }),
      'osquery',
      NOW,
      settings,
    );
    expect(change?.observedExtra[0]).toMatchObject({ identifier: 'zz', why: 'left_over' });
  });
  test('a list of drift is bounded', () => {
    const many = Array.from({ length: 500 }, (_, index) => ({ ...observed(1, 5), identifier: `com.vendor.${index}` }));
    const change = observe(catalogue, row(catalogue), [], rows(...many), 'osquery', NOW, settings);
    expect(change?.observedExtra.length).toBe(settings.maxObservedExtra);
  });
  test('an identifier listed twice proves the version if one of them does', () => {
    const twice = observe(
      catalogue,
      row(catalogue),
      [op(1)],
      rows(observed(1, 11), observed(1, 10), observed(1, 11)),
      'osquery',
      NOW,
      settings,
    );
    expect(twice?.changes).toMatchObject([{ kind: 'drop', cancel: 'command-1' }]);
  });
  test('the same identifier on the user channel is another slot', () => {
    const both = catalogueOf({
      slots: [slot(1), slot(2, { channel: 'user', identifier: 'com.example.1' })],
      profiles: [profile(1), profile(2)],
    });
    const change = observe(
      both,
      row(both, { applied: [20], channel: 'user' }),
      [],
      rows(observed(1, 10)),
      'osquery',
      NOW,
      settings,
    );
    expect(change?.applied).toEqual([]);
  });
});

describe('two versions with one UUID (verbatim delivery)', () => {
  const shared = catalogueOf({
    slots: [slot(1)],
    profiles: [profile(1)],
    versions: [version(10), version(11, { witness: version(10).witness })],
  });
  const seen = (existing: Op, installedAt?: Date, applied = [11]) =>
    observe(
      shared,
      row(shared, { applied }),
      [existing],
      rows({ ...observed(1, 10), installedAt }),
      'osquery',
      NOW,
      settings,
    );

  test('an unanswered install is not proven by the UUID alone', () => {
    expect(seen(op(1))).toMatchObject({ applied: [11], changes: [{ kind: 'set' }] });
    expect(seen(op(1), later(-20 * MINUTE))).toMatchObject({ applied: [11] });
  });
  test('the install date or the acknowledgement prove it', () => {
    expect(seen(op(1), later(-MINUTE))).toMatchObject({ applied: [10], changes: [{ kind: 'drop' }] });
    expect(seen(op(1, { state: 'acked', ackedAt: later(-1) }), undefined, [10])).toMatchObject({
      applied: [10],
      changes: [{ kind: 'drop' }],
    });
  });
});

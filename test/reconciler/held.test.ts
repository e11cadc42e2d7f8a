/** Whatever a page calls held back, the plan does not send; and what nothing holds back, it does. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explain } from '../../reconciler/explain.ts';
import { judge } from '../../reconciler/gate.ts';
import { pairsOf } from '../../reconciler/pairs.ts';
import { planHost } from '../../reconciler/plan.ts';
import { stateOf } from '../../reconciler/state.ts';
import type { CatalogueProfile, HostFacts, LiveCommand, Op, ReconRow, WaitingReason } from '../../reconciler/types.ts';
import { catalogueOf, command, facts, label, later, NOW, op, profile, row, settings, slot } from './world.ts';

const LABELS = [label(1), label(2), label(3, 9)];

interface Setting {
  readonly profile?: Partial<CatalogueProfile>;
  readonly row?: Partial<ReconRow>;
  readonly ops?: readonly Op[];
  readonly commands?: readonly LiveCommand[];
  readonly elsewhere?: readonly number[];
}

function pairIn(setting: Setting, held: readonly number[] = []) {
  const channel = setting.row?.channel ?? 'device';
  const slots = [slot(1, { channel }), slot(2, { channel }), slot(3)];
  const catalogue = catalogueOf({ slots, profiles: [profile(1, setting.profile)], labels: LABELS });
  const recon = row(catalogue, { labelIds: [1], labelEpoch: 5, applied: held, ...setting.row });
  const host = {
    ...facts(recon, setting.ops, setting.commands),
    heldElsewhere: setting.elsewhere ?? [],
  };
  const pair = [...pairsOf(catalogue, host)].find(({ slotId }) => slotId === 1);
  const sends =
    planHost(catalogue, host, NOW, settings)?.changes.flatMap((one) => (one.kind === 'send' ? [one] : [])) ?? [];
  return { derived: pair && stateOf(pair), sends, catalogue, host };
}

const NOT_NOW: Setting = {
  row: { channel: 'user' },
  ops: [op(2)],
  commands: [command('command-2', { state: 'not_now', deliveries: 1, notNowCount: 1, notNowAt: later(-1000) })],
};
const KEYCHAIN = op(2, { state: 'failed', reason: 'keychain_locked', commandUuid: undefined, nextAt: later(1000) });

const FETCHED_AGAIN: Setting = {
  ...NOT_NOW,
  commands: [command('command-2', { state: 'sent', deliveries: 2, notNowCount: 1, sentAt: later(-1000) })],
};
const TRIED_AGAIN: Setting = {
  row: { channel: 'user' },
  ops: [{ ...KEYCHAIN, state: 'queued', commandUuid: 'command-2', nextAt: undefined }],
  commands: [command('command-2')],
};

/** Reasons whose feature exists, and how they come about. `no_user_channel` and `quarantined_identity`: `page.test.ts`. */
const SETTINGS: readonly (readonly [WaitingReason, string, Setting])[] = [
  ['label_unknown', 'not evaluated', { profile: { includeMode: 'any', includeLabelIds: [3] } }],
  ['label_unknown', 'its query failed', { profile: { excludeLabelIds: [2] }, row: { unknownLabelIds: [2] } }],
  ['os_gate', 'too old', { profile: { minOs: '16' } }],
  ['os_gate', 'version not said', { profile: { maxOs: '16' }, row: { osVersion: '' } }],
  ['os_gate', 'another kind of device', { profile: { targetDeviceType: 1 } }],
  ['os_gate', 'a payload of another system', { profile: { payloadTypes: ['com.apple.homescreenlayout'] } }],
  [
    'enrollment_kind_forbids',
    'a User Enrolment',
    { profile: { payloadTypes: ['com.apple.MCX'] }, row: { userEnrollment: true } },
  ],
  ['access_right_missing', 'AccessRights', { row: { mayManageProfiles: false } }],
  ['no_push_certificate', 'expired or not there', { row: { pushable: false } }],
  ['user_not_logged_in', 'NotNow on the user channel', NOT_NOW],
  ['user_not_logged_in', 'NotNow, and fetched again since', FETCHED_AGAIN],
  ['user_not_logged_in', 'the keychain was locked', { row: { channel: 'user' }, ops: [KEYCHAIN] }],
  ['user_not_logged_in', 'the keychain was locked, and it is sent again', TRIED_AGAIN],
  [
    'actual_state_unknown',
    'enrolled again, a label open',
    { profile: { includeMode: 'any', includeLabelIds: [3] }, row: { actualKnown: false } },
  ],
  ['dependency_not_verified', 'still on the other channel', { profile: { movedFromSlotId: 3 }, elsewhere: [3] }],
];

describe('every waiting reason whose feature exists', () => {
  test.each(SETTINGS)('%s: %s', (reason, _how, setting) => {
    const { derived, sends } = pairIn(setting);
    expect(derived).toEqual({ state: 'waiting', waiting: reason });
    expect(sends.filter((one) => one.op.slotId === 1)).toEqual([]);
  });

  test('without it the plan sends', () => {
    const { derived, sends } = pairIn({});
    expect(derived).toEqual({ state: 'pending', waiting: undefined });
    expect(sends).toHaveLength(1);
  });
});

describe('what holds the whole enrolment back', () => {
  test.each([
    ['access_right_missing', { row: { mayManageProfiles: false } }],
    ['no_push_certificate', { row: { pushable: false } }],
    ['user_not_logged_in', NOT_NOW],
  ] as const)('%s: a removal waits too, and stays called one', (reason, setting: Setting) => {
    const { derived, sends } = pairIn({ ...setting, profile: { includeMode: 'any', includeLabelIds: [2] } }, [10]);
    expect(derived).toEqual({ state: 'removing', waiting: reason });
    expect(sends.filter((one) => one.op.slotId === 1)).toEqual([]);
  });

  test('what is verified stays verified', () => {
    for (const more of [{ mayManageProfiles: false }, { pushable: false }])
      expect(pairIn({ row: more }, [10]).derived).toEqual({ state: 'verified', waiting: undefined });
  });

  test('a user who is away does not keep their own retry from being made', () => {
    const due = { ...KEYCHAIN, nextAt: later(-1) };
    expect(pairIn({ row: { channel: 'user' }, ops: [due], profile: { slotId: 2, versionId: 20 } }).sends).toHaveLength(
      1,
    );
  });

  test('a user who is away stays away until they have answered: looked at again, nothing is sent and no state flips', () => {
    const away = { ...NOT_NOW.row, actualKnown: true };
    const putOff = { state: 'not_now', deliveries: 1, notNowCount: 1 } as const;
    for (const more of [putOff, { ...putOff, state: 'sent', deliveries: 2 } as const, putOff]) {
      const live = [command('command-2', more)];
      const { catalogue, host } = pairIn({ row: away, ops: [op(2)], commands: live, profile: { slotId: 1 } });
      const both = catalogueOf({ slots: [...catalogue.slots.values()], profiles: [profile(1), profile(2)] });
      expect(planHost(both, host, NOW, settings)).toBeUndefined();
      const states = [...pairsOf(both, host)].map((pair) => stateOf(pair));
      expect(states).toEqual([
        { state: 'waiting', waiting: 'user_not_logged_in' },
        { state: 'pending', waiting: undefined },
      ]);
    }
  });

  test('a user who is away is sent nothing new, not even for what was under way before', () => {
    const acked = op(1, { state: 'acked', versionId: 11, commandUuid: undefined, ackedAt: later(-1000) });
    for (const [more, state] of [
      [op(1, { commandUuid: undefined }), 'waiting'],
      [acked, 'verifying'],
    ] as const) {
      const { derived, sends } = pairIn({ ...NOT_NOW, ops: [...(NOT_NOW.ops ?? []), more] });
      expect([derived?.state, sends.filter((one) => one.op.slotId === 1)]).toEqual([state, []]);
    }
  });

  test.each([
    ['no_push_certificate', { row: { pushable: false } }],
    ['access_right_missing', { row: { mayManageProfiles: false } }],
    ['dependency_not_verified', { profile: { movedFromSlotId: 3 }, elsewhere: [3] }],
  ] as const)(
    '%s: a command that is still to be made waits for it, and the page says so',
    (waiting, setting: Setting) => {
      const unmade = op(1, { commandUuid: undefined, reason: 'removed_by_hand' });
      const { derived, sends } = pairIn({ ...setting, ops: [unmade] });
      expect([derived, sends]).toEqual([{ state: 'waiting', waiting }, []]);
      expect(pairIn({ ops: [unmade] }).derived).toEqual({ state: 'pending', waiting: undefined });
    },
  );

  test('a retry that is due is put off and not lost', () => {
    const due = op(1, { state: 'failed', nextAt: later(-1) });
    const { catalogue, host } = pairIn({ ops: [due], row: { pushable: false } });
    const [change] = planHost(catalogue, host, NOW, settings)?.changes ?? [];
    expect(change).toMatchObject({ kind: 'set', op: { state: 'failed', generation: due.generation } });
    expect(change?.kind === 'set' && change.op.nextAt && change.op.nextAt > NOW).toBe(true);
  });
});

test('a slot that another profile of the team has taken since is waited for by nobody', () => {
  const catalogue = catalogueOf({ profiles: [profile(1, { movedFromSlotId: 3 }), profile(3)] });
  const host = { ...facts(row(catalogue, { applied: [30] })), heldElsewhere: [3] };
  expect(planHost(catalogue, host, NOW, settings)?.changes).toHaveLength(1);
  expect([...catalogue.movedFrom]).toEqual([]);
});

const gate = fc.constantFrom<Partial<CatalogueProfile>>(
  {},
  { includeMode: 'any', includeLabelIds: [1] },
  { includeMode: 'any', includeLabelIds: [2] },
  { includeMode: 'any', includeLabelIds: [3] },
  { excludeLabelIds: [3] },
  { minOs: '16' },
  { payloadTypes: ['com.apple.MCX'] },
  { targetDeviceType: 1 },
  { movedFromSlotId: 9 },
);
const anyRow = fc.record({
  actualKnown: fc.boolean(),
  mayManageProfiles: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
  pushable: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
  userEnrollment: fc.boolean(),
  platform: fc.constantFrom('mac' as const, 'iphone' as const, '' as const),
  osVersion: fc.constantFrom('15.1', '16', ''),
  channel: fc.constantFrom('device' as const, 'user' as const),
});
const anyOp = fc.record({
  op: fc.constantFrom('install' as const, 'remove' as const),
  version: fc.integer({ min: 0, max: 2 }),
  state: fc.constantFrom('queued' as const, 'acked' as const, 'failed' as const),
  reason: fc.constantFrom('', 'keychain_locked'),
  due: fc.constantFrom(undefined, -1, 1),
  command: fc.constantFrom('none', 'vanished', 'queued' as const, 'not_now' as const),
});
const SLOTS = [1, 2, 3, 4];
const hostOf = fc.record({
  gates: fc.array(fc.option(gate, { nil: undefined }), { minLength: 4, maxLength: 4 }),
  held: fc.array(fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }), { minLength: 4, maxLength: 4 }),
  ops: fc.array(fc.option(anyOp, { nil: undefined }), { minLength: 4, maxLength: 4 }),
  elsewhere: fc.boolean(),
  row: anyRow,
});

test('what is called held back is not sent; what is called pending or removing without an op is', () => {
  let held = 0;
  let sent = 0;
  fc.assert(
    fc.property(hostOf, (parts) => {
      const slots = SLOTS.map((id) => slot(id, { channel: parts.row.channel }));
      const profiles = parts.gates.flatMap((one, index) => (one === undefined ? [] : [profile(index + 1, one)]));
      const catalogue = catalogueOf({ slots, profiles, labels: LABELS });
      const applied = parts.held.flatMap((one, index) => (one === undefined ? [] : [(index + 1) * 10 + one]));
      const commands: LiveCommand[] = [];
      const ops = parts.ops.flatMap((one, index): Op[] => {
        if (one === undefined) return [];
        const commandUuid = one.command === 'none' ? undefined : `command-${index + 1}`;
        if (one.state === 'queued' && (one.command === 'queued' || one.command === 'not_now'))
          commands.push(command(`command-${index + 1}`, { state: one.command, deliveries: 1 }));
        const nextAt = one.due === undefined ? undefined : later(one.due);
        return [op(index + 1, { ...one, versionId: (index + 1) * 10 + one.version, commandUuid, nextAt })];
      });
      const recon = row(catalogue, { ...parts.row, applied, labelIds: [1], labelEpoch: 5 });
      const host: HostFacts = { ...facts(recon, ops, commands), heldElsewhere: parts.elsewhere ? [9] : [] };
      const plan = planHost(catalogue, host, NOW, settings);
      const sends = new Set(plan?.changes.flatMap((one) => (one.kind === 'send' ? [one.op.slotId] : [])));
      for (const pair of pairsOf(catalogue, host)) {
        const { state, waiting } = stateOf(pair);
        if (waiting !== undefined)
          expect([pair.slotId, waiting, sends.has(pair.slotId)]).toEqual([pair.slotId, waiting, false]);
        else if (pair.op === undefined)
          expect([pair.slotId, state, sends.has(pair.slotId)]).toEqual([
            pair.slotId,
            state,
            state === 'pending' || state === 'removing',
          ]);
        if (waiting !== undefined) held += 1;
        else if (sends.has(pair.slotId)) sent += 1;
        // The page, with its reasons, comes to the same state as the counters.
        const verdict = pair.profile && judge(pair.profile, host.row, catalogue.labels);
        const page = explain(
          {
            ...pair,
            verdict,
            command: undefined,
            push: undefined,
            observer: { ...host.row },
            seenAt: undefined,
            labelName: String,
            labelNote: () => undefined,
            proof: undefined,
            quarantinedAt: undefined,
            enrollmentGeneration: 1,
            movedTo: undefined,
            intervalMs: 30_000,
          },
          NOW,
        );
        expect({ state: page.state, waiting: page.waiting }).toEqual({ state, waiting });
      }
    }),
    { numRuns: 500 },
  );
  expect(Math.min(held, sent)).toBeGreaterThan(50);
});

import { describe, expect, test } from 'vitest';
import type { PairFacts } from '../../reconciler/evidence.ts';
import { explain, explainUnmanaged } from '../../reconciler/explain.ts';
import { type GateVerdict, judge } from '../../reconciler/gate.ts';
import { type Pair, stateOf } from '../../reconciler/state.ts';
import type { Op, OpKind, OpState, PairState, WaitingReason } from '../../reconciler/types.ts';
import { catalogueOf, command, label, later, MINUTE, NOW, op, profile, row } from './world.ts';

const catalogue = catalogueOf({ labels: [label(1), label(2), label(3, 9)] });
const host = row(catalogue, { labelIds: [1], labelEpoch: 5 });
const verdict = (more: object): GateVerdict => judge(profile(1, more), host, catalogue.labels);

const YES = verdict({});
const NO = verdict({ includeMode: 'any', includeLabelIds: [2] });
const EXCLUDED = verdict({ excludeLabelIds: [1] });
const OPEN = verdict({ includeMode: 'any', includeLabelIds: [3] });
const OS = verdict({ minOs: '16' });

function pair(more: Partial<PairFacts>): PairFacts {
  return {
    verdict: YES,
    wantedVersion: 10,
    heldVersion: undefined,
    op: undefined,
    command: undefined,
    push: undefined,
    observer: { osqueryState: 'rows', osqueryAt: later(-3 * MINUTE), profileListAt: undefined, actualKnown: true },
    hold: undefined,
    seenAt: undefined,
    labelName: (id) => (id === 3 ? 'Laptops' : `L${id}`),
    intervalMs: 30_000,
    ...more,
  };
}

describe('without an op, by gate and what is held', () => {
  const table: [string, GateVerdict | undefined, Record<string, PairState>][] = [
    ['yes', YES, { wanted: 'verified', other: 'pending', none: 'pending' }],
    ['no', NO, { wanted: 'removing', other: 'removing', none: 'not_in_scope' }],
    ['excluded', EXCLUDED, { wanted: 'removing', other: 'removing', none: 'not_in_scope' }],
    ['no profile of the team', undefined, { wanted: 'removing', other: 'removing', none: 'not_in_scope' }],
    ['unknown', OPEN, { wanted: 'verified', other: 'waiting', none: 'waiting' }],
    ['OS out of range', OS, { wanted: 'removing', other: 'removing', none: 'waiting' }],
  ];
  const held: Record<string, number | undefined> = { wanted: 10, other: 11, none: undefined };
  test.each(
    table.flatMap(([name, gate, expected]) =>
      Object.entries(expected).map(([what, state]) => [name, what, gate, state] as const),
    ),
  )('%s, held %s', (_name, what, gate, state) => {
    const facts = pair({ verdict: gate, wantedVersion: gate === undefined ? undefined : 10, heldVersion: held[what] });
    if (gate === undefined && what === 'wanted') return;
    expect(stateOf(facts).state).toBe(state);
    expect(explain(facts, NOW).state).toBe(state);
  });
});

describe('with an op its state decides, whatever the gate says', () => {
  const table: [OpKind, OpState, PairState][] = [
    ['install', 'queued', 'pending'],
    ['install', 'acked', 'verifying'],
    ['install', 'failed', 'failed'],
    ['remove', 'queued', 'removing'],
    ['remove', 'acked', 'removing'],
    ['remove', 'failed', 'failed'],
  ];
  test.each(table)('%s %s is %s', (kind, state, expected) => {
    for (const gate of [YES, NO, OPEN, OS, undefined])
      for (const heldVersion of [10, 11, undefined])
        expect(stateOf(pair({ verdict: gate, heldVersion, op: op(1, { op: kind, state }) })).state).toBe(expected);
  });
});

describe('every waiting reason', () => {
  // A Record, so that a reason added to the list and not to this table does not compile.
  const reasons: Record<WaitingReason, RegExp> = {
    label_unknown: /label/,
    rollout_stage: /rollout/,
    paused: /paused/,
    os_gate: /macOS/,
    no_user_channel: /user channel/,
    user_not_logged_in: /logged in/,
    not_supervised: /supervised/,
    enrollment_kind_forbids: /kind of enrolment/,
    access_right_missing: /right/,
    variable_unresolved: /variable/,
    dependency_not_verified: /depends/,
    one_per_machine_clash: /already has another/,
    quarantined_identity: /quarantined/,
    actual_state_unknown: /not known yet what/,
    no_push_certificate: /push certificate/,
    deferred_to_setup: /Setup Assistant/,
    awaiting_user_action: /at the Mac/,
  };
  test.each(Object.entries(reasons))('%s has its words and waits only without an op', (reason, words) => {
    const hold = reason as WaitingReason;
    const waiting = explain(pair({ hold }), NOW);
    expect(waiting).toMatchObject({ state: 'waiting', waiting: hold });
    if (hold !== 'label_unknown') expect(waiting.reason).toMatch(words);
    expect(stateOf(pair({ hold, op: op(1) })).state).toBe('pending');
    expect(stateOf(pair({ hold, heldVersion: 10 })).state).toBe('verified');
    expect(stateOf(pair({ hold, verdict: NO })).state).toBe('not_in_scope');
  });
});

describe('one sentence', () => {
  const says = (more: Partial<PairFacts>) => explain(pair(more), NOW).reason;
  const sent = (more: Partial<Op>) => ({ op: op(1, more) });
  const cases: [Partial<PairFacts>, string][] = [
    [{ heldVersion: 10 }, 'osquery showed this version on the device 3 min ago.'],
    [
      { heldVersion: 10, verdict: OPEN },
      'osquery showed this version on the device 3 min ago; whether it is meant for this host is open: label Laptops (include) has not been evaluated on this host yet, so it stays.',
    ],
    [
      { verdict: OPEN },
      'Whether it is meant for this host is open: label Laptops (include) has not been evaluated on this host yet.',
    ],
    [{ verdict: OS }, 'The version of macOS does not fit: macOS from 16 is asked for, the host has 15.1.'],
    [{ verdict: NO }, 'It is not meant for this host: label L2 (include) does not hold.'],
    [{ verdict: EXCLUDED }, 'It is not meant for this host: label L1 (exclude) holds.'],
    [{ verdict: undefined }, "No profile of the host's team has this identifier."],
    [{}, 'It is new here: the next tick, at most 30 s away, queues it.'],
    [
      { ...sent({}), command: command('u'), seenAt: later(-5000) },
      'The command for version 10 waits for the device to poll; last seen 5 s ago.',
    ],
    [
      {
        ...sent({}),
        command: command('u'),
        push: {
          waitingSince: undefined,
          lastPushAt: later(-2 * MINUTE),
          lastStatus: 200,
          lastReason: '',
          tokenRetired: false,
        },
      },
      'The command for version 10 waits for the device to poll; last push 2 min ago, accepted.',
    ],
    [
      {
        ...sent({}),
        command: command('u'),
        push: {
          waitingSince: undefined,
          lastPushAt: later(-2 * MINUTE),
          lastStatus: 410,
          lastReason: 'Unregistered',
          tokenRetired: true,
        },
      },
      'The command for version 10 waits for the device to poll; Apple says its push token is dead, so it cannot be woken.',
    ],
    [
      { ...sent({}), command: command('u'), hold: 'no_push_certificate' },
      'The command for version 10 waits for the device to poll; there is no valid push certificate to wake it with.',
    ],
    [
      { ...sent({}), command: command('u', { state: 'sent', deliveries: 1, sentAt: later(-10_000) }) },
      'The device fetched version 10 10 s ago and has not answered yet.',
    ],
    [
      {
        ...sent({}),
        command: command('u', { state: 'not_now', deliveries: 3, notNowCount: 3, notNowAt: later(-4 * MINUTE) }),
      },
      'The device answered NotNow 3 times, last 4 min ago; it gets version 10 at its next poll.',
    ],
    [
      sent({ commandUuid: undefined, verifyMisses: 1, reason: 'not_observed', nextAt: later(2 * MINUTE) }),
      'Acknowledged once, but osquery does not show it. A command for version 10 is made in 2 min.',
    ],
    [
      sent({ state: 'acked', ackedAt: later(-20_000) }),
      'The device acknowledged the install 20 s ago; nobody has looked since, waiting for osquery or ProfileList.',
    ],
    [
      sent({ state: 'failed', verifyMisses: 3, reason: 'not_observed' }),
      'Acknowledged 3 times, but osquery does not show it. It is not tried again before its content or scope changes.',
    ],
    [
      sent({
        state: 'failed',
        reason: 'device_locked',
        errorChain: [{ domain: 'MCInstallationErrorDomain', code: 4009, description: 'Locked' }],
        nextAt: later(2 * MINUTE),
      }),
      'The device was locked. It said: Locked (MCInstallationErrorDomain 4009). Nothing: it is sent again by itself. It is tried again in 2 min.',
    ],
    [
      sent({ op: 'remove', state: 'acked', ackedAt: later(-20_000) }),
      'The device acknowledged the removal 20 s ago; nobody has looked since, waiting for osquery or ProfileList.',
    ],
  ];
  test.each(cases)('%#', (more, sentence) => {
    expect(says(more)).toBe(sentence);
  });
});

test('the evidence names gate, version, operation, command, push, contact and observation with their ages', () => {
  const { evidence } = explain(
    pair({
      op: op(1),
      command: command('u', { state: 'sent', deliveries: 2, sentAt: later(-10_000) }),
      push: {
        waitingSince: undefined,
        lastPushAt: later(-MINUTE),
        lastStatus: 200,
        lastReason: undefined,
        tokenRetired: false,
      },
      seenAt: later(-10_000),
    }),
    NOW,
  );
  expect(evidence.map((line) => [line.about, line.ageSeconds])).toEqual([
    ['gate', undefined],
    ['version', undefined],
    ['operation', 600],
    ['command', 10],
    ['push', 60],
    ['contact', 10],
    ['observation', 180],
  ]);
});

test('what is not ours is unmanaged', () => {
  const { observer } = pair({});
  expect(explainUnmanaged('foreign', observer, NOW)).toMatchObject({ state: 'unmanaged' });
  expect(explainUnmanaged('not_ours', observer, NOW).reason).toMatch(/refused/);
});

test('a pair without facts has a state too', () => {
  const nothing: Pair = {
    verdict: undefined,
    wantedVersion: undefined,
    heldVersion: undefined,
    op: undefined,
    hold: 'paused',
  };
  expect(stateOf(nothing)).toEqual({ state: 'not_in_scope', waiting: undefined });
});

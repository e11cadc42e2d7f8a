import { describe, expect, test } from 'vitest';
import { DRIFT_WORDS } from '../../reconciler/drift-words.ts';
import type { PairFacts } from '../../reconciler/evidence.ts';
import { explain, explainUnmanaged } from '../../reconciler/explain.ts';
import { type GateVerdict, judge } from '../../reconciler/gate.ts';
import type { LabelNote } from '../../reconciler/ports.ts';
import { type Pair, stateOf } from '../../reconciler/state.ts';
import type { DriftKind, Op, OpKind, OpState, PairState, WaitingReason } from '../../reconciler/types.ts';
import { catalogueOf, command, label, later, MINUTE, NOW, op, profile, row } from './world.ts';

const catalogue = catalogueOf({ labels: [label(1), label(2), label(3, 9), label(4), label(5)] });
const host = row(catalogue, { labelIds: [1, 4], labelEpoch: 5, unknownLabelIds: [5] });
const verdict = (more: object): GateVerdict => judge(profile(1, more), host, catalogue.labels);

const YES = verdict({});
const NO = verdict({ includeMode: 'any', includeLabelIds: [2] });
const EXCLUDED = verdict({ excludeLabelIds: [1] });
const OPEN = verdict({ includeMode: 'any', includeLabelIds: [3] });
const OS = verdict({ minOs: '16' });
const OS_NOT_SAID = judge(profile(1, { maxOs: '14' }), { ...host, osVersion: '' }, catalogue.labels);
const BROKEN = verdict({ includeMode: 'all', includeLabelIds: [1, 5] });
const GONE = verdict({ excludeLabelIds: [77] });
const LEAVING = verdict({ includeMode: 'any', includeLabelIds: [4] });
const NOBODY = verdict({ includeMode: 'any' });
const KIND = verdict({ payloadTypes: ['com.apple.homescreenlayout'] });
const BYOD = judge(
  profile(1, { payloadTypes: ['com.apple.MCX'] }),
  { ...host, userEnrollment: true },
  catalogue.labels,
);

const NOTES: Readonly<Record<number, LabelNote>> = {
  1: { since: later(-5 * 24 * 60 * MINUTE), evaluatedAt: later(-20 * MINUTE), noes: 0, error: undefined },
  2: { since: undefined, evaluatedAt: later(-20 * MINUTE), noes: 0, error: undefined },
  4: { since: later(-24 * 60 * MINUTE), evaluatedAt: later(-20 * MINUTE), noes: 1, error: undefined },
  5: { since: undefined, evaluatedAt: undefined, noes: 0, error: 'no such table: wifi' },
};

function pair(more: Partial<PairFacts>): PairFacts {
  return {
    verdict: YES,
    wantedVersion: 10,
    heldVersion: undefined,
    op: undefined,
    command: undefined,
    push: undefined,
    observer: { osqueryState: 'rows', osqueryAt: later(-3 * MINUTE), profileListAt: undefined, actualKnown: true },
    enrollmentGeneration: 1,
    movedTo: undefined,
    hold: undefined,
    seenAt: undefined,
    labelName: (id) => (id === 3 ? 'Laptops' : `L${id}`),
    labelNote: (id) => NOTES[id],
    proof: undefined,
    quarantinedAt: undefined,
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

/** Every answer of the gate, by name. */
const GATES: Readonly<Record<string, GateVerdict | undefined>> = {
  'for the whole team': YES,
  'in its label': verdict({ includeMode: 'any', includeLabelIds: [1] }),
  'in its label, about to leave': LEAVING,
  'not in its label': NO,
  'in an excluded label': EXCLUDED,
  'aimed at no label': NOBODY,
  'label not evaluated': OPEN,
  "label's query failed": BROKEN,
  'label deleted': GONE,
  'OS too old': OS,
  'OS not said': OS_NOT_SAID,
  'another kind of device': KIND,
  'a User Enrolment': BYOD,
  "no profile of the host's team": undefined,
};
const HELD: Readonly<Record<string, number | undefined>> = { 'what is wanted': 10, another: 11, nothing: undefined };

/** A Record, so that a reason added to the list and not to this table does not compile. Reserved ones have words too. */
const HOLDS: Readonly<Record<WaitingReason, true>> = {
  label_unknown: true,
  rollout_stage: true,
  paused: true,
  os_gate: true,
  no_user_channel: true,
  user_not_logged_in: true,
  not_supervised: true,
  enrollment_kind_forbids: true,
  access_right_missing: true,
  variable_unresolved: true,
  dependency_not_verified: true,
  one_per_machine_clash: true,
  quarantined_identity: true,
  actual_state_unknown: true,
  no_push_certificate: true,
  deferred_to_setup: true,
  awaiting_user_action: true,
};
const REASONS = Object.keys(HOLDS) as WaitingReason[];

describe('every gate × what is held × what holds it back × op', () => {
  test('what is held back is called so exactly where something would be sent', () => {
    for (const gate of Object.values(GATES))
      for (const heldVersion of Object.values(HELD))
        for (const hold of [undefined, ...REASONS]) {
          const facts = pair({ verdict: gate, wantedVersion: gate && 10, heldVersion, hold });
          const bare = stateOf({ ...facts, hold: undefined });
          const { state, waiting } = stateOf(facts);
          const sends = bare.state === 'pending' || bare.state === 'removing';
          if (sends) expect(waiting).toBe(hold);
          if (bare.state === 'removing') expect(state).toBe('removing');
          if (bare.state === 'pending') expect(state).toBe(hold === undefined ? 'pending' : 'waiting');
          if (bare.state === 'verified' || bare.state === 'not_in_scope')
            expect({ state, waiting }).toEqual({ state: bare.state, waiting: undefined });
          if (state === 'waiting') expect(waiting).toBeDefined();
          for (const kind of ['install', 'remove'] as const)
            for (const opState of ['queued', 'acked', 'failed'] as const)
              expect(stateOf({ ...facts, op: op(1, { op: kind, state: opState }) }).waiting).toBeUndefined();
        }
  });

  test('the sentence of every state and reason', async () => {
    const lines: string[] = [];
    const say = (what: string, facts: PairFacts) => {
      const { state, waiting, reason } = explain(facts, NOW);
      lines.push(`${what} → ${state}${waiting === undefined ? '' : ` (${waiting})`}\n    ${reason}`);
    };
    for (const [gate, verdictOf] of Object.entries(GATES))
      for (const [held, heldVersion] of Object.entries(HELD))
        if (verdictOf !== undefined || held !== 'what is wanted')
          say(`${gate}, holds ${held}`, pair({ verdict: verdictOf, wantedVersion: verdictOf && 10, heldVersion }));
    for (const hold of REASONS) {
      say(`to be installed, ${hold}`, pair({ hold }));
      say(`to be removed, ${hold}`, pair({ hold, verdict: NO, heldVersion: 10 }));
    }
    for (const kind of ['install', 'remove'] as const)
      for (const state of ['queued', 'acked', 'failed'] as const)
        say(`${kind} ${state}`, pair({ op: op(1, { op: kind, state, ackedAt: later(-MINUTE) }) }));
    for (const why of Object.keys(DRIFT_WORDS) as DriftKind[])
      lines.push(`on the device, ${why} → unmanaged\n    ${explainUnmanaged(why, pair({}).observer, NOW).reason}`);
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden/why.txt');
  });
});

test('the gate says since when a label holds, or when it was last evaluated', () => {
  const gate = (more: Partial<PairFacts>) =>
    explain(pair(more), NOW)
      .evidence.filter(({ about }) => about === 'gate')
      .map(({ says, ageSeconds }) => [says, ageSeconds]);
  expect(gate({ verdict: GATES['in its label'] })).toEqual([['it is in label L1', 5 * 24 * 3600]]);
  expect(gate({ verdict: NO })).toEqual([['it is not in label L2', 1200]]);
  expect(gate({ verdict: LEAVING })).toEqual([['it is in label L4, though its query has said no once', 24 * 3600]]);
  expect(gate({ verdict: BROKEN })).toEqual([
    ['the query of label L5 failed on this host (no such table: wifi)', undefined],
  ]);
});

test('a label that was not evaluated yet has no age, whenever others were', () => {
  const labelNote = (): LabelNote => ({
    since: undefined,
    evaluatedAt: later(-20 * MINUTE),
    noes: 0,
    error: undefined,
  });
  for (const verdict of [OPEN, GONE])
    expect(explain(pair({ verdict, labelNote }), NOW).evidence[0]).toMatchObject({ about: 'gate', at: undefined });
});

test('what was acknowledged and not confirmed is not called known to be there', () => {
  const version = (more: Partial<Op> | undefined) =>
    explain(pair({ heldVersion: 10, op: more && op(1, { state: 'acked', ackedAt: later(-MINUTE), ...more }) }), NOW)
      .evidence.find(({ about }) => about === 'version')
      ?.says.replace('version 10 is wanted, ', '');
  expect(version(undefined)).toBe('version 10 is known to be there');
  expect(version({})).toBe('version 10 was acknowledged, and nobody has confirmed it');
  expect(version({ observedAt: later(-2 * MINUTE) })).toBe('version 10 was acknowledged, and nobody has confirmed it');
  expect(version({ observedAt: later(-1000) })).toBe(
    'version 10 was acknowledged, and a report after that does not show it',
  );
  expect(version({ observedAt: later(-1000), observedUuid: 'other' })).toBe(
    'version 10 was acknowledged, and a report after that shows other content',
  );
  expect(version({ ackedAt: undefined })).toBe('version 10 may be there, and nobody has confirmed it');
  expect(version({ op: 'remove', state: 'queued' })).toBe('version 10 is known to be there');
});

test('a removal that was taken back is no acknowledgement', () => {
  const taken = op(1, { state: 'acked', ackedAt: undefined, createdAt: later(-20_000) });
  expect(explain(pair({ heldVersion: 10, op: taken }), NOW).reason).toBe(
    'Its removal was taken back before the device saw it, 20 s ago; nobody has looked since, waiting for osquery or ProfileList.',
  );
});

test('what is not known since the first enrolment is not called enrolled again', () => {
  const says = (enrollmentGeneration: number) =>
    explain(pair({ verdict: OPEN, hold: 'actual_state_unknown', enrollmentGeneration }), NOW).reason;
  expect(says(1)).toContain('since it enrolled, and whether');
  expect(says(2)).toContain('since it enrolled again, and whether');
});

test('a profile that is on the other channel now is said to be there', () => {
  const { reason, evidence } = explain(
    pair({ verdict: undefined, wantedVersion: undefined, heldVersion: 10, movedTo: 'user' }),
    NOW,
  );
  const says = "the team's profile of this identifier is on the user channel now";
  expect(evidence[0]?.says).toBe(says);
  expect(reason.toLowerCase()).toContain(says);
});

test('the observation is the best evidence there is, with its level and what speaks against more', () => {
  const proof = {
    level: 'version' as const,
    source: 'osquery' as const,
    at: later(-MINUTE),
    note: 'not in force: a b',
  };
  const { evidence } = explain(pair({ heldVersion: 10, proof }), NOW);
  expect(evidence.at(-1)).toEqual({
    about: 'observation',
    says: 'osquery shows this version (version); not in force: a b',
    at: proof.at,
    ageSeconds: 60,
  });
});

test('an identity that is not proven is shown beside the live one', () => {
  const { evidence } = explain(pair({ quarantinedAt: later(-MINUTE) }), NOW);
  expect(evidence).toContainEqual({
    about: 'contact',
    says: 'an identity that is not proven claimed to be this host and is quarantined',
    at: later(-MINUTE),
    ageSeconds: 60,
  });
});

describe('one sentence', () => {
  const says = (more: Partial<PairFacts>) => explain(pair(more), NOW).reason;
  const sent = (more: Partial<Op>) => ({ op: op(1, more) });
  const cases: [Partial<PairFacts>, string][] = [
    [{ heldVersion: 10 }, 'osquery showed this version on the device 3 min ago.'],
    [
      { heldVersion: 10, verdict: OPEN },
      'osquery showed this version on the device 3 min ago; whether it is meant for this host is open: label Laptops has not been evaluated on this host yet, so it stays.',
    ],
    [
      { verdict: OPEN },
      "Whether it is meant for this host is open: label Laptops has not been evaluated on this host yet; this is decided once the host's agent answers.",
    ],
    [
      { verdict: OS },
      'The version of the operating system does not fit: version 16 or newer is asked for, the host has 15.1; it is sent by itself once the host reports one that does.',
    ],
    [{ verdict: NO }, 'It is not meant for this host: it is not in label L2.'],
    [{ verdict: EXCLUDED }, 'It is not meant for this host: it is in the excluded label L1.'],
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

import { describe, expect, test } from 'vitest';
import type { ErrorChainItem } from '../../core/effects.ts';
import { classify, wordsOf } from '../../reconciler/errors.ts';
import { settle } from '../../reconciler/settle.ts';
import type { Op, Settlement } from '../../reconciler/types.ts';
import { catalogueOf, later, MINUTE, NOW, op, profile, row, settings } from './world.ts';

const catalogue = catalogueOf({ profiles: [profile(1)] });
const item = (domain: string, code: number): ErrorChainItem => ({
  domain,
  code,
  description: `${domain} says ${code}`,
});

const OUTCOMES: Record<string, Pick<Settlement, 'outcome' | 'errorChain'>> = {
  acknowledged: { outcome: 'Acknowledged', errorChain: [] },
  transient: { outcome: 'Error', errorChain: [item('MCInstallationErrorDomain', 4009)] },
  needs_user: { outcome: 'Error', errorChain: [item('MCMDMErrorDomain', 12063)] },
  permanent: { outcome: 'Error', errorChain: [item('MCProfileErrorDomain', 1000)] },
  unclassified: { outcome: 'Error', errorChain: [item('SomeNewDomain', 7)] },
  silent: { outcome: 'Error', errorChain: [] },
  format: { outcome: 'CommandFormatError', errorChain: [] },
  unknown: { outcome: 'Unknown', errorChain: [] },
  gone: { outcome: 'Error', errorChain: [item('MDMClientError', 89)] },
  gone12075: { outcome: 'Error', errorChain: [item('MCMDMErrorDomain', 12075)] },
  notOurs: { outcome: 'Error', errorChain: [item('MCMDMErrorDomain', 12013)] },
  other89: { outcome: 'Error', errorChain: [item('MCInstallationErrorDomain', 89)] },
};

function settled(existing: Op | undefined, outcome: string, more: Partial<Settlement> = {}, applied: number[] = []) {
  const settlement = {
    op: { slot: 1, generation: 50 },
    enrollmentGeneration: 1,
    ...OUTCOMES[outcome],
    ...more,
  } as Settlement;
  return settle(catalogue, row(catalogue, { applied }), existing, settlement, NOW, settings);
}

/** What a table cell says: `dropped`, or the state, with `@` where it is tried again by itself. */
function cell(existing: Op, outcome: string, applied: number[]): string {
  const change = settled(existing, outcome, {}, applied);
  if (change === undefined) return 'nothing';
  const [only] = change.changes;
  const what =
    only === undefined || only.kind === 'drop'
      ? 'dropped'
      : `${only.op.state}${only.op.nextAt === undefined ? '' : '@'}`;
  return `${what} [${change.applied.join()}]`;
}

describe('every outcome for every op that waits for one', () => {
  // Version 11 was there before: an error leaves it there.
  const install: Record<string, string> = {
    acknowledged: 'acked@ [10]',
    transient: 'failed@ [11]',
    needs_user: 'failed@ [11]',
    permanent: 'failed [11]',
    unclassified: 'failed@ [11]',
    silent: 'failed@ [11]',
    format: 'failed [11]',
    unknown: 'failed@ [11]',
    gone: 'failed@ [11]',
    gone12075: 'failed@ [11]',
    notOurs: 'failed@ [11]',
    other89: 'failed@ [11]',
  };
  const remove: Record<string, string> = {
    ...install,
    // What is not wanted never stays for good: no content could help a removal.
    permanent: 'failed@ [11]',
    format: 'failed@ [11]',
    acknowledged: 'acked@ []',
    gone: 'dropped []',
    gone12075: 'dropped []',
    notOurs: 'dropped []',
  };
  test.each(Object.entries(install))('install, %s: %s', (outcome, expected) => {
    expect(cell(op(1), outcome, [11])).toBe(expected);
  });
  test.each(Object.entries(remove))('remove, %s: %s', (outcome, expected) => {
    expect(cell(op(1, { op: 'remove', versionId: 11 }), outcome, [11])).toBe(expected);
  });
  test.each(Object.keys(install))('no op, an op already answered: %s changes nothing', (outcome) => {
    expect(settled(undefined, outcome)).toBeUndefined();
    for (const state of ['acked', 'failed'] as const) expect(settled(op(1, { state }), outcome)).toBeUndefined();
  });
});

describe('answers of an older life', () => {
  test('an older or newer generation of the op changes nothing', () => {
    for (const generation of [49, 51])
      expect(settled(op(1), 'acknowledged', { op: { slot: 1, generation } })).toBeUndefined();
  });
  test('another generation of the enrolment changes nothing', () => {
    expect(settled(op(1), 'acknowledged', { enrollmentGeneration: 0 })).toBeUndefined();
    expect(settled(op(1, { enrollmentGeneration: 2 }), 'acknowledged')).toBeUndefined();
  });
});

test('other slots keep what they hold', () => {
  expect(settled(op(1), 'acknowledged', {}, [11, 20, 31])?.applied).toEqual([10, 20, 31]);
});

test('verification is asked for sooner where no agent speaks', () => {
  const ack = (more: object) => {
    const change = settle(
      catalogue,
      row(catalogue, more),
      op(1),
      { op: { slot: 1, generation: 50 }, enrollmentGeneration: 1, outcome: 'Acknowledged', errorChain: [] },
      NOW,
      settings,
    );
    const [only] = change?.changes ?? [];
    return only?.kind === 'set' ? (only.op.nextAt?.getTime() ?? 0) - NOW.getTime() : undefined;
  };
  expect(ack({})).toBe(settings.agentPatienceMs);
  expect(ack({ osqueryState: 'never', osqueryAt: undefined })).toBe(settings.profileListDelayMs);
  expect(ack({ osqueryState: 'table_absent' })).toBe(settings.profileListDelayMs);
  expect(ack({ osqueryAt: later(-settings.agentFreshMs - MINUTE) })).toBe(settings.profileListDelayMs);
});

test('errors back off, then wait a day or stop', () => {
  const delay = (outcome: string, deliveryAttempts: number) => {
    const [only] = settled(op(1, { deliveryAttempts }), outcome)?.changes ?? [];
    if (only?.kind !== 'set') throw new Error('the op is gone');
    expect(only.op.deliveryAttempts).toBe(deliveryAttempts + 1);
    return only.op.nextAt && Math.round((only.op.nextAt.getTime() - NOW.getTime()) / MINUTE);
  };
  const first = [0, 1, 2].map((attempts) => delay('transient', attempts) ?? 0);
  expect(first.every((minutes, index) => minutes >= 2 ** index * 0.8 && minutes <= 2 ** index * 1.2)).toBe(true);
  expect(delay('transient', settings.maxDeliveryAttempts - 1)).toBe(24 * 60);
  expect(delay('unclassified', settings.maxDeliveryAttempts - 1)).toBeUndefined();
  expect(delay('needs_user', 0)).toBe(24 * 60);
});

test('what the device refuses to remove becomes drift', () => {
  const change = settled(op(1, { op: 'remove' }), 'notOurs', {}, [10]);
  expect(change?.observedExtra).toEqual([{ identifier: 'com.example.1', uuid: '', displayName: '', why: 'not_ours' }]);
});

describe('the catalogue of errors', () => {
  test('a cause that says more wins over a generic top-level error', () => {
    const chain = [item('MCInstallationErrorDomain', 4001), item('MCSCEPErrorDomain', 22005)];
    expect(classify('Error', chain)).toMatchObject({ code: 'scep_unreachable', class: 'transient' });
    expect(classify('Error', chain.slice(0, 1))).toMatchObject({ code: 'install_failed', class: 'unclassified' });
  });
  test('an unknown code is shown as domain, number and text', () => {
    expect(classify('Error', [item('SomeNewDomain', 7)]).words).toBe('SomeNewDomain says 7 (SomeNewDomain 7)');
  });
  test('a stored code finds its words again', () => {
    expect(wordsOf('command_format_refused', []).class).toBe('permanent');
    expect(wordsOf('device_locked', [item('MCInstallationErrorDomain', 4009)]).code).toBe('device_locked');
  });
});

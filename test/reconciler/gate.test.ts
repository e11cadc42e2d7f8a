import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GateValue, type GateVerdict, judge, membership, osFits } from '../../reconciler/gate.ts';
import { BARRED, matcherOf, NO, UNKNOWN, YES } from '../../reconciler/match.ts';
import type { CatalogueProfile, IncludeMode, Platform } from '../../reconciler/types.ts';
import { catalogueOf, label, profile, row, slot } from './world.ts';

/** Label 1 holds, 2 does not, 3 is not evaluated, 4 failed, 5 was deleted. */
const catalogue = catalogueOf({ labels: [label(1), label(2), label(3, 9), label(4)] });
const host = row(catalogue, { labelIds: [1, 4], labelEpoch: 5, unknownLabelIds: [4] });
const judged = (more: Partial<CatalogueProfile>) => judge(profile(1, more), host, catalogue.labels);

describe('membership', () => {
  test.each([
    [1, 'yes', undefined],
    [2, 'no', undefined],
    [3, 'unknown', 'not_evaluated'],
    [4, 'unknown', 'query_error'],
    [5, 'unknown', 'label_missing'],
  ] as const)('label %i is %s (%s)', (id, member, cause) => {
    expect(membership(id, host, catalogue.labels)).toEqual({ member, cause });
  });
});

describe('the gate', () => {
  const cases: [IncludeMode, number[], number[], GateValue][] = [
    ['none', [], [], 'yes'],
    ['any', [], [], 'no'],
    ['all', [], [], 'no'],
    ['any', [1], [], 'yes'],
    ['any', [2], [], 'no'],
    ['any', [3], [], 'unknown'],
    ['any', [4], [], 'unknown'],
    ['any', [5], [], 'unknown'],
    ['any', [1, 3], [], 'yes'],
    ['any', [2, 3], [], 'unknown'],
    ['all', [1], [], 'yes'],
    ['all', [2], [], 'no'],
    ['all', [3], [], 'unknown'],
    ['all', [1, 2], [], 'no'],
    ['all', [1, 3], [], 'unknown'],
    ['all', [2, 3], [], 'no'],
    ['none', [], [1], 'no'],
    ['none', [], [2], 'yes'],
    ['none', [], [3], 'unknown'],
    ['none', [], [2, 4], 'unknown'],
    ['none', [], [1, 3], 'no'],
    ['any', [1], [1], 'no'],
    ['any', [3], [1], 'no'],
    ['any', [2], [3], 'no'],
    ['any', [3], [3], 'unknown'],
  ];
  test.each(cases)('%s %j without %j is %s', (includeMode, includeLabelIds, excludeLabelIds, value) => {
    expect(judged({ includeMode, includeLabelIds, excludeLabelIds }).value).toBe(value);
  });

  test('says which label decided', () => {
    expect(judged({ includeMode: 'any', includeLabelIds: [1, 2, 3] }).decidedBy).toMatchObject([
      { labelId: 1, member: 'yes' },
    ]);
    expect(judged({ excludeLabelIds: [1, 3] }).decidedBy).toMatchObject([
      { labelId: 1, role: 'exclude', member: 'yes' },
    ]);
    expect(judged({ includeMode: 'all', includeLabelIds: [1, 3, 4] }).decidedBy).toMatchObject([
      { labelId: 3, cause: 'not_evaluated' },
      { labelId: 4, cause: 'query_error' },
    ]);
  });

  test('a hold is named where the host waits and not where it is not meant', () => {
    expect(judged({ includeMode: 'any', includeLabelIds: [3] }).hold).toBe('label_unknown');
    expect(judged({ includeMode: 'any', includeLabelIds: [2] }).hold).toBeUndefined();
    expect(judged({ minOs: '16' })).toMatchObject({ value: 'no', hold: 'os_gate' });
    expect(judged({ minOs: '16', includeMode: 'any', includeLabelIds: [2] })).toMatchObject({
      value: 'no',
      hold: undefined,
    });
  });
});

describe('the kind of device', () => {
  const on = (platform: Platform, more: Partial<CatalogueProfile>, userEnrollment = false) =>
    judge(profile(1, more), { ...host, platform, userEnrollment }, catalogue.labels);
  const FOR_MACS = { payloadTypes: ['com.apple.wifi.managed', 'com.apple.MCX.FileVault2'] };
  const FOR_PHONES = { payloadTypes: ['com.apple.homescreenlayout'] };
  test.each<[string, Platform, Partial<CatalogueProfile>, GateValue]>([
    ['a payload of macOS on a Mac', 'mac', FOR_MACS, 'yes'],
    ['a payload of macOS on an iPhone', 'iphone', FOR_MACS, 'no'],
    ['a payload of macOS on what has not said what it is', '', FOR_MACS, 'yes'],
    ['a payload of iOS on an iPad', 'ipad', FOR_PHONES, 'yes'],
    ['a payload of iOS on a Mac', 'mac', FOR_PHONES, 'no'],
    ['a payload nobody knows', 'tv', { payloadTypes: ['com.example.own'] }, 'yes'],
    ['TargetDeviceType any', 'tv', { targetDeviceType: 0 }, 'yes'],
    ['TargetDeviceType iPhone and iPad, on an iPad', 'ipad', { targetDeviceType: 1 }, 'yes'],
    ['TargetDeviceType iPhone and iPad, on a Mac', 'mac', { targetDeviceType: 1 }, 'no'],
    ['TargetDeviceType Mac, on a Mac', 'mac', { targetDeviceType: 5 }, 'yes'],
    ['TargetDeviceType HomePod', 'mac', { targetDeviceType: 3 }, 'no'],
    ['TargetDeviceType that Apple has not given', 'mac', { targetDeviceType: 77 }, 'yes'],
  ])('%s: %s', (_name, platform, more, value) => {
    expect(on(platform, more)).toMatchObject({ value, hold: value === 'no' ? 'os_gate' : undefined });
  });

  test('a User Enrolment is not given what Apple forbids it, and says which payload', () => {
    expect(on('mac', FOR_MACS, true)).toEqual({
      value: 'no',
      hold: 'enrollment_kind_forbids',
      decidedBy: [{ kind: 'user_enrollment', platform: 'mac', payloadType: 'com.apple.MCX.FileVault2' }],
    });
    expect(on('mac', { payloadTypes: ['com.apple.wifi.managed'] }, true).value).toBe('yes');
  });

  test('whoever is not meant is not barred', () => {
    expect(on('iphone', { ...FOR_MACS, includeMode: 'any', includeLabelIds: [2] }).hold).toBeUndefined();
  });
});

describe('the range of OS versions', () => {
  test.each([
    ['15.1', undefined, undefined, 'yes'],
    ['', undefined, undefined, 'yes'],
    ['', '14', undefined, 'unknown'],
    ['beta', '14', undefined, 'unknown'],
    ['14', '14.0', undefined, 'yes'],
    ['13.7.9', '14', undefined, 'no'],
    ['14.2.1', '14.2.1', '14.2.1', 'yes'],
    ['14.6', undefined, '14', 'yes'],
    ['14.6.1', undefined, '14.6', 'yes'],
    ['14.7', undefined, '14.6', 'no'],
    ['15', undefined, '14', 'no'],
    ['9', '10', undefined, 'no'],
  ] as const)('%s in %s..%s: %s', (os, min, max, fits) => {
    expect(osFits(os, min, max)).toBe(fits);
  });
});

const labelIds = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 5 });
const randomProfile = fc.record({
  includeMode: fc.constantFrom<IncludeMode>('none', 'any', 'all'),
  includeLabelIds: labelIds,
  excludeLabelIds: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, labelIds),
  minOs: fc.constantFrom(undefined, undefined, '14', '15.1'),
  maxOs: fc.constantFrom(undefined, undefined, '14', '15'),
  payloadTypes: fc.subarray([
    'com.apple.wifi.managed',
    'com.apple.MCX',
    'com.apple.homescreenlayout',
    'com.example.own',
  ]),
  targetDeviceType: fc.constantFrom(undefined, undefined, 0, 1, 5),
});
const randomHost = fc.record({
  labelIds: fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 12 }).map((ids) => ids.sort((a, b) => a - b)),
  unknownLabelIds: fc.oneof(fc.constant([]), fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 4 })),
  labelEpoch: fc.integer({ min: 0, max: 6 }),
  osVersion: fc.constantFrom('', '13.5', '14.6', '15', '15.1'),
  platform: fc.constantFrom<Platform>('mac', 'mac', 'iphone', 'tv', ''),
  userEnrollment: fc.boolean(),
});
// 35 of 40 exist, a third of them younger than some hosts: two words of bits, with holes.
const labels = Array.from({ length: 35 }, (_, index) => label(index + 1, index % 3 === 0 ? (index % 6) + 1 : 0));
const values = { no: NO, unknown: UNKNOWN, yes: YES };
const answerOf = ({ value, hold }: GateVerdict) => (value === 'no' && hold !== undefined ? BARRED : values[value]);

test('the masks of a team answer what the gate answers for each profile', () => {
  fc.assert(
    fc.property(
      fc.array(randomProfile, { maxLength: 12 }),
      fc.array(randomHost, { minLength: 1, maxLength: 4 }),
      (parts, hosts) => {
        const slots = parts.map((_, index) => slot(index + 1));
        const profiles = parts.map((part, index) => profile(index + 1, part));
        const random = catalogueOf({ slots, profiles, labels });
        for (const part of hosts) {
          const subject = row(random, part);
          const { profiles: order, match } = matcherOf(random, subject);
          expect([...match(subject)]).toEqual(order.map((one) => answerOf(judge(one, subject, random.labels))));
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('yes and no are certain: they stay the same however the unknown labels turn out', () => {
  fc.assert(
    fc.property(randomProfile, randomHost, fc.infiniteStream(fc.boolean()), (part, hostPart, coin) => {
      const random = catalogueOf({ slots: [slot(1)], profiles: [profile(1, part)], labels });
      const subject = row(random, hostPart);
      const { value } = judge(profile(1, part), subject, random.labels);
      if (value === 'unknown') return;
      const known = subject.labelIds.filter((id) => membership(id, subject, random.labels).member === 'yes');
      const open = Array.from({ length: 40 }, (_, index) => index + 1).filter(
        (id) => membership(id, subject, random.labels).member === 'unknown',
      );
      const drawn = open.filter(() => coin.next().value as boolean);
      const later = catalogueOf({ labels: Array.from({ length: 40 }, (_, index) => label(index + 1)) });
      const turned = { ...subject, labelIds: [...known, ...drawn].sort((a, b) => a - b), unknownLabelIds: [] };
      expect(judge(profile(1, part), turned, later.labels).value).toBe(value);
    }),
    { numRuns: 500 },
  );
});

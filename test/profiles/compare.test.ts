import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ObservedProfile } from '../../core/effects.ts';
import { compareProfiles, type Expected } from '../../profiles/compare.ts';

const DELIVERED = new Date('2026-01-01T12:00:00.900Z');
const WITNESS = 'ABCDEF01-2345-8789-8BCD-EF0123456789';
const expected: Expected = { slot: 1, identifier: 'a', witness: WITNESS, deliveredAt: DELIVERED };
const seen = (uuid: string, installedAt?: Date, identifier = 'a'): ObservedProfile => ({
  identifier,
  uuid,
  displayName: undefined,
  installedAt,
});
const one = (rows: readonly ObservedProfile[], want: Expected = expected) => compareProfiles([want], rows).slots[0];

describe('compareProfiles', () => {
  it.each([
    ['nothing', [], 'absent', 'absent'],
    ['the version', [seen(WITNESS)], 'version', 'version'],
    ['the version in lower case', [seen(WITNESS.toLowerCase())], 'version', 'version'],
    [
      'another version, installed after delivery',
      [seen('x', new Date('2026-01-01T12:00:01Z'))],
      'other_version',
      'fresh',
    ],
    [
      'another version, in the second of delivery',
      [seen('x', new Date('2026-01-01T12:00:00Z'))],
      'other_version',
      'fresh',
    ],
    ['another version, older', [seen('x', new Date('2026-01-01T11:59:59Z'))], 'other_version', 'present'],
    ['another version of unknown age', [seen('x')], 'other_version', 'present'],
    ['the version and then another', [seen(WITNESS), seen('x')], 'version', 'version'],
    ['the identifier in other capitals: another slot', [seen(WITNESS, undefined, 'A')], 'absent', 'absent'],
  ] as const)('%s', (_name, rows, standing, evidence) => {
    expect(one(rows)).toMatchObject({ standing, evidence });
  });

  it('a profile that was never delivered by us cannot be fresh', () => {
    expect(one([seen('x', new Date('2099-01-01'))], { ...expected, deliveredAt: undefined })?.evidence).toBe('present');
  });

  const identifiers = fc.constantFrom('a', 'b', 'c', 'org.espalier.enrollment', '__proto__');
  const report = fc.array(
    fc.record({
      identifier: identifiers,
      uuid: fc.constantFrom('1', '2', WITNESS),
      displayName: fc.constant(undefined),
      installedAt: fc.option(fc.date({ noInvalidDate: true }), { nil: undefined }),
    }),
    { maxLength: 8 },
  );
  const wanted = fc
    .uniqueArray(identifiers, { maxLength: 5 })
    .map((all) =>
      all.map((identifier, slot): Expected => ({ slot, identifier, witness: '1', deliveredAt: DELIVERED })),
    );

  it('answers every expectation in its order; what is ours is never foreign, and our own profiles never are', () => {
    fc.assert(
      fc.property(wanted, report, (expectations, rows) => {
        const { slots, foreign, duplicates } = compareProfiles(expectations, rows);
        expect(slots.map(({ slot }) => slot)).toEqual(expectations.map(({ slot }) => slot));
        const ours = new Set([...expectations.map(({ identifier }) => identifier), 'org.espalier.enrollment']);
        expect(foreign).toEqual(rows.filter(({ identifier }) => !ours.has(identifier)));
        const names = rows.map(({ identifier }) => identifier);
        const twice = [...new Set(names)].filter((name) => names.indexOf(name) !== names.lastIndexOf(name));
        expect(duplicates.map(({ identifier }) => identifier)).toEqual(twice);
        for (const { identifier, standing, observedUuid } of slots) {
          const uuids = rows.filter((row) => row.identifier === identifier).map((row) => row.uuid);
          expect(standing).toBe(uuids.includes('1') ? 'version' : uuids.length > 0 ? 'other_version' : 'absent');
          expect(observedUuid).toBe(uuids.includes('1') ? '1' : uuids.at(-1));
        }
      }),
    );
  });

  it('rows about other identifiers change nothing', () => {
    fc.assert(
      fc.property(wanted, report, (expectations, rows) => {
        const noise = [seen('n', undefined, 'noise'), ...rows, seen('n', undefined, 'noise')];
        expect(compareProfiles(expectations, noise).slots).toEqual(compareProfiles(expectations, rows).slots);
      }),
    );
  });
});

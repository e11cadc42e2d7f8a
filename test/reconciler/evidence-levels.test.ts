import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ObservedProfile } from '../../core/effects.ts';
import { checksumsSeen, NO_CONTENT, shortChecksum } from '../../reconciler/content-evidence.ts';
import { pairEvidence } from '../../reconciler/pair-evidence.ts';
import { policiesSeen } from '../../reconciler/policy-evidence.ts';
import type { ContentEvidence, Op, ReconRow } from '../../reconciler/types.ts';
import { catalogueOf, later, MINUTE, NOW, observed, op, profile, row, settings } from './world.ts';

const catalogue = catalogueOf({ profiles: [profile(1), profile(2)] });
const NOBODY: ReadonlySet<number> = new Set();
const BUILD = '24B83';

const report = (build: string | undefined, ...profiles: ObservedProfile[]) =>
  ({ state: 'rows', profiles, osBuild: build }) as const;
const seen = (slot: number, version: number, checksum: string) => observed(slot, version, { checksum });
const see = (before: ContentEvidence | undefined, rows: ReturnType<typeof report>, applied = [10], busy = NOBODY) =>
  checksumsSeen(catalogue, before, rows, applied, busy, NOW);
const first = see(undefined, report(BUILD, seen(1, 10, 'one'))) ?? NO_CONTENT;

describe('checksums against the first ones', () => {
  it('the first verified one is the baseline, and saying it again writes nothing', () => {
    expect(first).toMatchObject({ osBuild: BUILD, changed: [], baselines: new Map([[10, shortChecksum('one')]]) });
    expect(see(first, report(BUILD, seen(1, 10, 'one')))).toBeUndefined();
  });
  it('another one is a change, with the time it was seen first, and back again is none', () => {
    const changed = see(first, report(BUILD, seen(1, 10, 'two')));
    expect(changed).toMatchObject({ changed: [10], changedAt: NOW, baselines: first.baselines });
    expect(see(changed, report(BUILD, seen(1, 10, 'three')))).toBeUndefined();
    expect(see(changed, report(BUILD, seen(1, 10, 'one')))).toMatchObject({ changed: [], changedAt: undefined });
  });
  it('another OS build or another version starts another baseline', () => {
    expect(see(first, report('24C101', seen(1, 10, 'two')))).toMatchObject({ osBuild: '24C101', changed: [] });
    const edited = see(first, report(BUILD, seen(1, 11, 'two')), [11]);
    expect(edited).toMatchObject({ changed: [], baselines: new Map([[11, shortChecksum('two')]]) });
  });
  it('what still waits for a verdict proves nothing', () => {
    expect(see(undefined, report(BUILD, seen(1, 10, 'one')), [10], new Set([1]))).toBeUndefined();
    expect(see(first, report(BUILD, seen(1, 10, 'two')), [10], new Set([1]))).toBeUndefined();
  });
  it('another UUID is not this version', () => {
    expect(see(undefined, report(BUILD, seen(1, 12, 'one')), [10])).toBeUndefined();
  });
  it('an agent without the column keeps no baseline alive; one profile without a checksum keeps its own', () => {
    expect(see(first, report(BUILD, observed(1, 10)))).toMatchObject({ osBuild: '', baselines: new Map() });
    const both = see(undefined, report(BUILD, seen(1, 10, 'a'), seen(2, 20, 'b')), [10, 20]);
    expect(see(both, report(BUILD, observed(1, 10), seen(2, 20, 'b')), [10, 20])).toBeUndefined();
  });
  it('what is held no more is forgotten, also by the lists of policies', () => {
    const before = { ...first, effective: [10], ineffective: [{ versionId: 20, missing: ['x'], more: 0 }] };
    expect(see(before, report(BUILD, seen(3, 30, 'x')), [30])).toMatchObject({
      baselines: new Map([[30, shortChecksum('x')]]),
      effective: [],
      ineffective: [],
    });
  });
  it('is sixteen hex digits of whatever text comes', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(shortChecksum(text)).toMatch(/^[0-9a-f]{16}$/);
      }),
    );
    expect(shortChecksum('ABCDEF0123456789'.repeat(2))).toBe('abcdef0123456789');
  });
});

describe('managed policies', () => {
  const expected = new Map([
    [10, [{ domain: 'a', keys: ['x', 'y'] }]],
    [20, []],
    [30, [{ domain: 'b', keys: Array.from({ length: 25 }, (_, index) => `k${index}`) }]],
  ]);
  it('in force is a version whose every key is there; what expects nothing is in neither list', () => {
    const all = [...(expected.get(10) ?? []), ...(expected.get(30) ?? [])].flatMap(({ domain, keys }) =>
      keys.map((name) => ({ domain: domain.toUpperCase(), name })),
    );
    expect(policiesSeen(first, expected, all, NOW)).toMatchObject({
      effective: [10, 30],
      ineffective: [],
      policiesAt: NOW,
      baselines: first.baselines,
    });
  });
  it('missing keys are named up to a bound; a key compares with case, a domain without', () => {
    const { effective, ineffective } = policiesSeen(NO_CONTENT, expected, [{ domain: 'A', name: 'X' }], NOW);
    expect(effective).toEqual([]);
    expect(ineffective[0]).toEqual({ versionId: 10, missing: ['a x', 'a y'], more: 0 });
    expect(ineffective[1]).toMatchObject({ versionId: 30, more: 15 });
    expect(ineffective[1]?.missing).toHaveLength(10);
  });
  it('versions that are not in force are listed up to a bound', () => {
    const many = new Map(Array.from({ length: 80 }, (_, id) => [id, [{ domain: 'a', keys: ['x'] }]] as const));
    expect(policiesSeen(NO_CONTENT, many, [{ domain: 'a', name: 'y' }], NOW).ineffective).toHaveLength(50);
  });
});

describe('the best evidence about a pair', () => {
  const AT = later(-MINUTE);
  const best = (more: Partial<ReconRow>, held?: number, existing?: Op, content?: ContentEvidence) =>
    pairEvidence(
      { row: row(catalogue, more), identifier: 'com.example.1', heldVersionId: held, op: existing, content },
      NOW,
      settings,
    );
  const agent = { osqueryAt: AT, osqueryState: 'rows', profileListAt: later(-MINUTE * 30) } as const;
  const device = { osqueryAt: later(-settings.agentFreshMs * 2), osqueryState: 'rows', profileListAt: AT } as const;
  const unchanged = { ...first, changedAt: undefined };

  it('nobody has looked: none', () => {
    const never = { osqueryAt: undefined, osqueryState: 'never' } as const;
    expect(best(never, 10)).toBeUndefined();
    expect(best(agent, 10, op(1, { createdAt: NOW }))).toBeUndefined();
    expect(best(agent, 10, op(1, { state: 'acked', ackedAt: later(-2 * MINUTE) }))).toBeUndefined();
    expect(best(agent, 10, op(1, { state: 'acked', ackedAt: NOW, observedAt: AT }))).toBeUndefined();
  });
  it.each([
    ['absent', { observedAt: AT }, { level: 'absent', source: 'osquery', at: AT }],
    ['present', { observedAt: AT, observedUuid: 'x' }, { level: 'present', source: 'osquery', at: AT }],
    [
      'fresh',
      { observedAt: AT, observedUuid: 'x', reason: 'other_content_since' },
      { level: 'fresh', source: 'osquery', at: AT },
    ],
    ['nothing of it, as long as it has waited', {}, { level: 'absent', source: 'osquery', at: AT }],
    [
      'the same, seen again since',
      { observedAt: later(-5 * MINUTE), observedUuid: 'x' },
      { level: 'present', source: 'osquery', at: AT },
    ],
  ])('an op remembers what the last report showed: %s', (_name, more, expected) => {
    expect(best(agent, undefined, op(1, more))).toMatchObject(expected);
  });
  it('settled: version from whoever looked last, absent or present where it is not held', () => {
    expect(best(agent, 10)).toEqual({ level: 'version', source: 'osquery', at: AT });
    expect(best(device, 10)).toEqual({ level: 'version', source: 'ProfileList', at: AT });
    expect(best(agent)).toEqual({ level: 'absent', source: 'osquery', at: AT });
    const other = { identifier: 'com.example.1', uuid: 'x', displayName: '', why: 'left_over' as const };
    expect(best({ ...agent, observedExtra: [other] })).toMatchObject({ level: 'present' });
  });
  it('unchanged and effective need an agent that is alive', () => {
    expect(best(agent, 10, undefined, unchanged)).toEqual({ level: 'unchanged', source: 'osquery', at: AT });
    expect(best(device, 10, undefined, unchanged)).toMatchObject({ level: 'version', source: 'ProfileList' });
    const both = { ...agent, profileListAt: later(-1) };
    expect(best(both, 10, undefined, unchanged)).toEqual({ level: 'unchanged', source: 'osquery', at: AT });
    const inForce = { ...unchanged, effective: [10], policiesAt: later(-2) };
    expect(best(agent, 10, undefined, inForce)).toEqual({ level: 'effective', source: 'osquery', at: later(-2) });
  });
  it('changed on the device falls back to version and says when it was seen', () => {
    const changed = { ...unchanged, changed: [10], changedAt: AT, effective: [10], policiesAt: AT };
    expect(best(agent, 10, undefined, changed)).toEqual({
      level: 'version',
      source: 'osquery',
      at: AT,
      note: `its content changed on the device, seen ${AT.toISOString()}`,
    });
  });
  it('keys that are not in force are named', () => {
    const broken = { ...unchanged, ineffective: [{ versionId: 10, missing: ['a x', 'a y'], more: 3 }] };
    expect(best(agent, 10, undefined, broken)).toMatchObject({
      level: 'unchanged',
      note: 'not in force on the device: a x, a y and 3 more',
    });
  });
});

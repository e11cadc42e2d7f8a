import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Change, diffPlists } from '../../plist/diff.ts';
import { isDict, type PlistValue, Real } from '../../plist/types.ts';

const { value } = fc.letrec<{ value: PlistValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<PlistValue>('', 'a', 'b', 0, 1, 2n ** 60n, true, false, new Real(1), new Real(Number.NaN)),
    fc.constantFrom(0, 1).map((at) => new Date(at)),
    fc.uint8Array({ maxLength: 2 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .array(fc.tuple(fc.constantFrom('A', 'B', 'C.D', ''), tie('value')), { maxLength: 4 })
      .map((entries) => new Map(entries)),
  ),
}));

/** Carries changes out on a copy; the last removed elements of an array go first. */
function apply(root: PlistValue, changes: readonly Change[]): PlistValue {
  let now = copy(root);
  const removed = changes.filter(({ kind }) => kind === 'removed').toReversed();
  for (const change of [...removed, ...changes.filter(({ kind }) => kind !== 'removed')]) {
    const last = change.path.at(-1);
    if (last === undefined) {
      now = change.kind === 'removed' ? now : change.after;
      continue;
    }
    const parent = change.path.slice(0, -1).reduce<PlistValue | undefined>((at, part) => inside(at, part), now);
    if (isDict(parent)) {
      const dict = parent as Map<string, PlistValue>;
      if (change.kind === 'removed') dict.delete(String(last));
      else dict.set(String(last), change.after);
    } else if (Array.isArray(parent)) {
      if (change.kind === 'removed') {
        expect(last).toBe(parent.length - 1);
        parent.pop();
      } else parent[Number(last)] = change.after;
    } else throw new Error('the parent is no container');
  }
  return now;
}

function inside(at: PlistValue | undefined, part: string | number): PlistValue | undefined {
  if (isDict(at)) return at.get(String(part));
  return Array.isArray(at) ? at[Number(part)] : undefined;
}

function copy(of: PlistValue): PlistValue {
  if (Array.isArray(of)) return of.map(copy);
  return isDict(of) ? new Map([...of].map(([key, item]) => [key, copy(item)])) : of;
}

describe('diffPlists', () => {
  it('of one list with itself is empty, whatever the order of its keys', () => {
    const turned = (of: PlistValue): PlistValue => {
      if (Array.isArray(of)) return of.map(turned);
      return isDict(of) ? new Map([...of].reverse().map(([key, item]) => [key, turned(item)])) : of;
    };
    fc.assert(
      fc.property(value, (a) => {
        expect(diffPlists(a, turned(a), 100).changes).toEqual([]);
      }),
    );
  });

  it('carried out on the first makes the second', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        const { changes, truncated } = diffPlists(a, b, 10_000);
        expect(truncated).toBe(false);
        expect(diffPlists(apply(a, changes), b, 10).changes).toEqual([]);
      }),
    );
  });

  it('names what was added, removed and changed, and where', () => {
    const a = new Map<string, PlistValue>([
      ['K', 1],
      ['L', [1, 2]],
      ['M', new Map([['N', 'x']])],
    ]);
    const b = new Map<string, PlistValue>([
      ['M', new Map([['N', 'y']])],
      ['L', [1]],
      ['O', true],
    ]);
    expect(diffPlists(a, b, 100).changes).toEqual([
      { kind: 'removed', path: ['K'], before: 1 },
      { kind: 'removed', path: ['L', 1], before: 2 },
      { kind: 'changed', path: ['M', 'N'], before: 'x', after: 'y' },
      { kind: 'added', path: ['O'], after: true },
    ]);
  });

  it('1 is not 1.0, nor true, nor "1"', () => {
    const kinds: PlistValue[] = [1, new Real(1), true, '1', Buffer.from('1'), new Date(1), [1], new Map([['1', 1]])];
    for (const [i, a] of kinds.entries())
      for (const [j, b] of kinds.entries())
        expect([i, j, diffPlists(a, b, 9).changes.length > 0]).toEqual([i, j, i !== j]);
  });

  it('stops at its bound and says so', () => {
    const many = new Map(Array.from({ length: 50 }, (_, index) => [`K${index}`, index as PlistValue]));
    const { changes, truncated } = diffPlists(new Map(), many, 10);
    expect([changes.length, truncated]).toEqual([10, true]);
    expect(diffPlists(new Map(), many, 50).truncated).toBe(false);
  });

  it('a container of hundreds of thousands of parts is compared', () => {
    const wide = Array.from({ length: 300_000 }, (_, index) => index);
    expect(diffPlists(wide, wide.with(-1, -1), 10).changes).toHaveLength(1);
    const keys = (end: number) => new Map(wide.map((index) => [`K${index}`, index === 299_999 ? end : index]));
    expect(diffPlists(keys(1), keys(2), 10).changes).toHaveLength(1);
  });

  it('lists nested far beyond the limit of the reader are compared without recursion', () => {
    const deep = (leaf: PlistValue) => Array.from({ length: 3000 }).reduce<PlistValue>((inner) => [inner], leaf);
    expect(diffPlists(deep(1), deep(2), 10).changes).toHaveLength(1);
  });
});

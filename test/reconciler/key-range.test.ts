import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gapsBetween } from '../../db/key-gaps.ts';
import { sliceOf } from '../../reconciler/key-range.ts';
import type { KeyRange } from '../../reconciler/types.ts';

const MOST = 60;
const range = fc.tuple(fc.nat(MOST), fc.nat(MOST)).map(([one, other]): KeyRange => {
  return { low: Math.min(one, other), high: Math.max(one, other) };
});
const keysOf = ({ low, high }: KeyRange): number[] => Array.from({ length: high - low }, (_, index) => low + index);

test('gaps are the keys that nobody has, each once, ascending', () => {
  fc.assert(
    fc.property(range, fc.array(range, { maxLength: 6 }), (whole, taken) => {
      const others = new Set(taken.flatMap(keysOf));
      expect(gapsBetween(whole, taken).flatMap(keysOf)).toEqual(keysOf(whole).filter((key) => !others.has(key)));
    }),
  );
});

test('slices cover every key once', () => {
  fc.assert(
    fc.property(fc.nat(MOST), fc.nat(MOST), fc.integer({ min: 1, max: 25 }), (low, more, slices) => {
      const all = Array.from({ length: slices }, (_, slice) => sliceOf({ low, high: low + more }, slices, slice));
      expect(all.flatMap(keysOf).filter((key) => key <= low + more)).toEqual(keysOf({ low, high: low + more + 1 }));
    }),
  );
});

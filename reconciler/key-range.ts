import type { KeyRange } from './types.ts';

/** `count` ranges of the same width that cover everything from the lowest to the highest key, both inclusive. */
export function sliceOf(whole: { low: number; high: number }, slices: number, slice: number): KeyRange {
  const width = Math.ceil((whole.high - whole.low + 1) / slices);
  const low = whole.low + width * slice;
  return { low, high: low + width };
}

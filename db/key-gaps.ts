import type { KeyRange } from '../reconciler/types.ts';

/** What of `whole` lies in none of `taken`; ascending, without empty ranges. */
export function gapsBetween(whole: KeyRange, taken: readonly KeyRange[]): KeyRange[] {
  const gaps: KeyRange[] = [];
  let { low } = whole;
  for (const range of [...taken].sort((one, other) => one.low - other.low)) {
    if (range.low > low) gaps.push({ low, high: Math.min(range.low, whole.high) });
    low = Math.max(low, range.high);
  }
  if (low < whole.high) gaps.push({ low, high: whole.high });
  return gaps.filter((gap) => gap.low < gap.high);
}

/** Enrolments from `low` on, before `high`. */
export interface KeyRange {
  readonly low: number;
  readonly high: number;
}

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

/** `count` ranges of the same width that cover everything from the lowest to the highest key, both inclusive. */
export function sliceOf(whole: { low: number; high: number }, slices: number, slice: number): KeyRange {
  const width = Math.ceil((whole.high - whole.low + 1) / slices);
  const low = whole.low + width * slice;
  return { low, high: low + width };
}

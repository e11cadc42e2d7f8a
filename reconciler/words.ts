const UNITS: readonly (readonly [ms: number, name: string])[] = [
  [24 * 3_600_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
];

/** A span in its largest unit, rounded: `40 s`, `3 min`, `2 h`, `5 d`. */
export function inTime(ms: number): string {
  for (const [size, name] of UNITS)
    if (ms >= 2 * size || name === 's') return `${Math.max(0, Math.round(ms / size))} ${name}`;
  return '';
}

export function ago(at: Date | undefined, now: Date): string {
  return at === undefined ? 'at an unknown time' : `${inTime(now.getTime() - at.getTime())} ago`;
}

export function times(count: number): string {
  return count === 1 ? 'once' : count === 2 ? 'twice' : `${count} times`;
}

export function list(parts: readonly string[]): string {
  return parts.length < 2 ? (parts[0] ?? '') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

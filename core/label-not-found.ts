import { EspalierError } from './errors.ts';

const MAX_NEAR = 3;
/** Comparing costs: longer names are nobody's typing mistake. */
const LONGEST = 80;

/** `label_not_found` for a name nobody has, with the names that may have been meant. Pure. */
export function labelNotFound(name: string, known: readonly string[]): EspalierError {
  return new EspalierError('label_not_found', noSuchLabel(name, known), {
    fix: 'Make it first (`espalier label create`), or name one that exists (`espalier get labels`).',
  });
}

export function noSuchLabel(name: string, known: readonly string[]): string {
  const near = known.filter((one) => isNear(name.trim(), one)).slice(0, MAX_NEAR);
  const meant = near.length === 0 ? '' : `; did you mean ${near.map((one) => JSON.stringify(one)).join(' or ')}?`;
  return `there is no label named ${JSON.stringify(name)}${meant}`;
}

/** Other capitals, or few letters off: one in a name of up to nine, two in a longer one. */
function isNear(name: string, known: string): boolean {
  const [one, other] = [name.toLowerCase(), known.toLowerCase()];
  if (one === other) return true;
  if (one.length > LONGEST || other.length < 3) return false;
  const most = other.length >= 10 ? 2 : 1;
  return Math.abs(one.length - other.length) <= most && distance(one, other) <= most;
}

/** Levenshtein's. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}

/** Longer names are nobody's typing mistake, and comparing them costs. */
const LONGEST = 80;
const MOST_NAMES = 200;

/**
 * Names that are not known and look like one that is known and absent: other capitals, or one letter off in a name of at
 * least five, two in one of at least ten. Pure; answers wrong name → the one that may be meant.
 */
export function misspelt(
  names: readonly string[],
  known: readonly string[],
  alsoKnown: readonly string[] = [],
): ReadonlyMap<string, string> {
  const present = new Set(names);
  const all = new Set([...known, ...alsoKnown]);
  const absent = [...all].filter((name) => !present.has(name));
  const strange = names.filter((name) => !all.has(name) && name.length <= LONGEST).slice(0, MOST_NAMES);
  return new Map(
    strange.flatMap((name): [string, string][] => {
      const meant = absent.find((one) => isNear(name, one));
      return meant === undefined ? [] : [[name, meant]];
    }),
  );
}

function isNear(name: string, known: string): boolean {
  if (name.toLowerCase() === known.toLowerCase()) return true;
  const allowed = known.length >= 10 ? 2 : known.length >= 5 ? 1 : 0;
  return Math.abs(name.length - known.length) <= allowed && distance(name, known, allowed) <= allowed;
}

/** Levenshtein's distance, given up where it is beyond `most`. */
function distance(one: string, other: string, most: number): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    if (Math.min(...next) > most) return most + 1;
    row = next;
  }
  return row[other.length] ?? 0;
}

import type { PlistPath } from './locate.ts';
import { isDict, kindOf, type PlistDict, type PlistValue, Real } from './types.ts';

export type Change =
  | { readonly kind: 'added'; readonly path: PlistPath; readonly after: PlistValue }
  | { readonly kind: 'removed'; readonly path: PlistPath; readonly before: PlistValue }
  | {
      readonly kind: 'changed';
      readonly path: PlistPath;
      readonly before: PlistValue;
      readonly after: PlistValue;
    };

export interface Difference {
  readonly changes: readonly Change[];
  /** There is more than `maxChanges`. */
  readonly truncated: boolean;
}

/**
 * What turns one property list into the other, key by key, in the order of the first. The order of a dict's keys is no
 * difference; arrays are compared by position. Carried out in order it makes the second of the first, save that removed
 * elements of an array are its last ones and are named ascending. Iterative; pure.
 */
export function diffPlists(before: PlistValue, after: PlistValue, maxChanges: number): Difference {
  const changes: Change[] = [];
  const open: (Change | { readonly kind: 'compare'; path: PlistPath; before: PlistValue; after: PlistValue })[] = [
    { kind: 'compare', path: [], before, after },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.kind !== 'compare') {
      if (changes.length === maxChanges) return { changes, truncated: true };
      changes.push(next);
      continue;
    }
    const inside = partsOf(next.path, next.before, next.after);
    // One by one: a container may have more parts than a call may have arguments.
    if (inside !== undefined) for (const one of inside.toReversed()) open.push(one);
    else if (!isSameScalar(next.before, next.after)) open.push({ ...next, kind: 'changed' });
  }
  return { changes, truncated: false };
}

/** The parts of two containers of one kind, side by side; undefined where the values have none in common. */
function partsOf(path: PlistPath, before: PlistValue, after: PlistValue) {
  if (isDict(before) && isDict(after)) return keysOf(path, before, after);
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined;
  return Array.from({ length: Math.max(before.length, after.length) }, (_, index) =>
    part([...path, index], before[index], after[index]),
  );
}

function keysOf(path: PlistPath, before: PlistDict, after: PlistDict) {
  const added = [...after.keys()].filter((key) => !before.has(key));
  return [...before.keys(), ...added].map((key) => part([...path, key], before.get(key), after.get(key)));
}

function part(path: PlistPath, before: PlistValue | undefined, after: PlistValue | undefined) {
  if (before === undefined) return { kind: 'added' as const, path, after: after as PlistValue };
  if (after === undefined) return { kind: 'removed' as const, path, before };
  return { kind: 'compare' as const, path, before, after };
}

function isSameScalar(before: PlistValue, after: PlistValue): boolean {
  if (kindOf(before) !== kindOf(after)) return false;
  if (before instanceof Real && after instanceof Real) return Object.is(before.value, after.value);
  if (before instanceof Date && after instanceof Date) return before.getTime() === after.getTime();
  if (before instanceof Uint8Array && after instanceof Uint8Array) return Buffer.compare(before, after) === 0;
  return before === after;
}

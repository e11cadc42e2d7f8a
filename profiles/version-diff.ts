import { createHash } from 'node:crypto';
import { type Change, diffPlists } from '../plist/diff.ts';
import { isDict, type PlistValue, Real } from '../plist/types.ts';
import { pathOf } from './finding.ts';
import { parseMobileconfig } from './parse.ts';

/** Changes in one answer, values in what one of them shows, and UTF-16 units of a text. */
const MAX_CHANGES = 1000;
const MAX_VALUES = 200;
const MAX_TEXT = 2000;

/** A value fit for JSON: data as its hash and size, what is long cut and said so. */
export type ShownValue =
  | string
  | number
  | boolean
  | { readonly type: 'data'; readonly sha256: string; readonly size: number }
  | { readonly type: 'date'; readonly date: string }
  | { readonly type: 'real' | 'integer'; readonly text: string }
  | { readonly type: 'text'; readonly begins: string; readonly length: number }
  | { readonly type: 'dict' | 'array'; readonly size: number }
  | readonly ShownValue[]
  | { readonly [key: string]: ShownValue };

export interface ShownChange {
  readonly kind: Change['kind'];
  readonly path: string;
  readonly before?: ShownValue;
  readonly after?: ShownValue;
}

export interface Diff {
  readonly changes: readonly ShownChange[];
  readonly truncated: boolean;
}

export type VersionDiff = (profileId: number, from: number, to: number) => Promise<Diff>;

export function createVersionDiff(original: (profileId: number, versionId: number) => Promise<Buffer>): VersionDiff {
  return async (profileId, from, to) => {
    const [before, after] = [await original(profileId, from), await original(profileId, to)];
    return diffMobileconfigs(before, after);
  };
}

/** Key by key between what two uploads hold, signatures aside. Errors: profile_malformed. */
export function diffMobileconfigs(before: Buffer, after: Buffer): Diff {
  const { changes, truncated } = diffPlists(parseMobileconfig(before).root, parseMobileconfig(after).root, MAX_CHANGES);
  return {
    changes: changes.map((change) => ({
      kind: change.kind,
      path: pathOf(change.path),
      ...(change.kind === 'added' ? {} : { before: shown(change.before) }),
      ...(change.kind === 'removed' ? {} : { after: shown(change.after) }),
    })),
    truncated,
  };
}

function shown(value: PlistValue): ShownValue {
  return show(value, { left: MAX_VALUES });
}

/** Recursion is as deep as the reader lets a list be, and ends with the budget. */
function show(value: PlistValue, budget: { left: number }): ShownValue {
  budget.left -= 1;
  if (typeof value === 'string')
    return value.length <= MAX_TEXT
      ? value
      : { type: 'text', begins: value.slice(0, MAX_TEXT).toWellFormed(), length: value.length };
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return { type: 'integer', text: String(value) };
  if (value instanceof Real) return { type: 'real', text: String(value.value) };
  if (value instanceof Date) return { type: 'date', date: value.toISOString() };
  if (value instanceof Uint8Array)
    return { type: 'data', sha256: createHash('sha256').update(value).digest('hex'), size: value.length };
  if (isDict(value)) {
    if (value.size > budget.left) return { type: 'dict', size: value.size };
    return Object.fromEntries([...value].map(([key, item]) => [key, show(item, budget)]));
  }
  if (value.length > budget.left) return { type: 'array', size: value.length };
  return value.map((item) => show(item, budget));
}

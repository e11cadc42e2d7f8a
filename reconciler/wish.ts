import { type Catalogue, versionOf } from './catalogue.ts';
import { matcherOf, UNKNOWN, YES } from './match.ts';
import type { CatalogueProfile, GateSubject, HostFacts, ReconRow } from './types.ts';

/** What the gate wishes for one slot: a version, to hold whatever is there, or nothing. */
export type Wish =
  | { readonly kind: 'version'; readonly versionId: number; readonly profile: CatalogueProfile }
  | { readonly kind: 'hold' }
  | undefined;

export interface OpenSlots {
  /** A slot without an entry is not wanted. */
  readonly wishes: ReadonlyMap<number, Wish>;
  /** Version by slot. */
  readonly held: ReadonlyMap<number, number>;
}

/**
 * What is wished and what is held, without the slots of which nothing can follow: they hold the version that is wished
 * and have no op. After an edit that is one slot of a hundred.
 */
export function openSlots(catalogue: Catalogue, row: ReconRow, ops: { has(slotId: number): boolean }): OpenSlots {
  const { profiles, match } = matcherOf(catalogue, row);
  const answers = match(row);
  const { applied } = row;
  const met = new Uint8Array(applied.length);
  const wishes = new Map<number, Wish>();
  const wish = (profile: CatalogueProfile) =>
    wishes.set(profile.slotId, { kind: 'version', versionId: profile.versionId, profile });
  for (let index = 0; index < answers.length; index += 1) {
    const profile = profiles[index] as CatalogueProfile;
    if (answers[index] === UNKNOWN) wishes.set(profile.slotId, { kind: 'hold' });
    if (answers[index] !== YES) continue;
    const at = placeOf(applied, profile.versionId);
    if (at < 0 || ops.has(profile.slotId)) wish(profile);
    else met[at] = 1;
  }
  const held = new Map<number, number>();
  for (let at = 0; at < applied.length; at += 1) {
    if (met[at] === 1) continue;
    const id = applied[at] as number;
    held.set(versionOf(catalogue, id).slotId, id);
  }
  // A slot that holds what is wished and another version besides is open too.
  if (held.size > 0)
    for (let index = 0; index < answers.length; index += 1) {
      const profile = profiles[index] as CatalogueProfile;
      if (answers[index] === YES && held.has(profile.slotId)) wish(profile);
    }
  return { wishes, held };
}

/** Where `id` is in an ascending list; -1: nowhere. */
function placeOf(ascending: readonly number[], id: number): number {
  let low = 0;
  let high = ascending.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const there = ascending[middle] as number;
    if (there === id) return middle;
    if (there < id) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

/** The fingerprint shortcut holds only where no label is unknown and no op exists (design §4). */
export function isSettled(
  catalogue: Catalogue,
  { row, ops }: { readonly row: GateSubject & Pick<ReconRow, 'fingerprint'>; readonly ops: HostFacts['ops'] },
): boolean {
  if (ops.length > 0) return false;
  const { profiles, match, fingerprints } = matcherOf(catalogue, row);
  const answers = match(row);
  if (fingerprints === undefined) {
    for (const [index, profile] of profiles.entries())
      if (answers[index] === YES) versionOf(catalogue, profile.versionId);
    return false;
  }
  let high = 0;
  let low = 0;
  for (let index = 0; index < answers.length; index += 1) {
    const answer = answers[index];
    if (answer === UNKNOWN) return false;
    if (answer !== YES) continue;
    high ^= fingerprints[2 * index] as number;
    low ^= fingerprints[2 * index + 1] as number;
  }
  return high === row.fingerprint.high && low === row.fingerprint.low;
}

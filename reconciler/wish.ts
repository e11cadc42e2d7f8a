import { type Catalogue, versionOf } from './catalogue.ts';
import { EMPTY_FINGERPRINT, equalFingerprints, xor } from './fingerprint.ts';
import { BARRED, matcherOf, NO, UNKNOWN, YES } from './match.ts';
import type { CatalogueProfile, HostFacts, ReconRow } from './types.ts';

/** What the gate wishes for one slot: a version, to hold whatever is there, or nothing. */
export type Wish =
  | { readonly kind: 'version'; readonly versionId: number; readonly profile: CatalogueProfile }
  | { readonly kind: 'hold' }
  | undefined;

/** The gate's wish per slot; a slot without an entry is not wanted. */
export function wishesOf(catalogue: Catalogue, row: ReconRow): Map<number, Wish> {
  const { profiles, match } = matcherOf(catalogue, row);
  const answers = match(row);
  const wishes = new Map<number, Wish>();
  profiles.forEach((profile, index) => {
    if (answers[index] === YES) wishes.set(profile.slotId, { kind: 'version', versionId: profile.versionId, profile });
    if (answers[index] === UNKNOWN) wishes.set(profile.slotId, { kind: 'hold' });
  });
  return wishes;
}

/** The fingerprint shortcut holds only where no label is unknown and no op exists (design §4). */
export function isSettled(catalogue: Catalogue, { row, ops }: Pick<HostFacts, 'row' | 'ops'>): boolean {
  if (ops.length > 0) return false;
  const { profiles, match } = matcherOf(catalogue, row);
  const answers = match(row);
  let sum = EMPTY_FINGERPRINT;
  for (let index = 0; index < answers.length; index += 1) {
    if (answers[index] === NO || answers[index] === BARRED) continue;
    if (answers[index] === UNKNOWN) return false;
    sum = xor(sum, versionOf(catalogue, (profiles[index] as (typeof profiles)[number]).versionId).fingerprint);
  }
  return equalFingerprints(sum, row.fingerprint);
}

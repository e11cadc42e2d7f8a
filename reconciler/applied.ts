import { type Catalogue, fingerprintOf, versionOf } from './catalogue.ts';
import { equalFingerprints } from './fingerprint.ts';
import type { Fingerprint, ReconRow } from './types.ts';

/** What each slot is known to hold. */
export function heldVersions(catalogue: Catalogue, applied: readonly number[]): Map<number, number> {
  return new Map(applied.map((held) => versionOf(catalogue, held)).map(({ slotId, id }) => [slotId, id]));
}

/** `recon.applied`: version ids ascending. */
export function appliedOf(held: ReadonlyMap<number, number>): number[] {
  return [...held.values()].sort((one, other) => one - other);
}

export function sameApplied(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, index) => id === other[index]);
}

/** Does an agent speak for this channel: rows, and not long ago. */
export function agentReports(
  row: Pick<ReconRow, 'osqueryState' | 'osqueryAt'>,
  now: Date,
  agentFreshMs: number,
): boolean {
  return (
    row.osqueryState === 'rows' && row.osqueryAt !== undefined && now.getTime() - row.osqueryAt.getTime() < agentFreshMs
  );
}

/** The sum over `applied` where the stored one is another: then the shortcut would lie. */
export function truerFingerprint(catalogue: Catalogue, row: ReconRow): Fingerprint | undefined {
  const sum = fingerprintOf(catalogue, row.applied);
  return equalFingerprints(sum, row.fingerprint) ? undefined : sum;
}

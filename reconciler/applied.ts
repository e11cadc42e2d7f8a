import { type Catalogue, versionOf } from './catalogue.ts';
import type { ReconRow } from './types.ts';

/** What each slot is known to hold. */
export function heldVersions(catalogue: Catalogue, applied: readonly number[]): Map<number, number> {
  return new Map(applied.map((id) => [versionOf(catalogue, id).slotId, id]));
}

/** `recon.applied`: version ids ascending. */
export function appliedOf(held: ReadonlyMap<number, number>): number[] {
  return [...held.values()].sort((one, other) => one - other);
}

export function sameApplied(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, index) => id === other[index]);
}

/** Does an agent speak for this channel: rows, and not long ago. */
export function agentReports(row: ReconRow, now: Date, agentFreshMs: number): boolean {
  return (
    row.osqueryState === 'rows' && row.osqueryAt !== undefined && now.getTime() - row.osqueryAt.getTime() < agentFreshMs
  );
}

import type { ObservedProfile } from '../core/effects.ts';
import { isOfAnotherServer } from './other-servers.ts';
import type { DriftKind, ExtraProfile, ReconRow } from './types.ts';

/** UTF-16 units of a display name that are kept. */
const MAX_NAME = 255;

/** What is cut first where there is too much of it comes last: one foreign profile among hundreds says least. */
const ORDER: readonly DriftKind[] = ['not_ours', 'left_over', 'duplicate', 'foreign'];

type Seen = Pick<ObservedProfile, 'identifier' | 'uuid' | 'displayName'>;

export function extra(profile: Seen, why: DriftKind): ExtraProfile {
  const name = (profile.displayName ?? '').slice(0, MAX_NAME).toWellFormed();
  return { identifier: profile.identifier, uuid: profile.uuid, displayName: name, why };
}

/** A profile under an identifier that was never ours. The enrolment's own profile is not drift. */
export function driftOf(row: ReconRow, profile: ObservedProfile): ExtraProfile | undefined {
  if (profile.identifier === row.enrollmentProfile) return undefined;
  return extra(profile, isLeftOver(row, profile) ? 'left_over' : 'foreign');
}

/**
 * In force is only the enrolment profile by which this device speaks to us; any other is dead. ProfileList sees that it
 * enrols and osquery does not, so what one of them has recognised stays recognised.
 */
function isLeftOver(row: ReconRow, profile: ObservedProfile): boolean {
  if (profile.enrols === true || isOfAnotherServer(profile.identifier)) return true;
  return row.observedExtra.some(
    (known) => known.why === 'left_over' && known.identifier === profile.identifier && known.uuid === profile.uuid,
  );
}

/**
 * At most `bound`, by kind and identifier, each pair of both once: the same report in another order is the same drift,
 * so nothing is written for it.
 */
export function inDriftOrder(found: readonly ExtraProfile[], bound: number): readonly ExtraProfile[] {
  const unique = new Map(found.map((one) => [`${one.why} ${one.identifier}`, one]));
  return [...unique.values()]
    .sort(
      (one, other) => ORDER.indexOf(one.why) - ORDER.indexOf(other.why) || compare(one.identifier, other.identifier),
    )
    .slice(0, bound);
}

/** A database may give the parts of an item back in another order than they were written in. */
export function sameDrift(one: readonly ExtraProfile[], other: readonly ExtraProfile[]): boolean {
  return (
    one.length === other.length &&
    one.every((item, index) => {
      const { identifier, uuid, displayName, why } = other[index] ?? item;
      return (
        item.identifier === identifier && item.uuid === uuid && item.displayName === displayName && item.why === why
      );
    })
  );
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

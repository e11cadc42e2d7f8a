import type { ObservedProfile } from '../core/effects.ts';
import { isReservedIdentifier } from './payload-rules.ts';

/** What one slot of one channel should hold, or what is being removed from it. */
export interface Expected {
  readonly slot: number;
  readonly identifier: string;
  /** Top-level PayloadUUID of the version. */
  readonly witness: string;
  /** When this version's command was acknowledged; undefined = never by us. */
  readonly deliveredAt?: Date | undefined;
}

export type Standing = 'version' | 'other_version' | 'absent';

/** How much a report proves (design §4): present < fresh (installed at or after delivery) < version (same PayloadUUID). */
export type Evidence = 'absent' | 'present' | 'fresh' | 'version';

export interface SlotComparison {
  readonly slot: number;
  readonly identifier: string;
  readonly standing: Standing;
  readonly evidence: Evidence;
  /** As reported; undefined where absent. */
  readonly observedUuid: string | undefined;
  readonly installedAt: Date | undefined;
  readonly displayName: string | undefined;
}

export interface Comparison {
  /** One per expectation, in its order. */
  readonly slots: readonly SlotComparison[];
  /** On the Mac and not ours: drift, shown and never touched. The server's own profiles are not drift. */
  readonly foreign: readonly ObservedProfile[];
  /** Of each identifier that is listed more than once, one row that the comparison did not go by. */
  readonly duplicates: readonly ObservedProfile[];
}

/**
 * One channel's report against what that channel should hold. A report that lists an identifier twice proves the version
 * if any of them does; otherwise its last row speaks, as the later one replaced the earlier.
 */
export function compareProfiles(expected: readonly Expected[], observed: readonly ObservedProfile[]): Comparison {
  const reported = new Map<string, ObservedProfile[]>();
  for (const profile of observed) {
    const rows = reported.get(profile.identifier);
    if (rows === undefined) reported.set(profile.identifier, [profile]);
    else rows.push(profile);
  }
  const slots = expected.map((one) => compareSlot(one, reported.get(one.identifier) ?? []));
  const ours = new Set(expected.map((one) => one.identifier));
  return {
    slots,
    foreign: observed.filter((profile) => !ours.has(profile.identifier) && !isReservedIdentifier(profile.identifier)),
    duplicates: [...reported].flatMap(([identifier, rows]) => {
      if (rows.length < 2) return [];
      const chosen = slots.find((slot) => slot.identifier === identifier)?.observedUuid ?? rows.at(-1)?.uuid;
      const other = rows.find((row) => row.uuid !== chosen) ?? rows[0];
      return other === undefined ? [] : [other];
    }),
  };
}

export function sameUuid(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function compareSlot(expected: Expected, rows: readonly ObservedProfile[]): SlotComparison {
  const match = rows.find((row) => sameUuid(row.uuid, expected.witness));
  const row = match ?? rows.at(-1);
  return {
    slot: expected.slot,
    identifier: expected.identifier,
    standing: match !== undefined ? 'version' : row !== undefined ? 'other_version' : 'absent',
    evidence:
      match !== undefined ? 'version' : row === undefined ? 'absent' : isFresh(row, expected) ? 'fresh' : 'present',
    observedUuid: row?.uuid,
    installedAt: row?.installedAt,
    displayName: row?.displayName,
  };
}

/** install_date has whole seconds: an install in the second of its delivery must not look older than it. */
function isFresh(row: ObservedProfile, expected: Expected): boolean {
  if (row.installedAt === undefined || expected.deliveredAt === undefined) return false;
  return row.installedAt.getTime() >= Math.floor(expected.deliveredAt.getTime() / 1000) * 1000;
}

import type { SlotKey } from './ports.ts';

/** One wanted profile and what it takes the place of. */
export interface Pairing<Live> {
  /** Position in the wanted list. */
  readonly index: number;
  /** The same identifier on the same channel. */
  readonly live: Live | undefined;
  /** The same identifier on the other channel, wanted there no longer. */
  readonly gives: Live | undefined;
}

/**
 * What a complete list makes of what a team has: every entry with the profile it continues, and the profiles nobody lists.
 * An identifier may be wanted on both channels; on one only, the other's profile moves. Pure.
 */
export function decideSet<Live extends SlotKey>(
  wanted: readonly SlotKey[],
  live: readonly Live[],
): { readonly pairs: readonly Pairing<Live>[]; readonly removed: readonly Live[] } {
  const named = grouped(live);
  const listed = grouped(wanted);
  const kept = new Set<Live>();
  const pairs = wanted.map(({ channel, identifier }, index): Pairing<Live> => {
    const same = named.get(identifier) ?? [];
    const own = same.find((one) => one.channel === channel);
    const other = same.find((one) => one.channel !== channel);
    const otherIsListed = listed.get(identifier)?.some((one) => one.channel !== channel) === true;
    const gives = own === undefined && !otherIsListed ? other : undefined;
    for (const one of [own, gives]) if (one !== undefined) kept.add(one);
    return { index, live: own, gives };
  });
  return { pairs, removed: live.filter((one) => !kept.has(one)) };
}

/** Entries that want one place: index → the index of the first that wants it. Pure. */
export function repeated(wanted: readonly (SlotKey | undefined)[]): ReadonlyMap<number, number> {
  const first = new Map<string, number>();
  const twice = new Map<number, number>();
  for (const [index, entry] of wanted.entries()) {
    if (entry === undefined) continue;
    const key = `${entry.channel} ${entry.identifier}`;
    const earlier = first.get(key);
    if (earlier === undefined) first.set(key, index);
    else twice.set(index, earlier);
  }
  return twice;
}

function grouped<T extends SlotKey>(all: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(one.identifier, [...(groups.get(one.identifier) ?? []), one]);
  return groups;
}

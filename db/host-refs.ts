import { sql } from 'kysely';
import type { Executor } from './database.ts';

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

interface Match {
  readonly ref: string;
  readonly id: string;
  /** Id, UDID, hardware UUID, serial number, name: the surest first. */
  readonly rank: number;
}

/**
 * What people call hosts → their ids. Through indexes but for names, which have none and are looked up only where nothing
 * else fits. UUIDs and serial numbers match in either spelling. A reference that fits several hosts means none of them
 * and is missing from the answer, like one that fits none.
 */
export async function resolveHosts(executor: Executor, refs: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const keyed = await byKey(executor, refs);
  const known = new Set(keyed.map((match) => match.ref));
  const named = await byName(
    executor,
    refs.filter((ref) => !known.has(ref)),
  );
  return onlyOnes([...keyed, ...named]);
}

async function byKey(executor: Executor, refs: readonly string[]): Promise<readonly Match[]> {
  const ids = refs.filter((ref) => UUID.test(ref));
  const spelled = sql`(
    select distinct ref, key from unnest(${sql.val([...refs])}::text[]) as ref
    cross join lateral unnest(array[ref, upper(ref), lower(ref)]) as key
  ) spelled`;
  const { rows } = await sql<Match>`
    select ref, h.id, 1 as rank from unnest(${sql.val(ids)}::text[]) as ref join host h on h.id = ref::uuid
    union all select ref, h.id, 2 from ${spelled} join host h on h.udid = key
    union all select ref, h.id, 3 from ${spelled} join host h on h.hardware_uuid = key
    union all select ref, h.id, 4 from ${spelled} join host h on h.serial_number = key
  `.execute(executor);
  return rows;
}

async function byName(executor: Executor, refs: readonly string[]): Promise<readonly Match[]> {
  if (refs.length === 0) return [];
  const { rows } = await sql<Match>`
    select name as ref, id, 5 as rank from host where name = any(${sql.val([...refs])}::text[]) and name <> ''
  `.execute(executor);
  return rows;
}

function onlyOnes(matches: readonly Match[]): ReadonlyMap<string, string> {
  const best = new Map<string, { rank: number; ids: Set<string> }>();
  for (const { ref, id, rank } of matches) {
    const so = best.get(ref);
    if (so === undefined || rank < so.rank) best.set(ref, { rank, ids: new Set([id]) });
    else if (rank === so.rank) so.ids.add(id);
  }
  return new Map(
    [...best].flatMap(([ref, { ids }]) => (ids.size === 1 ? [...ids].map((id) => [ref, id] as const) : [])),
  );
}

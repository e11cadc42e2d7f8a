/** What the reconciler is measured against: desired minus actual and back, said literally in SQL (scale.md design a1). */
import { sql } from 'kysely';
import { type Database, openDatabase } from '../../db/database.ts';

/** Milliseconds after which it is a lower bound. */
export const DIFFERENCE_LIMIT_MS = 180_000;

/** Milliseconds and the number of differing pairs; no count where the limit was met. */
export async function setDifference(
  databaseUrl: string,
  limitMs: number,
): Promise<{ ms: number; pairs: number | undefined }> {
  const db = await openDatabase({ databaseUrl, poolSize: 1, statementTimeoutMs: limitMs });
  const from = performance.now();
  try {
    const pairs = await difference(db);
    return { ms: performance.now() - from, pairs };
  } catch {
    return { ms: performance.now() - from, pairs: undefined };
  } finally {
    await db.close();
  }
}

export async function difference(db: Database): Promise<number> {
  const { rows } = await sql<{ pairs: number }>`
    -- Materialised: the planner takes the filtered pairs for one row, and would join enrolments to them one by one.
    with live as materialized (
      select e.id, e.host_id, h.team_id from enrollment e join host h on h.id = e.host_id where e.state = 'enrolled'
    ), ideal as (
      select l.id as enrollment_id, p.current_version_id as version_id
      from live l join profile p on p.team_id = l.team_id and p.deleted_at is null
      where case p.include_mode
          when 'none' then true
          when 'any' then exists (
            select from label_member m where m.host_id = l.host_id and m.label_id = any(p.include_label_ids))
          else not exists (
            select from unnest(p.include_label_ids) as k
            where not exists (select from label_member m where m.host_id = l.host_id and m.label_id = k))
        end
        and not exists (select from label_member m where m.host_id = l.host_id and m.label_id = any(p.exclude_label_ids))
    ), actual as (
      select enrollment_id, unnest(applied) as version_id from recon
    )
    select (select count(*) from (select * from ideal except select * from actual) missing)
         + (select count(*) from (select * from actual except select * from ideal) surplus) as pairs
  `.execute(db.read);
  return rows[0]?.pairs ?? -1;
}

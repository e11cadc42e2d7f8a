import { sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { ReconRow } from '../reconciler/types.ts';
import type { Executor } from './database.ts';
import { LABELS_DIFFER, labelTruth } from './label-copies.ts';
import { idList, type LiteRow, RECON_FROM, RECON_LITE, reconRowOf } from './reconcile-rows.ts';

export async function auditRows(
  executor: Executor,
  low: EnrollmentRef,
  high: EnrollmentRef,
): Promise<readonly { row: ReconRow; opCount: number }[]> {
  const { rows } = await sql<LiteRow & { op_count: number }>`
    select ${RECON_LITE} from ${RECON_FROM}
    where r.enrollment_id >= ${low} and r.enrollment_id < ${high} order by r.enrollment_id
  `.execute(executor);
  return rows.map((row) => ({ row: reconRowOf(row), opCount: row.op_count }));
}

/** Team and labels as their sources have them, of live enrolments. */
const truth = (which: ReturnType<typeof sql>) => sql`
  select t.id, h.team_id, t.label_ids, t.label_epoch, t.unknown_label_ids
  from (${labelTruth(sql`e.state = 'enrolled' and ${which}`)}) t join host h on h.id = t.host_id`;
const DIFFER = sql`(r.team_id <> t.team_id or ${LABELS_DIFFER})`;

/**
 * `recon` copies the team and the labels of its host. First the rows are locked, then read again in a statement of its
 * own: one statement would compare a row as it is with members as they were, and undo the change in between.
 */
export async function repairCopies(
  executor: Executor,
  low: EnrollmentRef,
  high: EnrollmentRef,
): Promise<readonly EnrollmentRef[]> {
  const suspects = await sql<{ id: number }>`
    select t.id from (${truth(sql`e.id >= ${low} and e.id < ${high}`)}) t left join recon r on r.enrollment_id = t.id
    where r.enrollment_id is null or ${DIFFER}
  `.execute(executor);
  if (suspects.rows.length === 0) return [];
  const ids = idList(suspects.rows.map((row) => row.id));
  const locked = await sql<{ enrollment_id: number }>`
    select enrollment_id from recon where enrollment_id = any(${ids}) order by enrollment_id for update skip locked
  `.execute(executor);
  const updated = await sql<{ id: number }>`
    update recon r set team_id = t.team_id, label_ids = t.label_ids, label_epoch = t.label_epoch,
      unknown_label_ids = t.unknown_label_ids
    from (${truth(sql`e.id = any(${idList(locked.rows.map((row) => row.enrollment_id))})`)}) t
    where r.enrollment_id = t.id and ${DIFFER}
    returning r.enrollment_id as id
  `.execute(executor);
  const made = await sql<{ id: number }>`
    insert into recon (enrollment_id, team_id, label_ids, label_epoch, unknown_label_ids)
    select t.id, t.team_id, t.label_ids, t.label_epoch, t.unknown_label_ids from (${truth(sql`e.id = any(${ids})`)}) t
    on conflict (enrollment_id) do nothing
    returning enrollment_id as id
  `.execute(executor);
  return [...updated.rows, ...made.rows].map((row) => row.id);
}

/** `recon` copies what is known of the labels of its host; here is what it copies, and when. */
import { type RawBuilder, sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { Executor } from './database.ts';

/** Hosts of one change from which on its queue rows go behind those of devices and people. */
const BULK = 1000;
/** Enrolments in one statement, well within the time that a statement may take. */
const PAGE = 10_000;

/**
 * Members, epoch and unknown labels of these enrolments' hosts, as the tables of the hosts have them: one grouped join,
 * for a look at each host by itself costs a fleet's audit its seconds. Columns id, host_id, label_ids, label_epoch,
 * unknown_label_ids.
 */
export function labelTruth(enrollments: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    select e.id, e.host_id, coalesce(m.label_ids, '{}') as label_ids, coalesce(l.label_epoch, 0) as label_epoch,
      coalesce(l.unknown_label_ids, '{}') as unknown_label_ids
    from enrollment e
    left join host_label l on l.host_id = e.host_id
    left join (
      select m.host_id, array_agg(m.label_id order by m.label_id) as label_ids
      from label_member m
      where m.host_id in (select e.host_id from enrollment e where ${enrollments})
      group by m.host_id
    ) m on m.host_id = e.host_id
    where ${enrollments}`;
}

/** Where the copy is another one. */
export const LABELS_DIFFER = sql`
  (r.label_ids <> t.label_ids or r.label_epoch <> t.label_epoch or r.unknown_label_ids <> t.unknown_label_ids)`;

/**
 * Every channel of these hosts has the labels of its host from here on, and is queued where they were others. The lock
 * is a statement of its own: one statement would read the members as they were before it waited. Of many hosts `page` at
 * a time, ascending: no statement may take as long as a fleet does.
 */
export async function copyLabels(
  executor: Executor,
  hostIds: readonly string[],
  now: Date,
  page = PAGE,
): Promise<void> {
  if (hostIds.length === 0) return;
  const lane = hostIds.length < BULK ? 0 : 1;
  const ofHosts = sql`
    select r.enrollment_id from recon r join enrollment e on e.id = r.enrollment_id
    where e.host_id = any(${sql.val([...hostIds])}::uuid[]) order by r.enrollment_id`;
  if (hostIds.length <= page) {
    await copyTo(executor, await idsOf(executor, sql`${ofHosts} for update of r`), lane, now);
    return;
  }
  const all = await idsOf(executor, ofHosts);
  for (let from = 0; from < all.length; from += page) {
    const some = sql`${sql.val(all.slice(from, from + page))}::bigint[]`;
    const locked = sql`
      select enrollment_id from recon where enrollment_id = any(${some}) order by enrollment_id for update`;
    await copyTo(executor, await idsOf(executor, locked), lane, now);
  }
}

async function idsOf(executor: Executor, query: RawBuilder<unknown>): Promise<EnrollmentRef[]> {
  const { rows } = await sql<{ enrollment_id: EnrollmentRef }>`${query}`.execute(executor);
  return rows.map((row) => row.enrollment_id);
}

async function copyTo(
  executor: Executor,
  enrollments: readonly EnrollmentRef[],
  lane: 0 | 1,
  now: Date,
): Promise<void> {
  if (enrollments.length === 0) return;
  const locked = sql`e.id = any(${sql.val([...enrollments])}::bigint[])`;
  await sql`
    with copied as (
      update recon r set label_ids = t.label_ids, label_epoch = t.label_epoch, unknown_label_ids = t.unknown_label_ids
      from (${labelTruth(locked)}) t where r.enrollment_id = t.id and ${LABELS_DIFFER}
      returning r.enrollment_id
    )
    insert into recon_queue (enrollment_id, reason, due_at, lane)
    select enrollment_id, 'label', ${now}, ${lane} from copied
  `.execute(executor);
}

/**
 * What agents said in an earlier life of a host says nothing of this one: labels with a query are unknown again, and
 * answers to what was asked before this enrolment do not count. What the server judges by itself stays as it is.
 */
export async function forgetAnswers(executor: Executor, enrollment: EnrollmentRef): Promise<void> {
  await sql`
    update host_label h set label_epoch = 0, leaving_label_ids = '{}', leaving_counts = '{}', errors = '{}',
      asked_at = greatest(h.asked_at, e.authenticated_at), ask_soon = h.label_epoch > 0,
      unknown_label_ids = coalesce((
        select array_agg(l.id order by l.id) from label l where l.kind = 'host_vitals' and l.id = any(h.unknown_label_ids)), '{}')
    from enrollment e where e.id = ${enrollment} and h.host_id = e.host_id
  `.execute(executor);
}

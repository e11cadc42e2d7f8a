import { sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { Executor } from './database.ts';

/** As `reconciler/reasons.ts` has it; only types are shared between rooms. */
const NO_OBSERVER = 'no_observer';

/**
 * Per enrolment the slots that live profiles have moved from and that another channel of its host still holds, or is just
 * being rid of. Rarely does a profile move, so this mostly is one look into an empty index.
 */
export async function heldElsewhere(
  executor: Executor,
  enrollments: readonly EnrollmentRef[],
): Promise<ReadonlyMap<EnrollmentRef, readonly number[]>> {
  const moved = await sql<{ slot_id: number }>`
    select distinct moved_from_slot_id as slot_id from profile
    where moved_from_slot_id is not null and deleted_at is null
  `.execute(executor);
  const slots = moved.rows.map((row) => row.slot_id);
  if (slots.length === 0) return new Map();
  const { rows } = await sql<{ id: number; slot_ids: number[] }>`
    select e.id, array_agg(distinct there.slot_id order by there.slot_id) as slot_ids
    from enrollment e
    join enrollment s on s.host_id = e.host_id and s.id <> e.id and s.state = 'enrolled'
    join recon r on r.enrollment_id = s.id
    cross join lateral (
      select o.slot_id from op o where o.enrollment_id = s.id and o.slot_id = any(${sql.val(slots)}::int[])
        -- Acknowledged, and nobody is there who could prove it: not waited for without end.
        and not (o.op = 'remove' and o.state = 'acked' and o.reason = ${NO_OBSERVER})
      union
      select p.slot_id from unnest(r.applied) as a
      join profile_version v on v.id = a join profile p on p.id = v.profile_id
      where p.slot_id = any(${sql.val(slots)}::int[])
    ) there
    where e.id = any(${sql.val([...enrollments])}::bigint[])
    group by e.id
  `.execute(executor);
  return new Map(rows.map((row) => [row.id, row.slot_ids]));
}

/** The other live channels of this enrolment's host, where a profile that has moved away from one of these slots waits. */
export async function queueWaitingFor(
  executor: Executor,
  enrollment: EnrollmentRef,
  slots: readonly number[] | undefined,
  now: Date,
): Promise<boolean> {
  const from = slots === undefined ? sql`is not null` : sql`= any(${sql.val([...slots])}::int[])`;
  const { rows } = await sql`
    insert into recon_queue (enrollment_id, reason, due_at)
    select s.id, 'dependency', ${now}::timestamptz
    from enrollment e join enrollment s on s.host_id = e.host_id and s.id <> e.id and s.state = 'enrolled'
    where e.id = ${enrollment} and exists (
      select from profile p where p.moved_from_slot_id ${from} and p.deleted_at is null)
    returning enrollment_id
  `.execute(executor);
  return rows.length > 0;
}

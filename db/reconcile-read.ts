import { sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import { hostDisplayName } from '../core/host-name.ts';
import type { CountedHost, HostNames } from '../reconciler/ports.ts';
import type { Executor } from './database.ts';
import { idList, type LiteRow, RECON_FROM, RECON_LITE, reconRowOf } from './recon-columns.ts';

export async function hostNames(
  executor: Executor,
  enrollments: readonly EnrollmentRef[],
): Promise<ReadonlyMap<EnrollmentRef, HostNames>> {
  if (enrollments.length === 0) return new Map();
  const { rows } = await sql<{ id: number; host_id: string; name: string; serial: string | null; team_id: number }>`
    select e.id, h.id as host_id, h.name, h.serial_number as serial, h.team_id
    from enrollment e join host h on h.id = e.host_id where e.id = any(${idList(enrollments)})
  `.execute(executor);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        hostId: row.host_id,
        hostName: hostDisplayName({ id: row.host_id, name: row.name, serialNumber: row.serial }),
        serialNumber: row.serial ?? undefined,
        teamId: row.team_id,
      },
    ]),
  );
}

export async function failedIn(
  executor: Executor,
  slotId: number,
  teamIds: readonly number[],
  after: EnrollmentRef,
  limit: number,
): Promise<readonly EnrollmentRef[]> {
  const { rows } = await sql<{ id: number }>`
    select o.enrollment_id as id from op o
    join recon r on r.enrollment_id = o.enrollment_id and r.team_id = any(${sql.val([...teamIds])}::int[])
    join enrollment e on e.id = o.enrollment_id and e.state = 'enrolled'
    where o.slot_id = ${slotId} and o.state = 'failed' and o.enrollment_id > ${after}
    order by o.enrollment_id limit ${limit}
  `.execute(executor);
  return rows.map((row) => row.id);
}

export async function scan(
  executor: Executor,
  after: EnrollmentRef,
  limit: number,
  teamIds?: readonly number[],
): Promise<readonly CountedHost[]> {
  const ofTeams = teamIds === undefined ? sql`true` : sql`r.team_id = any(${sql.val([...teamIds])}::int[])`;
  const { rows } = await sql<LiteRow & { device: number; user_channel: boolean }>`
    select ${RECON_LITE}, coalesce(e.device_id, e.id) as device, e.channel = 'user' or u.there is not null as user_channel
    from ${RECON_FROM}
    -- One look into a small index per row: as a subquery it would be one scan of all enrolments per page.
    left join lateral (select true as there from enrollment u where u.device_id = e.id and u.state = 'enrolled' limit 1) u on true
    -- Said of both sides: else the merge of the two reads enrolments from the first one on.
    where r.enrollment_id > ${after} and e.id > ${after} and ${ofTeams} order by r.enrollment_id limit ${limit}
  `.execute(executor);
  return rows.map((row) => ({
    row: reconRowOf(row),
    opCount: row.op_count,
    device: row.device,
    userChannel: row.user_channel,
  }));
}

import { sql } from 'kysely';
import type { Channel, EnrollmentRef } from '../core/enrollment.ts';
import type { CountedHost, HostNames, HostRead } from '../reconciler/ports.ts';
import type { PushSummary } from '../reconciler/types.ts';
import type { Executor } from './database.ts';
import { readContent } from './reconcile-evidence.ts';
import { idList, type LiteRow, RECON_FROM, RECON_LITE, readFacts, reconRowOf } from './reconcile-rows.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** By id, UDID, serial number or name; a serial number or name that two hosts have finds neither. */
export async function findHost(executor: Executor, ref: string): Promise<string | undefined> {
  const { rows } = await sql<{ id: string }>`
    select id from host
    where id = ${UUID.test(ref) ? ref : null}::uuid or udid = ${ref} or udid = ${ref.toUpperCase()}
      or serial_number = ${ref} or name = ${ref}
    order by id = ${UUID.test(ref) ? ref : null}::uuid desc nulls last limit 2
  `.execute(executor);
  return rows.length === 1 || rows[0]?.id === ref.toLowerCase() ? rows[0]?.id : undefined;
}

interface ChannelColumns {
  readonly id: number;
  readonly enrollment_id: string;
  readonly channel: Channel;
  readonly user_short_name: string | null;
  readonly seen_at: Date | null;
  readonly push_certificate: boolean;
  readonly waiting_since: Date | null;
  readonly last_push_at: Date | null;
  readonly last_status: number | null;
  readonly last_reason: string | null;
  readonly token_retired: boolean;
}

export async function readHost(executor: Executor, hostId: string, now: Date): Promise<HostRead | undefined> {
  const host = await sql<{ id: string; team_id: number }>`
    select id, team_id from host where id = ${UUID.test(hostId) ? hostId : null}::uuid
  `.execute(executor);
  const found = host.rows[0];
  if (found === undefined) return undefined;
  const { rows } = await sql<ChannelColumns>`
    select e.id, e.enrollment_id, e.channel, e.user_short_name, n.seen_at, c.topic is not null as push_certificate,
      o.created_at as waiting_since, s.last_push_at, s.last_status, s.last_reason,
      coalesce(s.token_retired_at >= e.token_updated_at, false) as token_retired
    from enrollment e
    left join enrollment_seen n on n.enrollment_id = e.id left join push_state s on s.enrollment_id = e.id
    left join push_outbox o on o.enrollment_id = e.id left join push_certificate c on c.topic = e.topic and c.not_after > ${now}
    where e.host_id = ${found.id} and e.state = 'enrolled' order by e.channel, e.id
  `.execute(executor);
  const facts = new Map(
    (
      await readFacts(
        executor,
        rows.map((row) => row.id),
      )
    ).map((one) => [one.row.enrollment, one]),
  );
  const contents = await readContent(
    executor,
    rows.map((row) => row.id),
  );
  return {
    hostId: found.id,
    teamId: found.team_id,
    channels: rows.flatMap((row) => {
      const own = facts.get(row.id);
      if (own === undefined) return [];
      return [
        {
          enrollmentId: row.enrollment_id,
          channel: row.channel,
          userShortName: row.user_short_name ?? undefined,
          facts: own,
          content: contents.get(row.id),
          push: pushOf(row),
          seenAt: row.seen_at ?? undefined,
          pushCertificate: row.push_certificate,
        },
      ];
    }),
  };
}

function pushOf(row: ChannelColumns): PushSummary | undefined {
  if (row.waiting_since === null && row.last_push_at === null) return undefined;
  return {
    waitingSince: row.waiting_since ?? undefined,
    lastPushAt: row.last_push_at ?? undefined,
    lastStatus: row.last_status ?? undefined,
    lastReason: row.last_reason ?? undefined,
    tokenRetired: row.token_retired,
  };
}

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
      { hostId: row.host_id, hostName: row.name, serialNumber: row.serial ?? undefined, teamId: row.team_id },
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
    select ${RECON_LITE}, d.id as device, e.channel = 'user' or exists (
        select from enrollment u where u.host_id = e.host_id and u.channel = 'user' and u.state = 'enrolled') as user_channel
    from ${RECON_FROM} where r.enrollment_id > ${after} and ${ofTeams} order by r.enrollment_id limit ${limit}
  `.execute(executor);
  return rows.map((row) => ({
    row: reconRowOf(row),
    opCount: row.op_count,
    device: row.device,
    userChannel: row.user_channel,
  }));
}

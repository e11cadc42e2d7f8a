/** One host, as a page about it reads it. */
import { sql } from 'kysely';
import type { Channel } from '../core/enrollment.ts';
import type { HostRead, LabelNote } from '../reconciler/ports.ts';
import type { GateSubject, Platform, PushSummary } from '../reconciler/types.ts';
import type { Executor } from './database.ts';
import { readContent } from './reconcile-evidence.ts';
import { readFacts } from './reconcile-rows.ts';

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
  readonly waiting_since: Date | null;
  readonly last_push_at: Date | null;
  readonly last_status: number | null;
  readonly last_reason: string | null;
  readonly token_retired: boolean;
}

export async function readHost(executor: Executor, hostId: string): Promise<HostRead | undefined> {
  const host = await sql<{ id: string; team_id: number; team: string; quarantined_at: Date | null }>`
    select h.id, h.team_id, t.name as team, (
      select max(c.pinned_at) from certificate c join enrollment e on e.id = c.enrollment_id
      where e.host_id = h.id and c.standing = 'quarantined') as quarantined_at
    from host h join team t on t.id = h.team_id where h.id = ${UUID.test(hostId) ? hostId : null}::uuid
  `.execute(executor);
  const found = host.rows[0];
  if (found === undefined) return undefined;
  const { rows } = await sql<ChannelColumns>`
    select e.id, e.enrollment_id, e.channel, e.user_short_name, n.seen_at,
      o.created_at as waiting_since, s.last_push_at, s.last_status, s.last_reason,
      coalesce(s.token_retired_at >= e.token_updated_at, false) as token_retired
    from enrollment e
    left join enrollment_seen n on n.enrollment_id = e.id left join push_state s on s.enrollment_id = e.id
    left join push_outbox o on o.enrollment_id = e.id
    where e.host_id = ${found.id} and e.state = 'enrolled' order by e.channel, e.id
  `.execute(executor);
  const refs = rows.map((row) => row.id);
  const facts = new Map((await readFacts(executor, refs)).map((one) => [one.row.enrollment, one]));
  const contents = await readContent(executor, refs);
  return {
    hostId: found.id,
    teamId: found.team_id,
    teamName: found.team,
    labels: await labelNotes(executor, found.id),
    quarantinedAt: found.quarantined_at ?? undefined,
    subject: rows.length === 0 ? await subjectOf(executor, found.id) : undefined,
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
        },
      ];
    }),
  };
}

/** When each label was last known to be what it is on this host; a label without a note never was. */
async function labelNotes(executor: Executor, hostId: string): Promise<ReadonlyMap<number, LabelNote>> {
  const { rows } = await sql<{
    id: number;
    since: Date | null;
    evaluated_at: Date | null;
    noes: number;
    error: string | null;
  }>`
    select l.id, m.since, case when l.kind = 'dynamic' then h.evaluated_at end as evaluated_at,
      coalesce(h.leaving_counts[array_position(h.leaving_label_ids, l.id)], 0) as noes, h.errors ->> l.id::text as error
    from label l left join label_member m on m.label_id = l.id and m.host_id = ${hostId}
    left join host_label h on h.host_id = ${hostId}
    where m.host_id is not null or h.host_id is not null
  `.execute(executor);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        since: row.since ?? undefined,
        evaluatedAt: row.evaluated_at ?? undefined,
        noes: row.noes,
        error: row.error ?? undefined,
      },
    ]),
  );
}

/** What the gate would read of a host that has no live channel. */
async function subjectOf(executor: Executor, hostId: string): Promise<GateSubject | undefined> {
  const { rows } = await sql<{
    team_id: number;
    platform: Platform;
    os_version: string;
    label_ids: number[];
    label_epoch: number;
    unknown_label_ids: number[];
  }>`
    select h.team_id, h.platform, h.os_version,
      coalesce((select array_agg(m.label_id order by m.label_id) from label_member m where m.host_id = h.id), '{}') as label_ids,
      coalesce(l.label_epoch, 0) as label_epoch, coalesce(l.unknown_label_ids, '{}') as unknown_label_ids
    from host h left join host_label l on l.host_id = h.id where h.id = ${hostId}
  `.execute(executor);
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    teamId: row.team_id,
    channel: 'device',
    platform: row.platform,
    userEnrollment: false,
    osVersion: row.os_version,
    labelIds: row.label_ids,
    labelEpoch: row.label_epoch,
    unknownLabelIds: row.unknown_label_ids,
  };
}

export async function teamNames(executor: Executor, teamIds: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const { rows } = await sql<{ id: number; name: string }>`
    select id, name from team where id = any(${sql.val([...teamIds])}::int[])
  `.execute(executor);
  return new Map(rows.map((row) => [row.id, row.name]));
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

/** Pages and counts of drift: what is on devices and should not be, or is not as it was delivered. */
import { type RawBuilder, sql } from 'kysely';
import type { Channel } from '../core/enrollment.ts';
import { hostDisplayName } from '../core/host-name.ts';
import type { DriftCounts, DriftItem, DriftQuery, DriftStore } from '../reconciler/ports.ts';
import { DRIFT_KINDS, type ShownDriftKind } from '../reconciler/types.ts';
import type { Database } from './database.ts';

/** Places of one enrolment's items in a page: what is listed in its row, then ops by slot, then versions. */
const OPS = 1_000;
const VERSIONS = 10_000_000_000;

const BY_HAND: readonly ShownDriftKind[] = ['removed_by_hand', 'replaced_by_hand'];
const CHANGED: ShownDriftKind = 'content_changed';

interface DriftColumns {
  readonly enrollment_id: number;
  readonly place: number;
  readonly kind: ShownDriftKind;
  readonly identifier: string;
  readonly uuid: string;
  readonly display_name: string;
  readonly seen_at: Date | null;
  readonly host_id: string;
  readonly host_name: string;
  readonly serial_number: string | null;
  readonly team: string;
  readonly channel: Channel;
  readonly user_short_name: string | null;
}

export function driftStore(db: Database): DriftStore {
  return {
    async page(query) {
      const { rows } = await sql<DriftColumns>`
        select x.*, h.id as host_id, h.name as host_name, h.serial_number, t.name as team, e.channel, e.user_short_name
        from (${sql.join(
          sources(query).map((source) => sql`(${source} order by 1, 2 limit ${query.limit})`),
          sql` union all `,
        )}) x
        join enrollment e on e.id = x.enrollment_id and e.state = 'enrolled'
        join host h on h.id = e.host_id join team t on t.id = h.team_id
        order by x.enrollment_id, x.place limit ${query.limit}
      `.execute(db.read);
      return rows.map(itemOf);
    },

    async counts(teamId) {
      const { rows } = await sql<{ kind: ShownDriftKind; n: number }>`
        select x.kind, count(*)::int as n from (${sql.join(sources({ teamId, kind: undefined, after: undefined }), sql` union all `)}) x
        join enrollment e on e.id = x.enrollment_id and e.state = 'enrolled' group by x.kind
      `.execute(db.read);
      const found = new Map(rows.map(({ kind, n }) => [kind, n]));
      return Object.fromEntries(DRIFT_KINDS.map((kind) => [kind, found.get(kind) ?? 0])) as DriftCounts;
    },
  };
}

/** Each with the same columns, the first two its place: enrolment, and what comes in which order within it. */
function sources({ teamId, kind, after }: Omit<DriftQuery, 'limit'>): RawBuilder<unknown>[] {
  const { enrollment, place } = after ?? { enrollment: 0, place: 0 };
  const inTeam = teamId === undefined ? sql`true` : sql`r.team_id = ${teamId}`;
  const from = (id: RawBuilder<unknown>, at: RawBuilder<unknown>) =>
    sql`${id} >= ${enrollment}::bigint and (${id}, ${at}) > (${enrollment}::bigint, ${place}::bigint) and ${inTeam}`;
  const listed = sql`
    select r.enrollment_id, d.place, d.item ->> 'why' as kind, d.item ->> 'identifier' as identifier,
      d.item ->> 'uuid' as uuid, d.item ->> 'displayName' as display_name,
      greatest(r.osquery_at, r.profile_list_at) as seen_at
    from recon r cross join lateral jsonb_array_elements(r.observed_extra) with ordinality as d (item, place)
    where r.observed_extra <> '[]' and ${from(sql`r.enrollment_id`, sql`d.place`)}
      and (${kind ?? null}::text is null or d.item ->> 'why' = ${kind ?? null}::text)`;
  const byHand = sql`
    select o.enrollment_id, ${OPS}::bigint + o.slot_id as place, o.reason as kind, s.identifier,
      coalesce(o.observed_uuid, '') as uuid, s.identifier as display_name, o.observed_at as seen_at
    from op o join slot s on s.id = o.slot_id join recon r on r.enrollment_id = o.enrollment_id
    where o.reason = any(${sql.val(kind === undefined ? BY_HAND : [kind])}::text[])
      and ${from(sql`o.enrollment_id`, sql`${OPS}::bigint + o.slot_id`)}`;
  const changed = sql`
    select v.enrollment_id, ${VERSIONS}::bigint + c.id as place, ${CHANGED}::text as kind, s.identifier,
      n.witness_uuid as uuid, n.display_name, v.changed_at as seen_at
    from recon_evidence v join recon r on r.enrollment_id = v.enrollment_id
    cross join lateral unnest(v.changed_ids) as c (id)
    join profile_version n on n.id = c.id join profile p on p.id = n.profile_id join slot s on s.id = p.slot_id
    where v.changed_ids <> '{}' and ${from(sql`v.enrollment_id`, sql`${VERSIONS}::bigint + c.id`)}`;
  if (kind === undefined) return [listed, byHand, changed];
  if (kind === CHANGED) return [changed];
  return BY_HAND.includes(kind) ? [byHand] : [listed];
}

function itemOf(row: DriftColumns): DriftItem {
  return {
    at: { enrollment: row.enrollment_id, place: row.place },
    hostId: row.host_id,
    hostName: hostDisplayName({ id: row.host_id, name: row.host_name, serialNumber: row.serial_number }),
    team: row.team,
    channel: row.channel,
    userShortName: row.user_short_name ?? undefined,
    kind: row.kind,
    identifier: row.identifier,
    uuid: row.uuid,
    displayName: row.display_name,
    seenAt: row.seen_at ?? undefined,
  };
}

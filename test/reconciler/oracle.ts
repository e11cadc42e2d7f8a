/** The definition, as literal SQL: who should have which version, and who is known to have which. */
import { sql } from 'kysely';

/**
 * One row per live enrolment and live profile of its team and channel: true, false, or null where nobody knows. SQL's own
 * logic of three values is the model; labels and team come from their sources and not from the copies in `recon`.
 */
export const VERDICT = sql`
  verdict as (
    select r.enrollment_id, p.slot_id, p.current_version_id as version_id,
      case p.include_mode when 'none' then true when 'any' then any_of.yes else cardinality(p.include_label_ids) > 0 and all_of.yes end
        and not none_of.yes
        and case when p.min_os is null and p.max_os is null then true when h.os_version = '' then null
          else coalesce(string_to_array(h.os_version, '.')::int[] >= string_to_array(p.min_os, '.')::int[], true)
            and coalesce((string_to_array(h.os_version, '.')::int[])[1:cardinality(string_to_array(p.max_os, '.'))]
              <= string_to_array(p.max_os, '.')::int[], true)
        end as wanted
    from recon r join enrollment e on e.id = r.enrollment_id and e.state = 'enrolled' join host h on h.id = e.host_id
    join profile p on p.team_id = h.team_id and p.deleted_at is null and p.current_version_id is not null
    join slot s on s.id = p.slot_id and s.kind = 'mdm' and s.channel = e.channel
    cross join lateral (${membership('include_label_ids')}) any_of
    cross join lateral (${membership('include_label_ids', true)}) all_of
    cross join lateral (${membership('exclude_label_ids')}) none_of
  ), ideal as (
    select enrollment_id, slot_id, version_id from verdict where wanted
  ), current as (
    select r.enrollment_id, p.slot_id, v.id as version_id
    from recon r cross join unnest(r.applied) as a join profile_version v on v.id = a join profile p on p.id = v.profile_id
  )`;

/** OR, or AND, over the labels of a list, each a member, not a member or unknown. */
function membership(list: 'include_label_ids' | 'exclude_label_ids', all = false) {
  const known = sql`l.id is not null and not (l.id = any(r.unknown_label_ids)) and case l.kind
    when 'manual' then true when 'dynamic' then l.epoch <= r.label_epoch else l.filled end`;
  const [sum, deciding, otherwise] = all
    ? [sql`bool_and(m.yes)`, sql`false`, sql`true`]
    : [sql`bool_or(m.yes)`, sql`true`, sql`false`];
  return sql`
    select case when ${sum} is not distinct from ${deciding} then ${deciding} when bool_or(m.yes is null) then null else ${otherwise} end as yes
    from (
      select case when ${known} then exists (select from label_member lm where lm.label_id = l.id and lm.host_id = h.id) end as yes
      from unnest(p.${sql.ref(list)}) as k left join label l on l.id = k
    ) m`;
}

import { type RawBuilder, sql } from 'kysely';
import type { PollAnswer, PollRow } from '../mdm/ports.ts';
import { SEEN_RESOLUTION_SECONDS, WEIGHTY_REQUEST_TYPES } from '../mdm/types.ts';
import type { Executor } from './database.ts';

interface AnswerRow {
  readonly place: number;
  readonly verdict: 'plain' | 'weighty' | 'not_live';
  readonly command_uuid: string | null;
  readonly body_id: number | null;
  readonly left_behind: number | null;
}

/**
 * The turns of many channels in one statement: the rules of `mdm/command.ts`, set-based. Everything reads one snapshot,
 * so a row is decided as if alone, and what it changes it changes once: a command that leaves is deleted, every other
 * command that changes is in `touch` exactly once.
 *
 * Who may poll is decided in the statement itself (certificate, state of channel and device), so no cache outside can
 * hand a command to an identity that has been replaced (R21). An Idle with an empty queue writes nothing, and then
 * costs no commit; `enrollment_seen` follows in steps.
 */
export async function pollStatement(
  executor: Executor,
  rows: readonly PollRow[],
  now: Date,
): Promise<readonly PollAnswer[]> {
  const column = <T>(pick: (row: PollRow) => T): RawBuilder<unknown> => sql.val(rows.map(pick));
  const answer = await sql<AnswerRow>`
    with r as (
      select * from unnest(
        ${column((row) => row.enrollmentId)}::text[], ${column((row) => row.certificateSha256)}::bytea[],
        ${column((row) => row.turn)}::text[], ${column((row) => row.commandUuid ?? null)}::text[],
        ${column((row) => row.outcome ?? null)}::text[], ${column((row) => JSON.stringify(row.errorChain))}::text[],
        ${column((row) => row.result ?? null)}::bytea[], ${column((row) => row.truncated)}::boolean[],
        ${column((row) => row.settled)}::boolean[]
      ) with ordinality as r (
        enrollment_id, sha256, turn, command_uuid, outcome, error_chain, result, truncated, settled, place)
    ), live as (
      select r.*, e.id as ref, c.command_uuid is not null as found,
        c.slot_id is not null or c.request_type = any(${sql.val([...WEIGHTY_REQUEST_TYPES])}::text[]) as heavy,
        next.command_uuid as next_uuid,
        next.command_uuid is null and r.turn = 'finished' and exists (
          select from command x
          where x.enrollment_id = e.id and x.deferred and x.command_uuid is distinct from r.command_uuid
        ) as left_behind
      from r
      join enrollment e on e.enrollment_id = r.enrollment_id and e.state = 'enrolled'
      join enrollment d on d.id = coalesce(e.device_id, e.id) and d.state = 'enrolled' and d.certificate_sha256 = r.sha256
      left join command c on c.enrollment_id = e.id and c.command_uuid = r.command_uuid
      left join lateral (
        select x.command_uuid from command x
        where x.enrollment_id = e.id and (r.turn = 'idle' or not x.deferred)
          and x.command_uuid is distinct from r.command_uuid
        order by x.seq limit 1
      ) next on true
      where (select k.revoked_at from certificate k where k.sha256 = r.sha256) is null
    ), plain as (
      select * from live where turn <> 'finished' or settled or (found and not heavy and not left_behind)
    ), touch as (
      select ref, next_uuid as command_uuid, true as handed_out, false as refused from plain where next_uuid is not null
      union all
      select ref, command_uuid, false, true from plain where turn = 'not_now' and found
      union all
      select p.ref, x.command_uuid, false, false from plain p
      join command x on x.enrollment_id = p.ref and x.deferred and x.command_uuid is distinct from p.next_uuid
      where p.turn = 'idle'
    ), touched as (
      update command c set
        state = case when t.handed_out then 'sent' when t.refused then 'not_now' else c.state end,
        deferred = t.refused,
        deliveries = c.deliveries + t.handed_out::int,
        sent_at = case when t.handed_out then ${now}::timestamptz else c.sent_at end,
        not_now_count = c.not_now_count + t.refused::int,
        not_now_at = case when t.refused then ${now}::timestamptz else c.not_now_at end
      from touch t where c.enrollment_id = t.ref and c.command_uuid = t.command_uuid
      returning c.enrollment_id as ref, c.command_uuid, c.body_id, t.handed_out
    ), finished as (
      delete from command c using plain p
      where p.turn = 'finished' and p.found and c.enrollment_id = p.ref and c.command_uuid = p.command_uuid
      returning c.*, p.outcome, p.error_chain, p.result, p.truncated
    ), history as (
      insert into command_history (
        enrollment_id, command_uuid, request_type, origin, outcome, enrollment_generation, slot_id, op_generation,
        body_id, error_chain, result, truncated, deliveries, not_now_count, queued_at, sent_at, finished_at)
      select enrollment_id, command_uuid, request_type, origin, outcome, enrollment_generation, slot_id, op_generation,
        body_id, error_chain::jsonb, result, truncated, deliveries, not_now_count, queued_at, sent_at,
        ${now}::timestamptz
      from finished
    ), seen as (
      insert into enrollment_seen (enrollment_id, seen_at)
      select p.ref, ${now}::timestamptz from plain p
      -- A scalar subquery is looked up row by row; as a join it could be planned as a scan of every Mac there is.
      where coalesce((
        select s.seen_at < ${now}::timestamptz - make_interval(secs => ${SEEN_RESOLUTION_SECONDS}::int)
        from enrollment_seen s where s.enrollment_id = p.ref), true)
      on conflict (enrollment_id) do update set seen_at = greatest(enrollment_seen.seen_at, excluded.seen_at)
    )
    select r.place, t.command_uuid, t.body_id, case when l.left_behind then l.ref end as left_behind,
      case when l.ref is null then 'not_live' when p.ref is null then 'weighty' else 'plain' end as verdict
    from r
    left join live l on l.place = r.place
    left join plain p on p.place = r.place
    left join touched t on t.ref = p.ref and t.handed_out
    order by r.place
  `.execute(executor);
  return answer.rows.map(answerOf);
}

function answerOf(row: AnswerRow): PollAnswer {
  if (row.verdict !== 'plain') return { kind: row.verdict };
  return row.command_uuid === null || row.body_id === null
    ? { kind: 'nothing', leftBehind: row.left_behind ?? undefined }
    : { kind: 'command', commandUuid: row.command_uuid, bodyId: row.body_id };
}

import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { ErrorChainItem } from '../core/effects.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { CommandStore, LateResult, PollRow, ReportedCommand } from '../mdm/ports.ts';
import type { CommandDetail, CommandOrigin, CommandState, CommandView, LiveCommand, NewCommand } from '../mdm/types.ts';
import { type Database, type Executor, executorOf } from './database.ts';
import { pollStatement } from './poll-statement.ts';

interface LiveRow {
  readonly command_uuid: string;
  readonly seq: number;
  readonly request_type: string;
  readonly state: CommandState;
  readonly deferred: boolean;
  readonly enrollment_generation: number;
  readonly slot_id: number | null;
  readonly op_generation: number | null;
  readonly deliveries: number;
  readonly not_now_count: number;
}

export function commandStore(db: Database): CommandStore {
  return {
    statementsAtOnce: db.kind === 'pglite' ? 1 : 4,
    isRowFault,

    poll: (rows, now) => pollStatement(db.read, rows, now),
    pollIn: (tx, rows, now) => pollStatement(executorOf(tx), rows, now),

    async bodies(ids) {
      const { rows } = await sql<{ id: number; bytes: Buffer }>`
        select id, bytes from command_body where id = any(${sql.val([...ids])}::bigint[])
      `.execute(db.read);
      return new Map(rows.map((row) => [row.id, row.bytes]));
    },

    reported: (tx, rows) => reported(executorOf(tx), rows),
    recordLate: (tx, late, now) => recordLate(executorOf(tx), late, now),
    enqueue: (tx, commands, now) => enqueue(executorOf(tx), commands, now),

    list: (enrollments, limit) => list(db.read, enrollments, limit),
    get: (enrollment, commandUuid) => get(db.read, enrollment, commandUuid),
  };
}

/** SQLSTATE classes 22 (data), 23 (constraint) and 40 (deadlock, serialisation): other rows may well pass. */
function isRowFault(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^(22|23|40)/.test(code);
}

function liveCommandOf(row: LiveRow): LiveCommand {
  return {
    commandUuid: row.command_uuid,
    seq: row.seq,
    requestType: row.request_type,
    state: row.state,
    deferred: row.deferred,
    enrollmentGeneration: row.enrollment_generation,
    op:
      row.slot_id === null || row.op_generation === null
        ? undefined
        : { slot: row.slot_id, generation: row.op_generation },
    deliveries: row.deliveries,
    notNowCount: row.not_now_count,
  };
}

async function reported(
  executor: Executor,
  rows: readonly PollRow[],
): Promise<readonly (ReportedCommand | undefined)[]> {
  const found = await sql<LiveRow & { place: number; enrollment_id: number }>`
    with r as (
      select * from unnest(
        ${sql.val(rows.map((row) => row.enrollmentId))}::text[], ${sql.val(rows.map((row) => row.certificateSha256))}::bytea[],
        ${sql.val(rows.map((row) => row.commandUuid ?? null))}::text[]
      ) with ordinality as r (enrollment_id, sha256, command_uuid, place)
    ), who as materialized (
      -- Enrolment before command, as a re-enrolment takes them, so that the two wait instead of blocking each other.
      select r.place, r.command_uuid, e.id from r
      join enrollment e on e.enrollment_id = r.enrollment_id and e.state = 'enrolled'
      join enrollment d on d.id = coalesce(e.device_id, e.id) and d.state = 'enrolled' and d.certificate_sha256 = r.sha256
      where (select k.revoked_at from certificate k where k.sha256 = r.sha256) is null
      order by d.id, e.id for share of e, d
    )
    select who.place, c.enrollment_id, c.command_uuid, c.seq, c.request_type, c.state, c.deferred,
      c.enrollment_generation, c.slot_id, c.op_generation, c.deliveries, c.not_now_count
    from who join command c on c.enrollment_id = who.id and c.command_uuid = who.command_uuid
    order by c.enrollment_id for update of c
  `.execute(executor);
  const byPlace = new Map(found.rows.map((row) => [row.place, row]));
  return rows.map((_, index) => {
    const row = byPlace.get(index + 1);
    return row && { enrollment: row.enrollment_id, command: liveCommandOf(row) };
  });
}

async function recordLate(executor: Executor, late: LateResult, now: Date): Promise<void> {
  const errorChain = JSON.stringify(late.errorChain);
  await sql`
    with counted as (
      update command_history set
        duplicate_reports = duplicate_reports + 1,
        result = coalesce(result, ${late.result}), truncated = case when result is null then ${late.truncated} else truncated end,
        error_chain = case when result is null then ${errorChain}::jsonb else error_chain end
      where enrollment_id = ${late.enrollment} and command_uuid = ${late.commandUuid} and command_uuid <> ''
      returning 1
    )
    insert into command_history (
      enrollment_id, command_uuid, request_type, origin, outcome, orphan, enrollment_generation, error_chain, result,
      truncated, finished_at)
    select ${late.enrollment}, ${late.commandUuid}, '', 'api', ${late.outcome}, true, e.generation,
      ${errorChain}::jsonb, ${late.result}, ${late.truncated}, ${now}
    from enrollment e where e.id = ${late.enrollment} and not exists (select from counted)
  `.execute(executor);
}

async function enqueue(
  executor: Executor,
  commands: readonly NewCommand[],
  now: Date,
): Promise<ReadonlySet<EnrollmentRef>> {
  if (commands.length === 0) return new Set();
  const hashes = commands.map(({ body }) => createHash('sha256').update(body).digest());
  const bodies = new Map(commands.map(({ body }, index) => [(hashes[index] as Buffer).toString('hex'), body]));
  await sql`
    insert into command_body (sha256, bytes)
    select * from unnest(
      ${sql.val([...bodies.keys()].map((hex) => Buffer.from(hex, 'hex')))}::bytea[], ${sql.val([...bodies.values()])}::bytea[]
    ) as b (sha256, bytes) order by b.sha256
    on conflict (sha256) do nothing
  `.execute(executor);
  // A statement of its own: a body another transaction has just committed is in this snapshot and was not in the last.
  const { rows } = await sql<{ enrollment_id: number }>`
    with n as (
      select * from unnest(
        ${sql.val(commands.map((c) => c.enrollment))}::bigint[], ${sql.val(commands.map((c) => c.commandUuid))}::text[],
        ${sql.val(commands.map((c) => c.requestType))}::text[], ${sql.val(hashes)}::bytea[],
        ${sql.val(commands.map((c) => c.origin))}::text[], ${sql.val(commands.map((c) => c.op?.slot ?? null))}::int[],
        ${sql.val(commands.map((c) => c.op?.generation ?? null))}::int[]
      ) with ordinality as n (enrollment_id, command_uuid, request_type, sha256, origin, slot_id, op_generation, place)
    ), live as materialized (
      -- Shared lock: a re-enrolment that is under way empties the queue before or after this, not beside it (R22).
      select id, generation from enrollment
      where id in (select enrollment_id from n) and state = 'enrolled' order by id for share
    )
    insert into command (
      enrollment_id, command_uuid, request_type, body_id, origin, state, enrollment_generation, slot_id, op_generation,
      queued_at)
    select n.enrollment_id, n.command_uuid, n.request_type, b.id, n.origin, 'queued', l.generation, n.slot_id,
      n.op_generation, ${now}
    from n join live l on l.id = n.enrollment_id join command_body b on b.sha256 = n.sha256
    -- Both tables in one snapshot: a command that is just moving from the one to the other is in exactly one of them.
    where not exists (
      select from command_history h where h.enrollment_id = n.enrollment_id and h.command_uuid = n.command_uuid)
    and not exists (select from command c where c.enrollment_id = n.enrollment_id and c.command_uuid = n.command_uuid)
    order by n.place
    on conflict (enrollment_id, command_uuid) do nothing
    returning enrollment_id
  `.execute(executor);
  return new Set(rows.map((row) => row.enrollment_id));
}

interface ViewRow {
  readonly enrollment_id: string;
  readonly command_uuid: string;
  readonly request_type: string;
  readonly origin: CommandOrigin;
  readonly state: CommandView['state'];
  readonly orphan: boolean;
  readonly enrollment_generation: number;
  readonly deliveries: number;
  readonly not_now_count: number;
  readonly duplicate_reports: number;
  readonly error_chain: readonly ErrorChainItem[];
  readonly queued_at: Date | null;
  readonly sent_at: Date | null;
  readonly finished_at: Date | null;
  readonly body: Buffer | null;
  readonly result: Buffer | null;
  readonly truncated: boolean;
}

/** Columns of both tables under one name; `live` first. */
const LIVE = sql`
  c.command_uuid, c.request_type, c.origin, c.state, false as orphan, c.enrollment_generation, c.deliveries,
  c.not_now_count, 0 as duplicate_reports, '[]'::jsonb as error_chain, c.queued_at, c.sent_at,
  null::timestamptz as finished_at`;
const FINISHED = sql`
  h.command_uuid, h.request_type, h.origin, h.outcome as state, h.orphan, h.enrollment_generation, h.deliveries,
  h.not_now_count, h.duplicate_reports, h.error_chain, h.queued_at, h.sent_at, h.finished_at`;

async function list(executor: Executor, refs: readonly EnrollmentRef[], limit: number): Promise<CommandView[]> {
  const ids = sql.val([...refs]);
  const { rows } = await sql<ViewRow>`
    select e.enrollment_id, v.* from (
      (select c.enrollment_id as ref, ${LIVE} from command c
       where c.enrollment_id = any(${ids}::bigint[]) order by c.queued_at desc, c.seq desc limit ${limit})
      union all
      (select h.enrollment_id as ref, ${FINISHED} from command_history h
       where h.enrollment_id = any(${ids}::bigint[]) order by h.finished_at desc limit ${limit})
    ) v join enrollment e on e.id = v.ref
    order by v.finished_at desc nulls first, v.queued_at desc limit ${limit}
  `.execute(executor);
  return rows.map(viewOf);
}

async function get(executor: Executor, ref: EnrollmentRef, commandUuid: string): Promise<CommandDetail | undefined> {
  const { rows } = await sql<ViewRow>`
    select e.enrollment_id, v.*, b.bytes as body from (
      select c.enrollment_id as ref, c.body_id, null::bytea as result, false as truncated, ${LIVE} from command c
      where c.enrollment_id = ${ref} and c.command_uuid = ${commandUuid}
      union all
      select h.enrollment_id as ref, h.body_id, h.result, h.truncated, ${FINISHED} from command_history h
      where h.enrollment_id = ${ref} and h.command_uuid = ${commandUuid}
    ) v join enrollment e on e.id = v.ref left join command_body b on b.id = v.body_id
    limit 1
  `.execute(executor);
  const row = rows[0];
  return (
    row && {
      ...viewOf(row),
      command: row.body ?? undefined,
      result: row.result ?? undefined,
      truncated: row.truncated,
    }
  );
}

function viewOf(row: ViewRow): CommandView {
  return {
    enrollmentId: row.enrollment_id,
    commandUuid: row.command_uuid,
    requestType: row.request_type,
    origin: row.origin,
    state: row.state,
    orphan: row.orphan,
    enrollmentGeneration: row.enrollment_generation,
    deliveries: row.deliveries,
    notNowCount: row.not_now_count,
    duplicateReports: row.duplicate_reports,
    errorChain: row.error_chain,
    queuedAt: row.queued_at ?? undefined,
    sentAt: row.sent_at ?? undefined,
    finishedAt: row.finished_at ?? undefined,
  };
}

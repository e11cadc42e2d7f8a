/** How decisions are written: a fixed number of statements, however many enrolments. */
import { type RawBuilder, sql } from 'kysely';
import type { Body, FactsWrite, NewCommand, OpsWrite, PlanWrite } from '../reconciler/ports.ts';
import type { Op } from '../reconciler/types.ts';
import type { Executor } from './database.ts';
import { ON_WAITING_PUSH } from './push-request.ts';

export async function writePlans(
  executor: Executor,
  writes: readonly PlanWrite[],
  bodies: readonly Body[],
  now: Date,
): Promise<void> {
  const bodyIds = await internBodies(executor, bodies);
  const issued = writes.flatMap((write) => issuedBy(write, now));
  const withCommand = new Set(issued.map(({ fresh }) => fresh));
  await endOps(executor, writes, now);
  const others = pairs(writes, (write) => write.upserts.filter((op) => !withCommand.has(op)));
  if (others.length > 0) await upsertOps(others, now).execute(executor);
  await insertCommands(executor, issued, bodyIds, now);
  await updateRecon(executor, writes, now);
  await wake(executor, writes, now);
}

/** A command, and with it its op where that is a new one. */
interface Issued {
  readonly write: PlanWrite;
  readonly command: NewCommand;
  readonly fresh: Op | undefined;
}

function issuedBy(write: PlanWrite, now: Date): Issued[] {
  const fresh = new Map(write.upserts.flatMap((op) => (isFresh(op, now) ? [[op.commandUuid, op]] : [])));
  return write.commands.map((command) => ({ write, command, fresh: fresh.get(command.uuid) }));
}

/** As `freshOp` makes it: then all but a few columns are the same for every row of a batch, and need not travel. */
function isFresh(op: Op, now: Date): boolean {
  return (
    op.commandUuid !== undefined &&
    op.state === 'queued' &&
    op.reason === '' &&
    op.deliveryAttempts === 0 &&
    op.verifyMisses === 0 &&
    op.errorChain.length === 0 &&
    op.nextAt === undefined &&
    op.ackedAt === undefined &&
    op.observedUuid === undefined &&
    op.observedAt === undefined &&
    op.createdAt.getTime() === now.getTime()
  );
}

async function updateRecon(executor: Executor, writes: readonly PlanWrite[], now: Date): Promise<void> {
  const ids = column(writes, (w) => w.row.enrollment);
  await sql`
    update recon r set rev = t.rev, op_count = t.op_count, checked_at = ${now}
    from unnest(${ids}::bigint[], ${column(writes, (w) => w.rev)}::int[], ${column(writes, (w) => w.opCount)}::int[])
      as t (id, rev, op_count)
    where r.enrollment_id = t.id
  `.execute(executor);
  const summed = writes.flatMap(({ row, fingerprint }) =>
    fingerprint === undefined ? [] : [{ id: row.enrollment, ...fingerprint }],
  );
  if (summed.length === 0) return;
  await sql`
    update recon r set applied_fp = ${bits(sql`t.high`, sql`t.low`)}
    from unnest(${column(summed, (one) => one.id)}::bigint[], ${column(summed, (one) => one.high)}::int[],
      ${column(summed, (one) => one.low)}::int[]) as t (id, high, low)
    where r.enrollment_id = t.id
  `.execute(executor);
}

/**
 * One waiting push per enrolment. A poll that waited for a command which is cancelled here answers "nothing", so what is
 * left in that queue needs a push too.
 */
async function wake(executor: Executor, writes: readonly PlanWrite[], now: Date): Promise<void> {
  const woken = writes.filter(({ commands, cancels }) => commands.length + cancels.length > 0);
  if (woken.length === 0) return;
  await sql`
    insert into push_outbox (enrollment_id, reason, due_at, created_at)
    select id, 'reconcile', ${now}, ${now}
    from unnest(${column(woken, (w) => w.row.enrollment)}::bigint[], ${column(woken, (w) => w.commands.length > 0)}::boolean[])
      as t (id, sends)
    where sends or exists (select from command c where c.enrollment_id = id) order by id
    ${ON_WAITING_PUSH}
  `.execute(executor);
}

/** One statement for what nearly every answer of a device changes: its op and what the device is known to hold. */
export async function writeFacts(executor: Executor, write: FactsWrite, now: Date): Promise<void> {
  await endOps(executor, [write], now);
  const upserts = pairs([write], ({ upserts }) => upserts);
  const ops = upserts.length === 0 ? sql`` : sql`with ops as (${upsertOps(upserts, now)}) `;
  await sql`
    ${ops}update recon set applied = ${sql.val([...write.applied])}::int[],
      applied_fp = ${bits(sql`${write.fingerprint.high}::int`, sql`${write.fingerprint.low}::int`)},
      actual_known = ${write.actualKnown}, observed_extra = ${JSON.stringify(write.observedExtra)}::jsonb,
      op_count = ${write.opCount}
    where enrollment_id = ${write.row.enrollment}
  `.execute(executor);
}

/** Two signed halves as the int8 they are halves of. */
function bits(high: RawBuilder<unknown>, low: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`((${high}::bigint << 32) | (${low}::bigint & 4294967295))`;
}

/** Bytes travel only where the table lacks them: most batches of an edit repeat the same few. */
async function internBodies(executor: Executor, bodies: readonly Body[]): Promise<ReadonlyMap<string, number>> {
  const ids = await bodyIds(executor, bodies);
  const missing = bodies.filter((body) => !ids.has(body.sha256.toString('hex')));
  if (missing.length === 0) return ids;
  await sql`
    insert into command_body (sha256, bytes)
    select * from unnest(${column(missing, (b) => b.sha256)}::bytea[], ${column(missing, (b) => b.bytes)}::bytea[])
      as b (sha256, bytes) order by sha256
    on conflict (sha256) do nothing
  `.execute(executor);
  // A statement of its own: what another transaction has just committed is in this snapshot and was not in the last.
  return bodyIds(executor, bodies);
}

async function bodyIds(executor: Executor, bodies: readonly Body[]): Promise<Map<string, number>> {
  if (bodies.length === 0) return new Map();
  const { rows } = await sql<{ id: number; sha256: Buffer }>`
    select id, sha256 from command_body where sha256 = any(${column(bodies, (b) => b.sha256)}::bytea[])
  `.execute(executor);
  return new Map(rows.map((row) => [row.sha256.toString('hex'), row.id]));
}

async function endOps(executor: Executor, writes: readonly OpsWrite[], now: Date): Promise<void> {
  await cancelCommands(
    executor,
    pairs(writes, (write) => write.cancels),
    now,
  );
  const drops = pairs(writes, (write) => write.drops);
  if (drops.length === 0) return;
  await sql`
    delete from op using unnest(${column(drops, ([id]) => id)}::bigint[], ${column(drops, ([, slot]) => slot)}::int[])
      as t (enrollment_id, slot_id)
    where op.enrollment_id = t.enrollment_id and op.slot_id = t.slot_id
  `.execute(executor);
}

/** Never waits: a command that a device's answer holds just now is finished by that answer. */
async function cancelCommands(
  executor: Executor,
  cancels: readonly (readonly [number, string])[],
  now: Date,
): Promise<void> {
  if (cancels.length === 0) return;
  await sql`
    with held as (
      select c.enrollment_id, c.command_uuid from command c
      join unnest(${column(cancels, ([id]) => id)}::bigint[], ${column(cancels, ([, uuid]) => uuid)}::text[])
        as t (enrollment_id, command_uuid) using (enrollment_id, command_uuid)
      for update of c skip locked
    ), gone as (
      delete from command c using held
      where c.enrollment_id = held.enrollment_id and c.command_uuid = held.command_uuid returning c.*
    )
    insert into command_history (
      enrollment_id, command_uuid, request_type, origin, outcome, enrollment_generation, slot_id, op_generation, body_id,
      deliveries, not_now_count, queued_at, sent_at, finished_at)
    select enrollment_id, command_uuid, request_type, origin, 'cancelled', enrollment_generation, slot_id, op_generation,
      body_id, deliveries, not_now_count, queued_at, sent_at, ${now}
    from gone
  `.execute(executor);
}

function upsertOps(ops: readonly (readonly [number, Op])[], now: Date): RawBuilder<unknown> {
  const of = <T>(pick: (op: Op) => T) => column(ops, ([, op]) => pick(op) ?? null);
  return sql`
    insert into op (
      enrollment_id, slot_id, op, version_id, generation, enrollment_generation, state, reason, error_chain,
      delivery_attempts, verify_misses, next_at, command_uuid, acked_at, observed_uuid, observed_at, created_at, updated_at)
    select t.enrollment_id, t.slot_id, t.op, t.version_id, t.generation, t.enrollment_generation, t.state, t.reason,
      t.error_chain::jsonb, t.delivery_attempts, t.verify_misses, t.next_at, t.command_uuid, t.acked_at, t.observed_uuid,
      t.observed_at, t.created_at, ${now}
    from unnest(
      ${column(ops, ([id]) => id)}::bigint[], ${of((o) => o.slotId)}::int[], ${of((o) => o.op)}::text[],
      ${of((o) => o.versionId)}::int[], ${of((o) => o.generation)}::int[], ${of((o) => o.enrollmentGeneration)}::int[],
      ${of((o) => o.state)}::text[], ${of((o) => o.reason)}::text[], ${of((o) => JSON.stringify(o.errorChain))}::text[],
      ${of((o) => o.deliveryAttempts)}::int[], ${of((o) => o.verifyMisses)}::int[], ${of((o) => o.nextAt)}::timestamptz[],
      ${of((o) => o.commandUuid)}::text[], ${of((o) => o.ackedAt)}::timestamptz[], ${of((o) => o.observedUuid)}::text[],
      ${of((o) => o.observedAt)}::timestamptz[], ${of((o) => o.createdAt)}::timestamptz[]
    ) as t (enrollment_id, slot_id, op, version_id, generation, enrollment_generation, state, reason, error_chain,
            delivery_attempts, verify_misses, next_at, command_uuid, acked_at, observed_uuid, observed_at, created_at)
    on conflict (enrollment_id, slot_id) do update set
      op = excluded.op, version_id = excluded.version_id, generation = excluded.generation,
      enrollment_generation = excluded.enrollment_generation, state = excluded.state, reason = excluded.reason,
      error_chain = excluded.error_chain, delivery_attempts = excluded.delivery_attempts,
      verify_misses = excluded.verify_misses, next_at = excluded.next_at, command_uuid = excluded.command_uuid,
      acked_at = excluded.acked_at, observed_uuid = excluded.observed_uuid, observed_at = excluded.observed_at,
      created_at = excluded.created_at, updated_at = excluded.updated_at`;
}

/** In the order they are to be carried out; a new op goes in the same statement as its command. */
async function insertCommands(
  executor: Executor,
  issued: readonly Issued[],
  bodyIds: ReadonlyMap<string, number>,
  now: Date,
): Promise<void> {
  if (issued.length === 0) return;
  const of = <T>(pick: (one: Issued) => T) => column(issued, (one) => pick(one) ?? null);
  await sql`
    with t as materialized (
      select * from unnest(
        ${of(({ write }) => write.row.enrollment)}::bigint[], ${of(({ command }) => command.uuid)}::text[],
        ${of(({ command }) => command.requestType)}::text[],
        ${of(({ command }) => bodyIds.get(command.bodySha256.toString('hex')))}::bigint[],
        ${of(({ write }) => write.row.enrollmentGeneration)}::int[], ${of(({ command }) => command.slotId)}::int[],
        ${of(({ command }) => command.generation)}::int[], ${of(({ fresh }) => fresh?.versionId)}::int[]
      ) with ordinality as t (
        enrollment_id, command_uuid, request_type, body_id, enrollment_generation, slot_id, generation, version_id, place)
    ), fresh as (
      insert into op (
        enrollment_id, slot_id, op, version_id, generation, enrollment_generation, state, command_uuid, created_at, updated_at)
      select enrollment_id, slot_id, case request_type when 'RemoveProfile' then 'remove' else 'install' end, version_id,
        generation, enrollment_generation, 'queued', command_uuid, ${now}, ${now}
      from t where version_id is not null
      on conflict (enrollment_id, slot_id) do update set
        op = excluded.op, version_id = excluded.version_id, generation = excluded.generation,
        enrollment_generation = excluded.enrollment_generation, state = 'queued', reason = '', error_chain = '[]',
        delivery_attempts = 0, verify_misses = 0, next_at = null, command_uuid = excluded.command_uuid, acked_at = null,
        observed_uuid = null, observed_at = null, created_at = excluded.created_at, updated_at = excluded.updated_at
    )
    insert into command (
      enrollment_id, command_uuid, request_type, body_id, origin, state, enrollment_generation, slot_id, op_generation,
      queued_at)
    select enrollment_id, command_uuid, request_type, body_id, 'reconciler', 'queued', enrollment_generation, slot_id,
      generation, ${now}
    from t order by place
  `.execute(executor);
}

function pairs<T>(writes: readonly OpsWrite[], pick: (write: OpsWrite) => readonly T[]): [number, T][] {
  return writes.flatMap((write) => pick(write).map((item): [number, T] => [write.row.enrollment, item]));
}

function column<R, T>(rows: readonly R[], pick: (row: R) => T): RawBuilder<unknown> {
  return sql.val(rows.map(pick));
}

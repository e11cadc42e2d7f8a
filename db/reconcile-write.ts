/** How decisions are written: a fixed number of statements, however many enrolments. */
import { type RawBuilder, sql } from 'kysely';
import type { Body, FactsWrite, NewCommand, OpsWrite, PlanWrite } from '../reconciler/ports.ts';
import type { Op } from '../reconciler/types.ts';
import type { Executor } from './database.ts';

export async function writePlans(
  executor: Executor,
  writes: readonly PlanWrite[],
  bodies: readonly Body[],
  now: Date,
): Promise<void> {
  const bodyIds = await internBodies(executor, bodies);
  await writeOps(executor, writes, now);
  await insertCommands(executor, writes, bodyIds, now);
  await sql`
    update recon r set rev = t.rev, op_count = t.op_count, checked_at = ${now},
      applied_fp = coalesce(${bits(sql`t.high`, sql`t.low`)}, r.applied_fp)
    from unnest(${column(writes, (w) => w.row.enrollment)}::bigint[], ${column(writes, (w) => w.rev)}::int[],
                ${column(writes, (w) => w.opCount)}::int[], ${column(writes, (w) => w.fingerprint?.high ?? null)}::int[],
                ${column(writes, (w) => w.fingerprint?.low ?? null)}::int[])
         as t (id, rev, op_count, high, low)
    where r.enrollment_id = t.id
  `.execute(executor);
  await wake(executor, writes, now);
}

/**
 * One waiting push per enrolment. One that is under way may be answered before this commits: it is sent once more. A
 * poll that waited for a command which is cancelled here answers "nothing", so what is left in that queue needs a push.
 */
async function wake(executor: Executor, writes: readonly PlanWrite[], now: Date): Promise<void> {
  const woken = writes.filter(({ commands, cancels }) => commands.length + cancels.length > 0);
  if (woken.length === 0) return;
  await sql`
    insert into push_outbox (enrollment_id, reason, due_at, created_at)
    select id, 'reconcile', ${now}, ${now} from unnest(${column(woken, (w) => w.row.enrollment)}::bigint[]) as id
    where exists (select from command c where c.enrollment_id = id) order by id
    on conflict (enrollment_id) do update
      set due_at = least(push_outbox.due_at, excluded.due_at), again = push_outbox.lease_until is not null
      where push_outbox.lease_until is not null
        or (push_outbox.due_at > excluded.due_at and push_outbox.attempts = 0)
  `.execute(executor);
}

export async function writeFacts(executor: Executor, write: FactsWrite, now: Date): Promise<void> {
  await writeOps(executor, [write], now);
  await sql`
    update recon set applied = ${sql.val([...write.applied])}::int[],
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

async function writeOps(executor: Executor, writes: readonly OpsWrite[], now: Date): Promise<void> {
  await cancelCommands(
    executor,
    pairs(writes, (write) => write.cancels),
    now,
  );
  const drops = pairs(writes, (write) => write.drops);
  if (drops.length > 0)
    await sql`
      delete from op using unnest(${column(drops, ([id]) => id)}::bigint[], ${column(drops, ([, slot]) => slot)}::int[])
        as t (enrollment_id, slot_id)
      where op.enrollment_id = t.enrollment_id and op.slot_id = t.slot_id
    `.execute(executor);
  const upserts = pairs(writes, (write) => write.upserts);
  if (upserts.length > 0) await upsertOps(executor, upserts, now);
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

async function upsertOps(executor: Executor, ops: readonly (readonly [number, Op])[], now: Date): Promise<void> {
  const of = <T>(pick: (op: Op) => T) => column(ops, ([, op]) => pick(op) ?? null);
  await sql`
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
      created_at = excluded.created_at, updated_at = excluded.updated_at
  `.execute(executor);
}

async function insertCommands(
  executor: Executor,
  writes: readonly PlanWrite[],
  bodyIds: ReadonlyMap<string, number>,
  now: Date,
): Promise<void> {
  const commands = writes.flatMap((write) => write.commands.map((command) => ({ write, command })));
  if (commands.length === 0) return;
  const of = <T>(pick: (command: NewCommand) => T) => column(commands, ({ command }) => pick(command) ?? null);
  await sql`
    insert into command (
      enrollment_id, command_uuid, request_type, body_id, origin, state, enrollment_generation, slot_id, op_generation,
      queued_at)
    select enrollment_id, command_uuid, request_type, body_id, 'reconciler', 'queued', enrollment_generation, slot_id,
      op_generation, ${now}
    from unnest(
      ${column(commands, ({ write }) => write.row.enrollment)}::bigint[], ${of((c) => c.uuid)}::text[],
      ${of((c) => c.requestType)}::text[], ${of((c) => bodyIds.get(c.bodySha256.toString('hex')))}::bigint[],
      ${column(commands, ({ write }) => write.row.enrollmentGeneration)}::int[], ${of((c) => c.slotId)}::int[],
      ${of((c) => c.generation)}::int[]
    ) with ordinality as t (enrollment_id, command_uuid, request_type, body_id, enrollment_generation, slot_id,
                            op_generation, place)
    order by place
  `.execute(executor);
}

function pairs<T>(writes: readonly OpsWrite[], pick: (write: OpsWrite) => readonly T[]): [number, T][] {
  return writes.flatMap((write) => pick(write).map((item): [number, T] => [write.row.enrollment, item]));
}

function column<R, T>(rows: readonly R[], pick: (row: R) => T): RawBuilder<unknown> {
  return sql.val(rows.map(pick));
}

/** How recon, op and command rows are read. */
import { sql } from 'kysely';
import type { ErrorChainItem } from '../core/effects.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { LockedHost, LockedHosts } from '../reconciler/ports.ts';
import type { HostFacts, LiveCommand, Op, OpKind, OpState, ReconRow } from '../reconciler/types.ts';
import type { Executor } from './database.ts';
import { FULL, idList, RECON_FROM, RECON_FULL, type ReconColumns, reconRowOf, unpacked } from './recon-columns.ts';
import { CONTENT, type ContentColumns, contentOf } from './reconcile-evidence.ts';
import { heldElsewhere } from './reconcile-siblings.ts';

interface OpColumns {
  readonly enrollment_id: number;
  readonly slot_id: number;
  readonly op: OpKind;
  readonly version_id: number;
  readonly generation: number;
  readonly enrollment_generation: number;
  readonly state: OpState;
  readonly reason: string;
  readonly error_chain: ErrorChainItem[];
  readonly delivery_attempts: number;
  readonly verify_misses: number;
  readonly next_at: Date | null;
  readonly command_uuid: string | null;
  readonly acked_at: Date | null;
  readonly observed_uuid: string | null;
  readonly observed_at: Date | null;
  readonly created_at: Date;
}

interface CommandColumns {
  readonly enrollment_id: number;
  readonly command_uuid: string;
  readonly request_type: string;
  readonly state: LiveCommand['state'];
  readonly deliveries: number;
  readonly not_now_count: number;
  readonly queued_at: Date;
  readonly sent_at: Date | null;
  readonly not_now_at: Date | null;
}

const OP = sql`
  o.enrollment_id, o.slot_id, o.op, o.version_id, o.generation, o.enrollment_generation, o.state, o.reason, o.error_chain,
  o.delivery_attempts, o.verify_misses, o.next_at, o.command_uuid, o.acked_at, o.observed_uuid, o.observed_at, o.created_at`;
const COMMAND = sql`
  c.enrollment_id, c.command_uuid, c.request_type, c.state, c.deliveries, c.not_now_count, c.queued_at, c.sent_at,
  c.not_now_at`;

function opOf(row: OpColumns): Op {
  return {
    slotId: row.slot_id,
    op: row.op,
    versionId: row.version_id,
    generation: row.generation,
    enrollmentGeneration: row.enrollment_generation,
    state: row.state,
    reason: row.reason,
    errorChain: row.error_chain,
    deliveryAttempts: row.delivery_attempts,
    verifyMisses: row.verify_misses,
    nextAt: row.next_at ?? undefined,
    commandUuid: row.command_uuid ?? undefined,
    ackedAt: row.acked_at ?? undefined,
    observedUuid: row.observed_uuid ?? undefined,
    observedAt: row.observed_at ?? undefined,
    createdAt: row.created_at,
  };
}

function commandOf(row: CommandColumns): LiveCommand {
  return {
    uuid: row.command_uuid,
    state: row.state,
    deliveries: row.deliveries,
    notNowCount: row.not_now_count,
    queuedAt: row.queued_at,
    sentAt: row.sent_at ?? undefined,
    notNowAt: row.not_now_at ?? undefined,
  };
}

/** Enrolments with their ops and live commands, as they are; ascending. */
export async function readFacts(executor: Executor, enrollments: readonly EnrollmentRef[]): Promise<HostFacts[]> {
  const ids = idList(enrollments);
  const recon = await sql<{ packed: Buffer | null }>`
    select ${FULL.of('t')} as packed from (select ${RECON_FULL} from ${RECON_FROM} where r.enrollment_id = any(${ids})) t
  `.execute(executor);
  const commands = await sql<CommandColumns>`
    select ${COMMAND} from command c where c.enrollment_id = any(${ids}) and c.origin = 'reconciler'
  `.execute(executor);
  const ops = await readOps(executor, enrollments);
  return assemble(unpacked(recon.rows[0]?.packed), ops, commands.rows, await heldElsewhere(executor, enrollments));
}

/**
 * Locks without waiting, so that this transaction can take part in no deadlock: a row somebody else holds makes its
 * enrolment busy. The key-share lock on the enrolment is what inserting ops and commands would otherwise wait for.
 */
export async function lockFacts(executor: Executor, enrollments: readonly EnrollmentRef[]): Promise<LockedHosts> {
  const recon = await sql<{ packed: Buffer | null }>`
    with t as materialized (
      select ${RECON_FULL} from ${RECON_FROM} where r.enrollment_id = any(${idList(enrollments)})
      order by r.enrollment_id for update of r skip locked for key share of e skip locked
    )
    select ${FULL.of('t')} as packed from t
  `.execute(executor);
  const rows = unpacked(recon.rows[0]?.packed);
  const got = new Set(rows.map((row) => row.enrollment));
  const missing = enrollments.filter((id) => !got.has(id));
  const busy = new Set(await existing(executor, missing));
  const ops = await readOps(executor, [...got]);
  const { commands, held } = await lockCommands(executor, [...got]);
  for (const id of held) busy.add(id);
  const free = rows.filter((row) => !busy.has(row.enrollment));
  return { hosts: assemble(free, ops, commands, await heldElsewhere(executor, [...got])), busy: [...busy] };
}

/** Waits: a device's answer cannot come back later. */
export async function lockOne(executor: Executor, enrollment: EnrollmentRef): Promise<LockedHost | undefined> {
  const recon = await sql<ReconColumns & ContentColumns & { epoch: number }>`
    select ${RECON_FULL}, ${CONTENT}, (select epoch from catalogue) as epoch
    from ${RECON_FROM} left join recon_evidence v on v.enrollment_id = r.enrollment_id
    where r.enrollment_id = ${enrollment} for update of r
  `.execute(executor);
  const row = recon.rows[0];
  if (row === undefined) return undefined;
  const [facts] = assemble([reconRowOf(row)], await readOps(executor, [enrollment]), [], new Map());
  return facts && { facts, epoch: row.epoch, content: contentOf(row) };
}

async function readOps(executor: Executor, enrollments: readonly EnrollmentRef[]): Promise<readonly OpColumns[]> {
  const { rows } = await sql<OpColumns>`
    select ${OP} from op o where o.enrollment_id = any(${idList(enrollments)}) order by o.enrollment_id, o.slot_id
  `.execute(executor);
  return rows;
}

async function existing(executor: Executor, enrollments: readonly EnrollmentRef[]): Promise<EnrollmentRef[]> {
  if (enrollments.length === 0) return [];
  const { rows } = await sql<{ id: number }>`
    select e.id from recon r join enrollment e on e.id = r.enrollment_id
    where e.id = any(${idList(enrollments)}) and e.state = 'enrolled'
  `.execute(executor);
  return rows.map((row) => row.id);
}

/** Values come from the locked row: the statement's snapshot may be older than the lock. */
async function lockCommands(
  executor: Executor,
  enrollments: readonly EnrollmentRef[],
): Promise<{ commands: CommandColumns[]; held: EnrollmentRef[] }> {
  const ids = idList(enrollments);
  const { rows } = await sql<CommandColumns & { held: EnrollmentRef | null }>`
    with locked as materialized (
      select ${COMMAND} from command c where c.enrollment_id = any(${ids}) and c.origin = 'reconciler'
      for update of c skip locked
    )
    select l.*, case when l.command_uuid is null then c.enrollment_id end as held
    from command c left join locked l on l.enrollment_id = c.enrollment_id and l.command_uuid = c.command_uuid
    where c.enrollment_id = any(${ids}) and c.origin = 'reconciler'
  `.execute(executor);
  return {
    commands: rows.filter((row) => row.held === null),
    held: rows.flatMap((row) => (row.held === null ? [] : [row.held])),
  };
}

function assemble(
  rows: readonly ReconRow[],
  ops: readonly OpColumns[],
  commands: readonly CommandColumns[],
  elsewhere: ReadonlyMap<EnrollmentRef, readonly number[]>,
): HostFacts[] {
  const hosts = new Map(
    rows.map((row) => [
      row.enrollment,
      {
        row,
        ops: [] as Op[],
        commands: new Map<string, LiveCommand>(),
        profileListLive: false,
        heldElsewhere: elsewhere.get(row.enrollment) ?? [],
      },
    ]),
  );
  for (const op of ops) hosts.get(op.enrollment_id)?.ops.push(opOf(op));
  for (const command of commands) {
    const host = hosts.get(command.enrollment_id);
    if (host === undefined) continue;
    if (command.request_type === 'ProfileList') host.profileListLive = true;
    else host.commands.set(command.command_uuid, commandOf(command));
  }
  return [...hosts.values()];
}

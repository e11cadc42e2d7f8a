import { sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { MdmStore, UserTokenUpdate } from '../mdm/ports.ts';
import { type Database, type Executor, executorOf } from './database.ts';
import { hostFor, refreshHost } from './mdm-hosts.ts';
import { known } from './mdm-known.ts';
import { targets, views } from './mdm-views.ts';

export function mdmStore(db: Database): MdmStore {
  return {
    known: (tx, certificateSha256, who, serialNumber) => known(executorOf(tx), certificateSha256, who, serialNumber),

    async pinnedDevice(tx, certificateSha256) {
      const { rows } = await sql<{ enrollment_id: number }>`
        select enrollment_id from certificate
        where sha256 = ${certificateSha256} and enrollment_id is not null and revoked_at is null
          and standing in ('current', 'unbound')
      `.execute(executorOf(tx));
      return rows[0]?.enrollment_id;
    },

    async enrol(tx, enrollment, now) {
      const executor = executorOf(tx);
      const host = await hostFor(executor, enrollment, now);
      const { rows } = await sql<{ id: number }>`
        insert into enrollment (
          enrollment_id, type, channel, host_id, state, generation, topic, frozen, certificate_sha256, binding,
          authenticated_at)
        select ${enrollment.who.enrollmentId}, ${enrollment.who.type}, 'device', ${host.hostId}, 'authenticated', 1,
          ${enrollment.topic}, ch.frozen, c.sha256, ${enrollment.binding}, ${now}
        from certificate c join scep_challenge ch on ch.id = c.challenge_id
        where c.sha256 = ${enrollment.certificateSha256}
        returning id
      `.execute(executor);
      const ref = only(rows).id;
      await pin(executor, enrollment.certificateSha256, ref, 'current', now);
      return { ref, host };
    },

    async reenrol(tx, ref, enrollment, now) {
      const executor = executorOf(tx);
      await cancelAll(executor, [ref], now);
      const { rows } = await sql<{ generation: number }>`
        update enrollment e set
          state = 'authenticated', generation = e.generation + 1, topic = ${enrollment.topic}, frozen = ch.frozen,
          certificate_sha256 = c.sha256, binding = ${enrollment.binding}, authenticated_at = ${now}, enrolled_at = null,
          ended_at = null, push_token = null, push_magic = null, token_updated_at = null, token_update_count = 0,
          awaiting_configuration = false
        from certificate c join scep_challenge ch on ch.id = c.challenge_id
        where c.sha256 = ${enrollment.certificateSha256} and e.id = ${ref}
        returning e.generation
      `.execute(executor);
      await supersede(executor, enrollment.certificateSha256, ref);
      await pin(executor, enrollment.certificateSha256, ref, 'current', now);
      const host = await refreshHost(executor, ref, enrollment.facts, now);
      return { generation: only(rows).generation, host };
    },

    async quarantine(tx, certificateSha256, claimed, now) {
      await pin(executorOf(tx), certificateSha256, claimed, 'quarantined', now);
    },

    async renew(tx, certificateSha256, ref, now) {
      await pin(executorOf(tx), certificateSha256, ref, 'unbound', now);
    },

    async promote(tx, certificateSha256, ref, now) {
      const executor = executorOf(tx);
      await supersede(executor, certificateSha256, ref);
      await pin(executor, certificateSha256, ref, 'current', now);
      await sql`
        update enrollment set certificate_sha256 = ${certificateSha256} where id = ${ref}
      `.execute(executor);
    },

    refreshHost: (tx, ref, facts, now) => refreshHost(executorOf(tx), ref, facts, now),

    async saveToken(tx, ref, push, now) {
      await sql`
        update enrollment set
          state = 'enrolled', push_token = ${push.token}, push_magic = ${push.pushMagic}, token_updated_at = ${now},
          token_update_count = token_update_count + 1, enrolled_at = coalesce(enrolled_at, ${now}),
          awaiting_configuration = coalesce(${push.awaitingConfiguration ?? null}, awaiting_configuration)
        where id = ${ref}
      `.execute(executorOf(tx));
    },

    async saveUnlockToken(tx, ref, sealed) {
      await sql`update enrollment set unlock_token_sealed = ${sealed} where id = ${ref}`.execute(executorOf(tx));
    },

    saveUserToken: (tx, device, update, state, now) => saveUserToken(executorOf(tx), device, update, state, now),

    async activateWaiting(tx, device, now) {
      const { rows } = await sql<{ id: number }>`
        update enrollment set state = 'enrolled', enrolled_at = ${now}
        where device_id = ${device} and state = 'waiting_for_device' returning id
      `.execute(executorOf(tx));
      return rows.map((row) => row.id);
    },

    async end(tx, ref, now) {
      return end(executorOf(tx), sql`(id = ${ref} or device_id = ${ref})`, now);
    },

    async endUsers(tx, device, now) {
      return end(executorOf(tx), sql`device_id = ${device}`, now);
    },

    async setAwaitingConfiguration(tx, ref, awaiting) {
      await sql`
        update enrollment set awaiting_configuration = ${awaiting} where id = ${ref}
      `.execute(executorOf(tx));
    },

    async saveBootstrapToken(tx, ref, sealed) {
      await sql`
        update enrollment set bootstrap_token_sealed = ${sealed ?? null}, bootstrap_token_generation = generation
        where id = ${ref}
      `.execute(executorOf(tx));
    },

    async bootstrapToken(tx, ref) {
      const { rows } = await sql<{ sealed: Buffer | null }>`
        select bootstrap_token_sealed as sealed from enrollment
        where id = ${ref} and bootstrap_token_generation = generation
      `.execute(executorOf(tx));
      return rows[0]?.sealed ?? undefined;
    },

    targets: (enrollmentIds) => targets(db.read, enrollmentIds),
    async enrollment(enrollmentId) {
      return (await views(db.read, sql`e.enrollment_id = ${enrollmentId}`, 1))[0];
    },
    enrollmentsOfHost: (hostId) => views(db.read, sql`e.host_id = ${hostId}`, MAX_PER_HOST),
    enrollments: (after, limit) => views(db.read, sql`e.id > ${after}`, limit),
  };
}

/** Channels of one host that an answer shows: a Shared iPad has tens of users, a Mac one. */
const MAX_PER_HOST = 1000;

async function pin(
  executor: Executor,
  certificateSha256: Buffer,
  ref: EnrollmentRef,
  standing: 'unbound' | 'current' | 'quarantined',
  now: Date,
): Promise<void> {
  await sql`
    update certificate set enrollment_id = ${ref}, standing = ${standing}, pinned_at = coalesce(pinned_at, ${now})
    where sha256 = ${certificateSha256}
  `.execute(executor);
}

/** The enrolment's other certificates stop speaking for it; quarantined ones stay what they are. */
async function supersede(executor: Executor, certificateSha256: Buffer, ref: EnrollmentRef): Promise<void> {
  await sql`
    update certificate set standing = 'superseded'
    where enrollment_id = ${ref} and standing in ('current', 'unbound') and sha256 <> ${certificateSha256}
  `.execute(executor);
}

async function saveUserToken(
  executor: Executor,
  device: EnrollmentRef,
  { who, topic, token, pushMagic, awaitingConfiguration }: UserTokenUpdate,
  state: 'enrolled' | 'waiting_for_device',
  now: Date,
): Promise<EnrollmentRef> {
  const { rows } = await sql<{ id: number }>`
    insert into enrollment (
      enrollment_id, type, channel, host_id, device_id, user_id, user_short_name, user_long_name, state, generation,
      topic, push_token, push_magic, token_updated_at, token_update_count, awaiting_configuration, binding,
      authenticated_at, enrolled_at)
    select ${who.enrollmentId}, ${who.type}, 'user', d.host_id, d.id, ${who.userId ?? null}, ${who.userShortName ?? null},
      ${who.userLongName ?? null}, ${state}, 1, ${topic}, ${token}, ${pushMagic}, ${now}, 1,
      ${awaitingConfiguration ?? false}, d.binding, ${now}, case when ${state} = 'enrolled' then ${now}::timestamptz end
    from enrollment d where d.id = ${device}
    on conflict (enrollment_id) do update set
      host_id = excluded.host_id, user_short_name = coalesce(excluded.user_short_name, enrollment.user_short_name),
      user_long_name = coalesce(excluded.user_long_name, enrollment.user_long_name), state = excluded.state,
      generation = enrollment.generation + (enrollment.state = 'ended')::int, topic = excluded.topic,
      push_token = excluded.push_token, push_magic = excluded.push_magic, token_updated_at = excluded.token_updated_at,
      token_update_count = case when enrollment.state = 'ended' then 1 else enrollment.token_update_count + 1 end,
      awaiting_configuration = coalesce(${awaitingConfiguration ?? null}, enrollment.awaiting_configuration),
      enrolled_at = case when enrollment.state = 'enrolled' then enrollment.enrolled_at else excluded.enrolled_at end,
      ended_at = null
    returning id
  `.execute(executor);
  return only(rows).id;
}

async function end(executor: Executor, where: ReturnType<typeof sql>, now: Date): Promise<readonly EnrollmentRef[]> {
  const { rows } = await sql<{ id: number }>`
    update enrollment set state = 'ended', ended_at = ${now} where ${where} and state <> 'ended' returning id
  `.execute(executor);
  const refs = rows.map((row) => row.id);
  await cancelAll(executor, refs, now);
  return refs;
}

/** Nothing of an earlier life is handed out in the next one (R22); what was asked for stays on record. */
async function cancelAll(executor: Executor, refs: readonly EnrollmentRef[], now: Date): Promise<void> {
  await sql`
    with gone as (delete from command where enrollment_id = any(${sql.val([...refs])}::bigint[]) returning *)
    insert into command_history (
      enrollment_id, command_uuid, request_type, origin, outcome, enrollment_generation, slot_id, op_generation, body_id,
      deliveries, not_now_count, queued_at, sent_at, finished_at)
    select enrollment_id, command_uuid, request_type, origin, 'cancelled', enrollment_generation, slot_id,
      op_generation, body_id, deliveries, not_now_count, queued_at, sent_at, ${now}
    from gone
  `.execute(executor);
}

function only<T>(rows: readonly T[]): T {
  const [row] = rows;
  if (row === undefined) throw new Error('a statement that must touch one row touched none');
  return row;
}

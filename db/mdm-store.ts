import { sql } from 'kysely';
import type { Channel, EnrollmentRef, EnrollmentType } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import type { EnrollmentRecord, Known } from '../mdm/enrollment.ts';
import type { MdmStore, NewEnrollment, UserTokenUpdate } from '../mdm/ports.ts';
import type { Binding, Claimant, DeviceFacts, EnrollmentState, EnrollmentView } from '../mdm/types.ts';
import { type Database, type Executor, executorOf } from './database.ts';

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
      const hostId = await hostFor(executor, enrollment, now);
      const { rows } = await sql<{ id: number }>`
        insert into enrollment (
          enrollment_id, type, channel, host_id, state, generation, topic, frozen, certificate_sha256, binding,
          authenticated_at)
        select ${enrollment.who.enrollmentId}, ${enrollment.who.type}, 'device', ${hostId}, 'authenticated', 1,
          ${enrollment.topic}, ch.frozen, c.sha256, ${enrollment.binding}, ${now}
        from certificate c join scep_challenge ch on ch.id = c.challenge_id
        where c.sha256 = ${enrollment.certificateSha256}
        returning id
      `.execute(executor);
      const ref = only(rows).id;
      await pin(executor, enrollment.certificateSha256, ref, 'current', now);
      return ref;
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
      await refreshHost(executor, ref, enrollment.facts, now);
      return { generation: only(rows).generation };
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

    async refreshHost(tx, ref, facts, now) {
      await refreshHost(executorOf(tx), ref, facts, now);
    },

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

    saveUserToken: (tx, device, update, state, now) => saveUserToken(tx, device, update, state, now),

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
        update enrollment set bootstrap_token_sealed = ${sealed ?? null} where id = ${ref}
      `.execute(executorOf(tx));
    },

    async bootstrapToken(tx, ref) {
      const { rows } = await sql<{ sealed: Buffer | null }>`
        select bootstrap_token_sealed as sealed from enrollment where id = ${ref}
      `.execute(executorOf(tx));
      return rows[0]?.sealed ?? undefined;
    },

    async targets(enrollmentIds) {
      const { rows } = await sql<{
        id: number;
        enrollment_id: string;
        channel: Channel;
        live: boolean;
        profile: string | null;
      }>`
        select e.id, e.enrollment_id, e.channel, e.state = 'enrolled' as live, d.frozen ->> 'PayloadIdentifier' as profile
        from enrollment e join enrollment d on d.id = coalesce(e.device_id, e.id)
        where e.enrollment_id = any(${sql.val([...enrollmentIds])}::text[])
      `.execute(db.read);
      return rows.map((row) => ({
        ref: row.id,
        enrollmentId: row.enrollment_id,
        channel: row.channel,
        live: row.live,
        enrollmentProfile: row.profile ?? undefined,
      }));
    },

    async enrollment(enrollmentId) {
      return (await views(db.read, sql`e.enrollment_id = ${enrollmentId}`, 1))[0];
    },
    enrollmentsOfHost: (hostId) => views(db.read, sql`e.host_id = ${hostId}`, MAX_PER_HOST),
    enrollments: (after, limit) => views(db.read, sql`e.id > ${after}`, limit),
  };
}

/** Channels of one host that an answer shows: a Shared iPad has tens of users, a Mac one. */
const MAX_PER_HOST = 1000;

interface RecordRow {
  readonly id: number;
  readonly state: EnrollmentState;
  readonly generation: number;
  readonly topic: string;
  readonly binding: Binding;
  readonly host_id: string;
  readonly serial_number: string | null;
  readonly token_update_count: number;
}

const RECORD = sql`
  e.id, e.state, e.generation, e.topic, e.binding, e.host_id, h.serial_number, e.token_update_count
  from enrollment e join host h on h.id = e.host_id`;

function recordOf(row: RecordRow | undefined): EnrollmentRecord | undefined {
  return (
    row && {
      ref: row.id,
      state: row.state,
      generation: row.generation,
      topic: row.topic,
      binding: row.binding,
      hostId: row.host_id,
      serialNumber: row.serial_number ?? undefined,
      tokenUpdateCount: row.token_update_count,
    }
  );
}

async function known(
  executor: Executor,
  certificateSha256: Buffer,
  who: Claimant,
  serialNumber: string | undefined,
): Promise<Omit<Known, 'validity'>> {
  // Device before user, always: two messages about one Mac then wait for each other instead of blocking each other.
  const record = async (where: ReturnType<typeof sql>): Promise<EnrollmentRecord | undefined> => {
    const { rows } =
      await sql<RecordRow>`select ${RECORD} where ${where} order by e.state desc, e.id for update of e`.execute(
        executor,
      );
    return recordOf(rows[0]);
  };
  const certificate = await sql<{
    standing: 'unbound' | 'current' | 'superseded' | 'quarantined';
    revoked_at: Date | null;
    enrollment_id: number | null;
    serial_number: string | null;
    renews: number | null;
  }>`
    select c.standing, c.revoked_at, c.enrollment_id, ch.serial_number, ch.enrollment_id as renews
    from certificate c join scep_challenge ch on ch.id = c.challenge_id
    where c.sha256 = ${certificateSha256} for update of c
  `.execute(executor);
  const device = await record(sql`e.enrollment_id = ${who.deviceKey} and e.channel = 'device'`);
  const user =
    who.channel === 'device'
      ? undefined
      : await record(sql`e.enrollment_id = ${who.enrollmentId} and e.channel = 'user'`);
  const rival =
    serialNumber === undefined
      ? undefined
      : await record(sql`
          h.serial_number = ${serialNumber} and e.channel = 'device' and e.enrollment_id <> ${who.deviceKey}
          and e.state in ('authenticated', 'enrolled')`);
  const row = certificate.rows[0];
  return {
    certificate: row && {
      standing: row.standing,
      revoked: row.revoked_at !== null,
      pinnedTo: row.enrollment_id ?? undefined,
      challenge: { serialNumber: row.serial_number ?? undefined, renews: row.renews ?? undefined },
    },
    device,
    user,
    rival,
  };
}

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

/** The host a new enrolment belongs to: known by UDID, hardware UUID or serial number, else made. */
async function hostFor(executor: Executor, enrollment: NewEnrollment, now: Date): Promise<string> {
  const { facts, who, takesOver } = enrollment;
  const udid = who.udid ?? null;
  const serial = facts.serialNumber ?? null;
  const found = await sql<{ id: string }>`
    select id from host
    where id = ${takesOver ?? null} or udid = ${udid} or (udid is null and hardware_uuid = ${udid})
      or (serial_number = ${serial} and not exists (
        select from enrollment e where e.host_id = host.id and e.state in ('authenticated', 'enrolled')))
    order by (id = ${takesOver ?? null}) is true desc, (udid = ${udid}) is true desc, (hardware_uuid = ${udid}) is true desc,
      created_at desc
    limit 1 for update
  `.execute(executor);
  const hostId = found.rows[0]?.id ?? enrollment.newHostId;
  await sql`
    insert into host (id, udid, serial_number, hardware_uuid, team_id, created_at, updated_at)
    select ${hostId}, ${udid}, ${serial}, ${hardwareUuid(who, facts)}, ch.team_id, ${now}, ${now}
    from certificate c join scep_challenge ch on ch.id = c.challenge_id where c.sha256 = ${enrollment.certificateSha256}
    on conflict (id) do update set udid = coalesce(excluded.udid, host.udid),
      hardware_uuid = coalesce(excluded.hardware_uuid, host.hardware_uuid)
  `.execute(executor);
  await nameHost(executor, hostId, facts, now);
  return hostId;
}

const UUID = /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/;

/** A Mac's UDID is its hardware UUID, by which its agent is known as well; other systems have UDIDs of other shapes. */
function hardwareUuid(who: Claimant, facts: DeviceFacts): string | null {
  return who.udid !== undefined && facts.modelName !== undefined && UUID.test(who.udid) ? who.udid : null;
}

/** What the message lacks stays as it is: absence is never "empty" (apple-protocol §2.4). */
async function nameHost(executor: Executor, hostId: string, facts: DeviceFacts, now: Date): Promise<void> {
  await sql`
    update host set
      -- Once known it stays: a later message could name another Mac's and be taken for it.
      serial_number = coalesce(serial_number, ${facts.serialNumber ?? null}),
      name = coalesce(${facts.deviceName ?? null}, name), model = coalesce(${facts.model ?? null}, model),
      product_name = coalesce(${facts.productName ?? null}, product_name),
      os_version = coalesce(${facts.osVersion ?? null}, os_version),
      build_version = coalesce(${facts.buildVersion ?? null}, build_version), updated_at = ${now}
    where id = ${hostId}
  `.execute(executor);
}

async function refreshHost(executor: Executor, ref: EnrollmentRef, facts: DeviceFacts, now: Date): Promise<void> {
  const { rows } = await sql<{ host_id: string }>`select host_id from enrollment where id = ${ref}`.execute(executor);
  await nameHost(executor, only(rows).host_id, facts, now);
}

async function saveUserToken(
  tx: Tx,
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
  `.execute(executorOf(tx));
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

interface ViewRow {
  readonly id: number;
  readonly enrollment_id: string;
  readonly type: EnrollmentType;
  readonly channel: Channel;
  readonly host_id: string;
  readonly device_enrollment_id: string | null;
  readonly user_short_name: string | null;
  readonly user_long_name: string | null;
  readonly state: EnrollmentState;
  readonly generation: number;
  readonly topic: string;
  readonly binding: Binding;
  readonly awaiting_configuration: boolean;
  readonly has_bootstrap_token: boolean;
  readonly certificate_sha256: Buffer | null;
  readonly quarantined: number;
  readonly enrolled_at: Date | null;
  readonly token_updated_at: Date | null;
  readonly seen_at: Date | null;
  readonly ended_at: Date | null;
}

async function views(executor: Executor, where: ReturnType<typeof sql>, limit: number): Promise<EnrollmentView[]> {
  const { rows } = await sql<ViewRow>`
    select e.id, e.enrollment_id, e.type, e.channel, e.host_id, d.enrollment_id as device_enrollment_id,
      e.user_short_name, e.user_long_name, e.state, e.generation, e.topic, e.binding, e.awaiting_configuration,
      e.bootstrap_token_sealed is not null as has_bootstrap_token, e.certificate_sha256, e.enrolled_at,
      e.token_updated_at, s.seen_at, e.ended_at,
      (select count(*) from certificate c where c.enrollment_id = e.id and c.standing = 'quarantined')::int as quarantined
    from enrollment e
    left join enrollment d on d.id = e.device_id
    left join enrollment_seen s on s.enrollment_id = e.id
    where ${where} order by e.id limit ${limit}
  `.execute(executor);
  return rows.map(viewOf);
}

function viewOf(row: ViewRow): EnrollmentView {
  return {
    ref: row.id,
    enrollmentId: row.enrollment_id,
    type: row.type,
    channel: row.channel,
    hostId: row.host_id,
    deviceEnrollmentId: row.device_enrollment_id ?? undefined,
    userShortName: row.user_short_name ?? undefined,
    userLongName: row.user_long_name ?? undefined,
    state: row.state,
    generation: row.generation,
    topic: row.topic,
    binding: row.binding,
    awaitingConfiguration: row.awaiting_configuration,
    hasBootstrapToken: row.has_bootstrap_token,
    certificateSha256: row.certificate_sha256?.toString('hex'),
    quarantinedCertificates: row.quarantined,
    enrolledAt: row.enrolled_at ?? undefined,
    tokenUpdatedAt: row.token_updated_at ?? undefined,
    seenAt: row.seen_at ?? undefined,
    endedAt: row.ended_at ?? undefined,
  };
}

function only<T>(rows: readonly T[]): T {
  const [row] = rows;
  if (row === undefined) throw new Error('a statement that must touch one row touched none');
  return row;
}

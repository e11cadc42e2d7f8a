import { sql } from 'kysely';
import type { Channel, EnrollmentType } from '../core/enrollment.ts';
import type { CommandTarget } from '../mdm/ports.ts';
import type { Binding, EnrollmentState, EnrollmentView } from '../mdm/types.ts';
import type { Executor } from './database.ts';

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

export async function views(
  executor: Executor,
  where: ReturnType<typeof sql>,
  limit: number,
): Promise<EnrollmentView[]> {
  const { rows } = await sql<ViewRow>`
    select e.id, e.enrollment_id, e.type, e.channel, e.host_id, d.enrollment_id as device_enrollment_id,
      e.user_short_name, e.user_long_name, e.state, e.generation, e.topic, e.binding, e.awaiting_configuration,
      (e.bootstrap_token_sealed is not null and e.bootstrap_token_generation = e.generation) is true as has_bootstrap_token, e.certificate_sha256, e.enrolled_at,
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

/** What enqueueing checks of its targets. */
export async function targets(executor: Executor, enrollmentIds: readonly string[]): Promise<readonly CommandTarget[]> {
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
  `.execute(executor);
  return rows.map((row) => ({
    ref: row.id,
    enrollmentId: row.enrollment_id,
    channel: row.channel,
    live: row.live,
    enrollmentProfile: row.profile ?? undefined,
  }));
}

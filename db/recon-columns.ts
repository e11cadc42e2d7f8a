/** The columns of a recon row and what they become. */
import { type RawBuilder, sql } from 'kysely';
import type { Channel, EnrollmentRef } from '../core/enrollment.ts';
import type { ExtraProfile, OsqueryState, Platform, ReconRow } from '../reconciler/types.ts';
import { boolean, int4, int4Array, int8, json, packed, text, timestamptz } from './packed.ts';

export interface ReconColumns {
  readonly enrollment_id: number;
  readonly generation: number;
  readonly channel: Channel;
  readonly team_id: number;
  readonly os_version: string;
  readonly label_ids: number[];
  readonly label_epoch: number;
  readonly unknown_label_ids: number[];
  readonly applied: number[];
  readonly fp_high: number;
  readonly fp_low: number;
  readonly actual_known: boolean;
  readonly rev: number;
  readonly op_count: number;
  readonly osquery_at: Date | null;
  readonly osquery_state: OsqueryState;
  readonly profile_list_at: Date | null;
  readonly observed_extra: ExtraProfile[];
  readonly enrollment_profile: string | null;
  readonly platform: Platform;
  readonly user_enrollment: boolean;
  readonly may_manage: boolean;
  readonly pushable: boolean;
}

export const USER_ENROLLMENT = sql`e.type like 'User Enrollment%'`;
/** Without `applied`: what the fingerprint test needs. The halves spare the way through bigint. */
export const RECON_LITE = sql`
  r.enrollment_id, e.generation, e.channel, r.team_id, h.os_version, r.label_ids, r.label_epoch, r.unknown_label_ids,
  (r.applied_fp >> 32)::int as fp_high, ((r.applied_fp << 32) >> 32)::int as fp_low, r.actual_known, r.rev, r.op_count,
  r.osquery_at, r.osquery_state, r.profile_list_at, coalesce(d.frozen, e.frozen) ->> 'PayloadIdentifier' as enrollment_profile,
  h.platform, ${USER_ENROLLMENT} as user_enrollment, pc.topic is not null as pushable,
  -- A User Enrolment ignores AccessRights; 2 = install and remove profiles (apple-protocol §3.2).
  ${USER_ENROLLMENT} or coalesce((coalesce(d.frozen, e.frozen) ->> 'AccessRights')::int & 2 = 2, true) as may_manage`;
export const RECON_FULL = sql`${RECON_LITE}, r.applied, r.observed_extra`;
export const RECON_FROM = sql`
  recon r join enrollment e on e.id = r.enrollment_id and e.state = 'enrolled'
  left join enrollment d on d.id = e.device_id join host h on h.id = e.host_id
  left join push_certificate pc on pc.topic = e.topic and pc.not_after > now()`;

export type LiteRow = Omit<ReconColumns, 'applied' | 'observed_extra'>;

export function reconRowOf(row: LiteRow & Partial<ReconColumns>): ReconRow {
  return {
    enrollment: row.enrollment_id,
    enrollmentGeneration: row.generation,
    channel: row.channel,
    teamId: row.team_id,
    osVersion: row.os_version,
    labelIds: row.label_ids,
    labelEpoch: row.label_epoch,
    unknownLabelIds: row.unknown_label_ids,
    applied: row.applied ?? [],
    fingerprint: { high: row.fp_high, low: row.fp_low },
    actualKnown: row.actual_known,
    rev: row.rev,
    osqueryAt: row.osquery_at ?? undefined,
    osqueryState: row.osquery_state,
    profileListAt: row.profile_list_at ?? undefined,
    observedExtra: row.observed_extra ?? [],
    enrollmentProfile: row.enrollment_profile ?? undefined,
    platform: row.platform,
    userEnrollment: row.user_enrollment,
    mayManageProfiles: row.may_manage,
    pushable: row.pushable,
  };
}

export function idList(enrollments: readonly EnrollmentRef[]): RawBuilder<unknown> {
  return sql`${sql.val([...enrollments])}::bigint[]`;
}

export const FULL = packed<ReconColumns>({
  enrollment_id: int8,
  generation: int4,
  channel: text as () => Channel,
  team_id: int4,
  os_version: text,
  label_ids: int4Array,
  label_epoch: int8,
  unknown_label_ids: int4Array,
  applied: int4Array,
  fp_high: int4,
  fp_low: int4,
  actual_known: boolean,
  rev: int4,
  op_count: int4,
  osquery_at: timestamptz,
  osquery_state: text as () => OsqueryState,
  profile_list_at: timestamptz,
  observed_extra: json as () => ExtraProfile[],
  enrollment_profile: text,
  platform: text as () => Platform,
  user_enrollment: boolean,
  may_manage: boolean,
  pushable: boolean,
});

/** Ascending. */
export function unpacked(bytes: Buffer | null = null): ReconRow[] {
  return Array.from(FULL.read(bytes), reconRowOf).sort((one, other) => one.enrollment - other.enrollment);
}

import { sql } from 'kysely';
import type { Channel } from '../core/enrollment.ts';
import type { LiveProfile } from '../profiles/ports.ts';
import type {
  ChangeKind,
  DeliveryKind,
  IncludeMode,
  LabelRef,
  PayloadSummary,
  Profile,
  ProfileVersion,
  SignerSummary,
} from '../profiles/types.ts';

export interface ProfileRow {
  id: number;
  team_id: number;
  slot_id: number;
  channel: Channel;
  identifier: string;
  name: string;
  include_mode: IncludeMode;
  include_labels: LabelRef[];
  exclude_labels: LabelRef[];
  min_os: string | null;
  max_os: string | null;
  created_at: Date;
  updated_at: Date;
  deleted_at: Date | null;
  current_version_id: number;
  moved_from_channel: Channel | null;
  moved_from_profile_id: number | null;
}

export interface VersionRow {
  id: number;
  profile_id: number;
  content_sha256: Buffer;
  delivery: DeliveryKind;
  witness_uuid: string;
  display_name: string;
  size: number;
  signer: SignerRow | null;
  uploaded_by: string;
  created_at: Date;
}

/** A date is text in JSON. */
export interface SignerRow {
  readonly subject: string;
  readonly sha256: string;
  readonly not_after: string;
}

export interface ChangeRow {
  at: Date;
  by: string;
  change: ChangeKind;
  version_id: number;
}

export interface LiveRow {
  id: number;
  team_id: number;
  slot_id: number;
  channel: Channel;
  identifier: string;
  name: string;
  current_version_id: number;
  include_mode: IncludeMode;
  include_label_ids: number[];
  exclude_label_ids: number[];
  min_os: string | null;
  max_os: string | null;
  display_name: string;
  delivery: DeliveryKind;
  payloads: PayloadSummary[] | null;
  deleted: boolean;
}

const labelsOf = (column: 'include_label_ids' | 'exclude_label_ids') => sql`
  coalesce((select jsonb_agg(jsonb_build_object('id', l.id, 'name', l.name) order by l.name)
            from label l where l.id = any(p.${sql.ref(column)})), '[]')`;

export const SELECT_PROFILE = sql`
  select p.id, p.team_id, p.slot_id, s.channel, s.identifier, p.name, p.include_mode,
         ${labelsOf('include_label_ids')} as include_labels, ${labelsOf('exclude_label_ids')} as exclude_labels,
         p.min_os, p.max_os, p.created_at, p.updated_at, p.deleted_at, p.current_version_id,
         f.channel as moved_from_channel, p.moved_from_profile_id
  from profile p join slot s on s.id = p.slot_id left join slot f on f.id = p.moved_from_slot_id
  where p.current_version_id is not null`;

export const SELECT_VERSION = sql`
  select id, profile_id, content_sha256, delivery, witness_uuid, display_name, octet_length(original) as size, signer,
         uploaded_by, created_at
  from profile_version`;

/** Locks the profile and not its version: versions never change. */
export const SELECT_LIVE = sql`
  select p.id, p.team_id, p.slot_id, s.channel, s.identifier, p.name, p.current_version_id, p.include_mode,
         p.include_label_ids, p.exclude_label_ids, p.min_os, p.max_os, v.display_name, v.delivery, v.payloads,
         p.deleted_at is not null as deleted
  from profile p join slot s on s.id = p.slot_id join profile_version v on v.id = p.current_version_id`;

export function versionOf(row: VersionRow): ProfileVersion {
  return {
    id: row.id,
    contentSha256: row.content_sha256.toString('hex'),
    delivery: row.delivery,
    witnessUuid: row.witness_uuid,
    displayName: row.display_name,
    size: row.size,
    signer: row.signer === null ? undefined : signerOf(row.signer),
    uploadedBy: row.uploaded_by,
    createdAt: row.created_at,
  };
}

function signerOf({ subject, sha256, not_after }: SignerRow): SignerSummary {
  return { subject, sha256, notAfter: new Date(not_after) };
}

export function signerJson(signer: SignerSummary | undefined): string | null {
  if (signer === undefined) return null;
  const row: SignerRow = {
    subject: signer.subject,
    sha256: signer.sha256,
    not_after: signer.notAfter.toISOString(),
  };
  return JSON.stringify(row);
}

export function profileOf(row: ProfileRow, version: VersionRow): Profile {
  const { moved_from_channel: channel, moved_from_profile_id: profileId } = row;
  return {
    id: row.id,
    teamId: row.team_id,
    slotId: row.slot_id,
    channel: row.channel,
    identifier: row.identifier,
    name: row.name,
    includeMode: row.include_mode,
    includeLabels: row.include_labels,
    excludeLabels: row.exclude_labels,
    minOs: row.min_os ?? undefined,
    maxOs: row.max_os ?? undefined,
    version: versionOf(version),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    deletedAt: row.deleted_at ?? undefined,
    movedFrom: channel === null || profileId === null ? undefined : { channel, profileId },
  };
}

export function liveOf(row: LiveRow): LiveProfile {
  return {
    id: row.id,
    teamId: row.team_id,
    slotId: row.slot_id,
    channel: row.channel,
    identifier: row.identifier,
    name: row.name,
    versionId: row.current_version_id,
    includeMode: row.include_mode,
    includeLabelIds: row.include_label_ids,
    excludeLabelIds: row.exclude_label_ids,
    minOs: row.min_os ?? undefined,
    maxOs: row.max_os ?? undefined,
    displayName: row.display_name,
    delivery: row.delivery,
    payloads: row.payloads ?? [],
    deleted: row.deleted,
  };
}

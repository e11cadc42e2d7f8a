import { sql } from 'kysely';
import type { Channel } from '../core/enrollment.ts';
import type { LiveProfile, ProfileStore } from '../profiles/ports.ts';
import type { IncludeMode, LabelRef, Profile, ProfileVersion } from '../profiles/types.ts';
import { raiseCatalogueEpoch } from './catalogue-epoch.ts';
import { type Database, executorOf } from './database.ts';
import { announce } from './recon-wave.ts';

interface ProfileRow {
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
  current_version_id: number;
}

interface VersionRow {
  id: number;
  profile_id: number;
  content_sha256: Buffer;
  delivery: ProfileVersion['delivery'];
  witness_uuid: string;
  display_name: string;
  size: number;
  created_at: Date;
}

const labelsOf = (column: 'include_label_ids' | 'exclude_label_ids') => sql`
  coalesce((select jsonb_agg(jsonb_build_object('id', l.id, 'name', l.name) order by l.name)
            from label l where l.id = any(p.${sql.ref(column)})), '[]')`;

const SELECT_PROFILE = sql`
  select p.id, p.team_id, p.slot_id, s.channel, s.identifier, p.name, p.include_mode,
         ${labelsOf('include_label_ids')} as include_labels, ${labelsOf('exclude_label_ids')} as exclude_labels,
         p.min_os, p.max_os, p.created_at, p.updated_at, p.current_version_id
  from profile p join slot s on s.id = p.slot_id
  where p.deleted_at is null and p.current_version_id is not null`;

const SELECT_VERSION = sql`
  select id, profile_id, content_sha256, delivery, witness_uuid, display_name, octet_length(original) as size, created_at
  from profile_version`;

export function profileStore(db: Database): ProfileStore {
  async function versionsOf(profileIds: readonly number[]): Promise<VersionRow[]> {
    const { rows } = await sql<VersionRow>`
      ${SELECT_VERSION} where profile_id = any(${sql.val([...profileIds])}::int[]) order by id desc
    `.execute(db.read);
    return rows;
  }

  return {
    async slot(tx, channel, identifier) {
      const executor = executorOf(tx);
      await sql`
        insert into slot (kind, channel, identifier) values ('mdm', ${channel}, ${identifier})
        on conflict (kind, channel, identifier) do nothing
      `.execute(executor);
      const { rows } = await sql<{ id: number }>`
        select id from slot where kind = 'mdm' and channel = ${channel} and identifier = ${identifier} for update
      `.execute(executor);
      return rows[0]?.id ?? 0;
    },

    async labels(tx, names) {
      const { rows } = await sql<LabelRef>`
        select id, name from label where name = any(${sql.val([...names])}::text[]) order by id for key share
      `.execute(executorOf(tx));
      return rows;
    },

    async live(tx, teamId, slotId) {
      const { rows } = await sql<{
        id: number;
        name: string;
        current_version_id: number | null;
        include_mode: IncludeMode;
        include_label_ids: number[];
        exclude_label_ids: number[];
        min_os: string | null;
        max_os: string | null;
      }>`
        select id, name, current_version_id, include_mode, include_label_ids, exclude_label_ids, min_os, max_os
        from profile where team_id = ${teamId} and slot_id = ${slotId} and deleted_at is null for update
      `.execute(executorOf(tx));
      const row = rows[0];
      if (row === undefined) return undefined;
      const live: LiveProfile = {
        id: row.id,
        name: row.name,
        currentVersionId: row.current_version_id ?? undefined,
        includeMode: row.include_mode,
        includeLabelIds: row.include_label_ids,
        excludeLabelIds: row.exclude_label_ids,
        minOs: row.min_os ?? undefined,
        maxOs: row.max_os ?? undefined,
      };
      return live;
    },

    async insert(tx, profile, now) {
      const { rows } = await sql<{ id: number }>`
        insert into profile (team_id, slot_id, name, include_mode, include_label_ids, exclude_label_ids, min_os, max_os,
                             epoch, created_at, updated_at)
        select ${profile.teamId}, ${profile.slotId}, ${profile.name}, ${profile.includeMode},
               ${sql.val([...profile.includeLabelIds])}::int[], ${sql.val([...profile.excludeLabelIds])}::int[],
               ${profile.minOs ?? null}, ${profile.maxOs ?? null}, epoch + 1, ${now}, ${now} from catalogue
        returning id
      `.execute(executorOf(tx));
      return rows[0]?.id ?? 0;
    },

    async version(tx, profileId, version, now) {
      const executor = executorOf(tx);
      await sql`
        insert into profile_version (profile_id, content_sha256, original, delivery, witness_uuid, display_name, delivered, created_at)
        values (${profileId}, ${version.contentSha256}, ${version.original}, ${version.delivery}, ${version.witnessUuid},
                ${version.displayName}, ${version.delivered}, ${now})
        on conflict (profile_id, content_sha256) do nothing
      `.execute(executor);
      const { rows } = await sql<{ id: number }>`
        select id from profile_version where profile_id = ${profileId} and content_sha256 = ${version.contentSha256}
      `.execute(executor);
      return rows[0]?.id ?? 0;
    },

    async sharesWitness(tx, slotId, witnessUuid, versionId) {
      const { rows } = await sql`
        select from profile_version v join profile p on p.id = v.profile_id
        where p.slot_id = ${slotId} and upper(v.witness_uuid) = upper(${witnessUuid}) and v.id <> ${versionId}
          and v.content_sha256 <> (select content_sha256 from profile_version where id = ${versionId})
        limit 1
      `.execute(executorOf(tx));
      return rows.length > 0;
    },

    async onOtherChannel(tx, teamId, channel, identifier) {
      const { rows } = await sql`
        select from profile p join slot s on s.id = p.slot_id
        where p.team_id = ${teamId} and p.deleted_at is null
          and s.kind = 'mdm' and s.identifier = ${identifier} and s.channel <> ${channel}
      `.execute(executorOf(tx));
      return rows.length > 0;
    },

    async update(tx, profileId, change, now) {
      await sql`
        update profile set name = ${change.name}, current_version_id = ${change.versionId},
          include_mode = ${change.includeMode}, include_label_ids = ${sql.val([...change.includeLabelIds])}::int[],
          exclude_label_ids = ${sql.val([...change.excludeLabelIds])}::int[], min_os = ${change.minOs ?? null},
          max_os = ${change.maxOs ?? null}, epoch = (select epoch + 1 from catalogue), updated_at = ${now}
        where id = ${profileId}
      `.execute(executorOf(tx));
    },

    async remove(tx, profileId, now) {
      const { rows } = await sql<{ team_id: number }>`
        update profile set deleted_at = ${now}, updated_at = ${now}, epoch = (select epoch + 1 from catalogue)
        where id = ${profileId} and deleted_at is null returning team_id
      `.execute(executorOf(tx));
      return rows[0] && { teamId: rows[0].team_id };
    },

    bumpCatalogue: raiseCatalogueEpoch,

    markTeamDirty: (tx, teamId, reason, now) => announce(executorOf(tx), { teamId }, reason, now),

    async list(teamId) {
      const { rows } = await sql<ProfileRow>`
        ${SELECT_PROFILE} and (${teamId ?? null}::int is null or p.team_id = ${teamId ?? null}) order by p.id
      `.execute(db.read);
      const versions = new Map((await versionsOf(rows.map((row) => row.id))).map((version) => [version.id, version]));
      return rows.flatMap((row) => {
        const version = versions.get(row.current_version_id);
        return version === undefined ? [] : [profileOf(row, version)];
      });
    },

    async get(profileId) {
      const { rows } = await sql<ProfileRow>`${SELECT_PROFILE} and p.id = ${profileId}`.execute(db.read);
      const versions = await versionsOf([profileId]);
      const current = versions.find((version) => version.id === rows[0]?.current_version_id);
      if (rows[0] === undefined || current === undefined) return undefined;
      return { ...profileOf(rows[0], current), versions: versions.map(versionOf) };
    },

    async original(profileId, versionId) {
      const { rows } = await sql<{ original: Buffer }>`
        select original from profile_version where id = ${versionId} and profile_id = ${profileId}
      `.execute(db.read);
      return rows[0]?.original;
    },

    async delivered(tx, versionId) {
      const { rows } = await sql<{ delivered: Buffer }>`
        select delivered from profile_version where id = ${versionId}
      `.execute(executorOf(tx));
      return rows[0]?.delivered;
    },
  };
}

function versionOf(row: VersionRow): ProfileVersion {
  return {
    id: row.id,
    contentSha256: row.content_sha256.toString('hex'),
    delivery: row.delivery,
    witnessUuid: row.witness_uuid,
    displayName: row.display_name,
    size: row.size,
    createdAt: row.created_at,
  };
}

function profileOf(row: ProfileRow, version: VersionRow): Profile {
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
  };
}

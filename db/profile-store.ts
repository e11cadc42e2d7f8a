import { sql } from 'kysely';
import type { Channel } from '../core/enrollment.ts';
import type { NewVersion, ProfileStore } from '../profiles/ports.ts';
import { contentText, slotText } from '../profiles/ports.ts';
import type { LabelRef, ProfileChange } from '../profiles/types.ts';
import { raiseCatalogueEpoch } from './catalogue-epoch.ts';
import { type Database, executorOf } from './database.ts';
import {
  type ChangeRow,
  type LiveRow,
  liveOf,
  type ProfileRow,
  profileOf,
  SELECT_LIVE,
  SELECT_PROFILE,
  SELECT_VERSION,
  signerJson,
  type VersionRow,
  versionOf,
} from './profile-rows.ts';
import { announce } from './recon-wave.ts';

/** Lines of a profile's history in one answer. */
const MAX_CHANGES = 100;

const VERSION_COLUMNS = sql.raw(
  'content_sha256, original, delivery, witness_uuid, display_name, signer, payloads, target_device_type, uploaded_by, delivered, created_at',
);

/** In the order of the columns, with the types that a select does not know of its own. */
function versionValues(version: NewVersion, now: Date) {
  return sql`
    ${version.contentSha256}::bytea, ${version.original}::bytea, ${version.delivery}, ${version.witnessUuid},
    ${version.displayName}, ${signerJson(version.signer)}::jsonb, ${JSON.stringify(version.payloads)}::jsonb,
    ${version.targetDeviceType ?? null}::int, ${version.uploadedBy}, ${version.delivered()}::bytea, ${now}::timestamptz`;
}

export function profileStore(db: Database): ProfileStore {
  async function versionsOf(profileIds: readonly number[]): Promise<VersionRow[]> {
    const { rows } = await sql<VersionRow>`
      ${SELECT_VERSION} where profile_id = any(${sql.val([...profileIds])}::int[]) order by id desc
    `.execute(db.read);
    return rows;
  }

  async function changesOf(profileId: number): Promise<ProfileChange[]> {
    const { rows } = await sql<ChangeRow>`
      select at, by, change, version_id from profile_change where profile_id = ${profileId}
      order by id desc limit ${MAX_CHANGES}
    `.execute(db.read);
    return rows.map(({ at, by, change, version_id }) => ({ at, by, change, versionId: version_id }));
  }

  return {
    async lockTeam(tx, teamId) {
      const { rows } = await sql`
        select from team where id = ${teamId} and deleted_at is null for no key update
      `.execute(executorOf(tx));
      if (rows.length === 0) return false;
      await sql`
        select from label where id in (
          select unnest(include_label_ids || exclude_label_ids) from profile where team_id = ${teamId} and deleted_at is null
        ) order by id for key share
      `.execute(executorOf(tx));
      return true;
    },
    async teamOf(tx, profileId) {
      const { rows } = await sql<{ team_id: number }>`
        select team_id from profile where id = ${profileId}
      `.execute(executorOf(tx));
      return rows[0]?.team_id;
    },

    async slots(tx, wanted) {
      const executor = executorOf(tx);
      const channels = sql.val(wanted.map(({ channel }) => channel));
      const identifiers = sql.val(wanted.map(({ identifier }) => identifier));
      // Only what is missing: a conflict would use up an id every time.
      await sql`
        insert into slot (kind, channel, identifier)
        select 'mdm', w.channel, w.identifier
        from unnest(${channels}::text[], ${identifiers}::text[]) as w (channel, identifier)
        where not exists (
          select from slot s where s.kind = 'mdm' and s.channel = w.channel and s.identifier = w.identifier)
        order by channel, identifier
        on conflict (kind, channel, identifier) do nothing
      `.execute(executor);
      const { rows } = await sql<{ id: number; channel: Channel; identifier: string }>`
        select id, channel, identifier from slot
        where kind = 'mdm' and (channel, identifier) in (select * from unnest(${channels}::text[], ${identifiers}::text[]))
        order by id for update
      `.execute(executor);
      return new Map(rows.map((row) => [slotText(row), row.id]));
    },

    async labels(tx, names) {
      const { rows } = await sql<LabelRef>`
        select id, name from label where name = any(${sql.val([...names])}::text[]) order by id for key share
      `.execute(executorOf(tx));
      return rows;
    },
    async labelsOf(tx, ids) {
      const { rows } = await sql<LabelRef>`
        select id, name from label where id = any(${sql.val([...ids])}::int[]) order by id for key share
      `.execute(executorOf(tx));
      return rows;
    },

    async labelNames(tx) {
      const { rows } = await sql<{ name: string }>`select name from label order by name`.execute(executorOf(tx));
      return rows.map(({ name }) => name);
    },
    async goneLabels(tx, ids) {
      const { rows } = await sql<LabelRef>`
        select id, name from gone_label where id = any(${sql.val([...ids])}::int[]) order by id
      `.execute(executorOf(tx));
      return rows;
    },

    async live(tx, teamId) {
      const { rows } = await sql<LiveRow>`
        ${SELECT_LIVE} where p.team_id = ${teamId} and p.deleted_at is null order by p.id for update of p
      `.execute(executorOf(tx));
      return rows.map(liveOf);
    },
    async find(tx, profileId) {
      const { rows } = await sql<LiveRow>`${SELECT_LIVE} where p.id = ${profileId} for update of p`.execute(
        executorOf(tx),
      );
      return rows[0] && liveOf(rows[0]);
    },

    async create(tx, profile, version, { change, by }, now) {
      const { rows } = await sql<{ profile_id: number; version_id: number }>`
        with ids as materialized (
          select nextval(pg_get_serial_sequence('profile', 'id'))::int as profile_id,
            nextval(pg_get_serial_sequence('profile_version', 'id'))::int as version_id
        ),
        made as (
          insert into profile (id, team_id, slot_id, name, include_mode, include_label_ids, exclude_label_ids, min_os, max_os,
                               current_version_id, moved_from_slot_id, moved_from_profile_id, epoch, created_at, updated_at)
          select profile_id, ${profile.teamId}, ${profile.slotId}, ${profile.name}, ${profile.includeMode},
                 ${sql.val([...profile.includeLabelIds])}::int[], ${sql.val([...profile.excludeLabelIds])}::int[],
                 ${profile.minOs ?? null}, ${profile.maxOs ?? null}, version_id, ${profile.movedFrom?.slotId ?? null}::int,
                 ${profile.movedFrom?.profileId ?? null}::int, epoch + 1, ${now}::timestamptz, ${now}::timestamptz
          from ids, catalogue
        ),
        held as (
          insert into profile_version (id, profile_id, ${VERSION_COLUMNS})
          select version_id, profile_id, ${versionValues(version, now)} from ids
        )
        insert into profile_change (profile_id, at, by, change, version_id)
        select profile_id, ${now}::timestamptz, ${by}, ${change}, version_id from ids returning profile_id, version_id
      `.execute(executorOf(tx));
      return { profileId: rows[0]?.profile_id ?? 0, versionId: rows[0]?.version_id ?? 0 };
    },

    async addVersion(tx, profileId, version, now) {
      const { rows } = await sql<{ id: number }>`
        insert into profile_version (profile_id, ${VERSION_COLUMNS})
        select ${profileId}, ${versionValues(version, now)} returning id
      `.execute(executorOf(tx));
      return rows[0]?.id ?? 0;
    },
    async versionOf(tx, profileId, versionId) {
      const { rows } = await sql<VersionRow>`
        ${SELECT_VERSION} where profile_id = ${profileId} and id = ${versionId}
      `.execute(executorOf(tx));
      return rows[0] && versionOf(rows[0]);
    },

    async ownerOf(tx, versionId) {
      const { rows } = await sql<{ profile_id: number }>`
        select profile_id from profile_version where id = ${versionId}
      `.execute(executorOf(tx));
      return rows[0]?.profile_id;
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

    async update(tx, profileId, change, line, now) {
      await sql`
        with changed as (
          update profile set name = ${change.name}, current_version_id = ${change.versionId},
            include_mode = ${change.includeMode}, include_label_ids = ${sql.val([...change.includeLabelIds])}::int[],
            exclude_label_ids = ${sql.val([...change.excludeLabelIds])}::int[], min_os = ${change.minOs ?? null},
            max_os = ${change.maxOs ?? null}, epoch = (select epoch + 1 from catalogue), updated_at = ${now}
          where id = ${profileId} returning id
        )
        insert into profile_change (profile_id, at, by, change, version_id)
        select id, ${now}::timestamptz, ${line.by}, ${line.change}, ${change.versionId}::int from changed
      `.execute(executorOf(tx));
    },
    async remove(tx, profileId, now) {
      await sql`
        update profile set deleted_at = ${now}, updated_at = ${now}, epoch = (select epoch + 1 from catalogue)
        where id = ${profileId}
      `.execute(executorOf(tx));
    },
    async revive(tx, profileId, now) {
      await sql`
        update profile set deleted_at = null, updated_at = ${now}, epoch = (select epoch + 1 from catalogue)
        where id = ${profileId}
      `.execute(executorOf(tx));
    },
    async note(tx, profileId, { change, by, versionId }, now) {
      await sql`
        insert into profile_change (profile_id, at, by, change, version_id)
        values (${profileId}, ${now}, ${by}, ${change}, ${versionId})
      `.execute(executorOf(tx));
    },

    bumpCatalogue: raiseCatalogueEpoch,
    markTeamDirty: (tx, teamId, reason, now) => announce(executorOf(tx), { teamId }, reason, now),

    async list({ teamId, deleted }) {
      const { rows } = await sql<ProfileRow>`
        ${SELECT_PROFILE} and (p.deleted_at is not null) = ${deleted}
          and (${teamId ?? null}::int is null or p.team_id = ${teamId ?? null}) order by p.id
      `.execute(db.read);
      const versions = new Map((await versionsOf(rows.map((row) => row.id))).map((version) => [version.id, version]));
      return rows.flatMap((row) => {
        const version = versions.get(row.current_version_id);
        return version === undefined ? [] : [profileOf(row, version)];
      });
    },
    async get(profileId, deleted = false) {
      const { rows } = await sql<ProfileRow>`
        ${SELECT_PROFILE} and (p.deleted_at is null or ${deleted}) and p.id = ${profileId}
      `.execute(db.read);
      const versions = await versionsOf([profileId]);
      const current = versions.find((version) => version.id === rows[0]?.current_version_id);
      if (rows[0] === undefined || current === undefined) return undefined;
      const changes = await changesOf(profileId);
      return { ...profileOf(rows[0], current), versions: versions.map(versionOf), changes };
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

    async contents(teamId, tx) {
      const { rows } = await sql<{ id: number; channel: Channel; identifier: string; content_sha256: Buffer }>`
        select v.id, s.channel, s.identifier, v.content_sha256
        from profile p join slot s on s.id = p.slot_id join profile_version v on v.profile_id = p.id
        where p.team_id = ${teamId} and p.deleted_at is null
      `.execute(tx === undefined ? db.read : executorOf(tx));
      return new Map(rows.map((row) => [contentText(row, row.content_sha256), row.id]));
    },
    async unread(teamId) {
      const { rows } = await sql<{ profile_id: number; id: number }>`
        select v.profile_id, v.id from profile p join profile_version v on v.id = p.current_version_id
        where p.team_id = ${teamId} and p.deleted_at is null and v.payloads is null order by v.id
      `.execute(db.read);
      return rows.map((row) => ({ profileId: row.profile_id, versionId: row.id }));
    },
    async fill(tx, versionId, { signer, payloads, targetDeviceType }) {
      await sql`
        update profile_version set signer = ${signerJson(signer)}::jsonb, payloads = ${JSON.stringify(payloads)}::jsonb,
          target_device_type = ${targetDeviceType ?? null}
        where id = ${versionId} and payloads is null
      `.execute(executorOf(tx));
    },
  };
}

/** Commands waiting for prepared devices: one of a kind without consequences, or the reconciler's InstallProfile with its op. */
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { commandBody } from '../../mdm/hand-out.ts';

export const EFFECT_TEAM = 'Bench with profiles';
const PROFILE_BYTES = 8 * 1024;

export const commandUuid = (udid: string): string => `C${udid.slice(1)}`;

export async function makeEffectTeam(db: Database): Promise<number> {
  const { rows } = await sql<{ id: number }>`insert into team (name) values (${EFFECT_TEAM}) returning id`.execute(
    db.read,
  );
  return rows[0]?.id ?? 0;
}

export async function queueDeviceInformation(db: Database, udids: readonly string[]): Promise<void> {
  const Queries = ['DeviceName', 'OSVersion', 'BuildVersion', 'ModelName', 'SerialNumber', 'WiFiMAC'];
  await queue(db, udids, 'DeviceInformation', commandBody({ RequestType: 'DeviceInformation', Queries }), undefined);
}

export async function queueInstallProfile(db: Database, udids: readonly string[], teamId: number): Promise<void> {
  const { rows } = await sql<{ slot_id: number; version_id: number }>`
    with s as (
      insert into slot (kind, channel, identifier) values ('mdm', 'device', 'com.example.bench') returning id
    ), p as (
      insert into profile (team_id, slot_id, name, include_mode, epoch, created_at, updated_at)
      select ${teamId}::int, id, 'Bench', 'none', 1, now(), now() from s returning id, slot_id
    ), v as (
      insert into profile_version (profile_id, content_sha256, original, delivery, witness_uuid, display_name, delivered, created_at)
      select id, 'x', 'x', 'rewritten', gen_random_uuid()::text, 'Bench', 'x', now() from p returning id, profile_id
    )
    select p.slot_id, v.id as version_id from p join v on v.profile_id = p.id
  `.execute(db.read);
  const { slot_id: slotId = 0, version_id: versionId = 0 } = rows[0] ?? {};
  await sql`update profile set current_version_id = ${versionId} where slot_id = ${slotId}`.execute(db.read);
  const body = commandBody({ RequestType: 'InstallProfile', Payload: Buffer.alloc(PROFILE_BYTES, 7) });
  await queue(db, udids, 'InstallProfile', body, slotId);
  await sql`
    insert into op (enrollment_id, slot_id, op, version_id, generation, enrollment_generation, state, command_uuid, created_at, updated_at)
    select enrollment_id, slot_id, 'install', ${versionId}::int, 1, 1, 'queued', command_uuid, now(), now()
    from command where slot_id = ${slotId}::int
  `.execute(db.read);
  await sql`update recon set op_count = 1 where enrollment_id in (select enrollment_id from op)`.execute(db.read);
}

async function queue(
  db: Database,
  udids: readonly string[],
  requestType: string,
  body: Buffer,
  slotId: number | undefined,
): Promise<void> {
  await sql`
    with b as (insert into command_body (sha256, bytes) values (sha256(${body}), ${body}) returning id)
    insert into command (enrollment_id, command_uuid, request_type, body_id, origin, state, enrollment_generation, slot_id,
      op_generation, queued_at)
    select e.id, 'C' || substr(e.enrollment_id, 2), ${requestType}::text, b.id,
      ${slotId === undefined ? 'api' : 'reconciler'}::text, 'queued', 1, ${slotId ?? null}::int,
      ${slotId === undefined ? null : 1}::int, now()
    from enrollment e cross join b where e.enrollment_id = any(${sql.val([...udids])}::text[])
  `.execute(db.read);
}

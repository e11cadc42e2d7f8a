import { sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { NewEnrollment } from '../mdm/ports.ts';
import type { Claimant, DeviceFacts } from '../mdm/types.ts';
import type { Executor } from './database.ts';

/**
 * The host a new enrolment belongs to: known by UDID, hardware UUID or serial number, else made.
 *
 * UDID and serial number are a claim of the message. A link that names no Mac proves neither, so with it the serial
 * number finds nobody, and a host found by UDID comes into the link's team without labels: whoever states another Mac's
 * identity must not get what that Mac was meant to have.
 */
export async function hostFor(executor: Executor, enrollment: NewEnrollment, now: Date): Promise<string> {
  const { facts, who, takesOver } = enrollment;
  const udid = who.udid ?? null;
  const serial = facts.serialNumber ?? null;
  const proven = enrollment.binding !== 'link_only';
  const found = await sql<{ id: string }>`
    select id from host
    where id = ${takesOver ?? null} or udid = ${udid} or (udid is null and hardware_uuid = ${udid})
      or (${proven} and serial_number = ${serial} and not exists (
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
  if (!proven && found.rows.length > 0) await unbind(executor, hostId, enrollment.certificateSha256);
  await nameHost(executor, hostId, facts, now);
  return hostId;
}

async function unbind(executor: Executor, hostId: string, certificateSha256: Buffer): Promise<void> {
  await sql`delete from label_member where host_id = ${hostId}`.execute(executor);
  await sql`
    update host set team_id = ch.team_id from certificate c join scep_challenge ch on ch.id = c.challenge_id
    where host.id = ${hostId} and c.sha256 = ${certificateSha256}
  `.execute(executor);
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

export async function refreshHost(
  executor: Executor,
  ref: EnrollmentRef,
  facts: DeviceFacts,
  now: Date,
): Promise<void> {
  const { rows } = await sql<{ host_id: string }>`select host_id from enrollment where id = ${ref}`.execute(executor);
  for (const { host_id } of rows) await nameHost(executor, host_id, facts, now);
}

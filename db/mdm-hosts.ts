import { sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { NewEnrollment } from '../mdm/ports.ts';
import type { Claimant, DeviceFacts } from '../mdm/types.ts';
import type { Executor } from './database.ts';
import { type FactsChange, recordHostFacts } from './host-facts.ts';
import { liveTeam, lockHardware } from './host-identity.ts';

/**
 * The host a new enrolment belongs to: known by UDID, hardware UUID or serial number, else made.
 *
 * UDID and serial number are a claim of the message. A link that names no Mac proves neither, so with it the serial
 * number finds nobody, and a host found by UDID comes into the link's team without labels: whoever states another Mac's
 * identity must not get what that Mac was meant to have.
 */
export async function hostFor(executor: Executor, enrollment: NewEnrollment, now: Date): Promise<FactsChange> {
  const { facts, who } = enrollment;
  const found = (await find(executor, enrollment)) ?? (await lockedFind(executor, enrollment));
  const hostId = found ?? enrollment.newHostId;
  const team = await liveTeam(executor, await teamOf(executor, enrollment.certificateSha256));
  const udid = who.udid ?? null;
  await sql`
    insert into host (id, udid, serial_number, hardware_uuid, team_id, created_at, updated_at)
    values (${hostId}, ${udid}, ${facts.serialNumber ?? null}, ${hardwareUuid(who, facts)}, ${team}, ${now}, ${now})
    on conflict (id) do update set udid = coalesce(excluded.udid, host.udid),
      hardware_uuid = coalesce(excluded.hardware_uuid, host.hardware_uuid)
  `.execute(executor);
  if (found !== undefined && enrollment.binding === 'link_only') await unbind(executor, hostId, team);
  const changed = await nameHost(executor, hostId, facts, now);
  return { hostId, osChanged: changed?.osChanged === true };
}

/** The row is locked. */
async function find(
  executor: Executor,
  { facts, who, takesOver, binding }: NewEnrollment,
): Promise<string | undefined> {
  const udid = who.udid ?? null;
  // Agents spell it either way; each by its index.
  const spelled = sql`any(${sql.val(udid === null ? [] : [udid, udid.toUpperCase(), udid.toLowerCase()])}::text[])`;
  const proven = binding !== 'link_only';
  const { rows } = await sql<{ id: string }>`
    select id from host
    where id = ${takesOver ?? null} or udid = ${udid} or (udid is null and hardware_uuid = ${spelled})
      or (${proven} and serial_number = ${facts.serialNumber ?? null} and not exists (
        select from enrollment e where e.host_id = host.id and e.state in ('authenticated', 'enrolled')))
    order by (id = ${takesOver ?? null}) is true desc, (udid = ${udid}) is true desc, (hardware_uuid = ${spelled}) is true desc,
      created_at desc
    limit 1 for update
  `.execute(executor);
  return rows[0]?.id;
}

/** Before a host is made: its agent may be making it just now. */
async function lockedFind(executor: Executor, enrollment: NewEnrollment): Promise<string | undefined> {
  const { udid } = enrollment.who;
  if (udid === undefined) return undefined;
  await lockHardware(executor, udid);
  return find(executor, enrollment);
}

/** The team of the link that the certificate was issued by. */
async function teamOf(executor: Executor, certificateSha256: Buffer): Promise<number> {
  const { rows } = await sql<{ team_id: number }>`
    select ch.team_id from certificate c join scep_challenge ch on ch.id = c.challenge_id where c.sha256 = ${certificateSha256}
  `.execute(executor);
  const team = rows[0]?.team_id;
  if (team === undefined) throw new Error('an enrolment without its certificate');
  return team;
}

async function unbind(executor: Executor, hostId: string, team: number): Promise<void> {
  await sql`delete from label_member where host_id = ${hostId}`.execute(executor);
  await sql`delete from host_label where host_id = ${hostId}`.execute(executor);
  await sql`update host set team_id = ${team} where id = ${hostId}`.execute(executor);
}

const UUID = /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/;

/** A Mac's UDID is its hardware UUID, by which its agent is known as well; other systems have UDIDs of other shapes. */
function hardwareUuid(who: Claimant, facts: DeviceFacts): string | null {
  return who.udid !== undefined && facts.modelName !== undefined && UUID.test(who.udid) ? who.udid : null;
}

function nameHost(
  executor: Executor,
  hostId: string,
  { deviceName: name, ...facts }: DeviceFacts,
  now: Date,
): Promise<FactsChange | undefined> {
  return recordHostFacts(executor, hostId, { ...facts, name }, now);
}

export async function refreshHost(
  executor: Executor,
  ref: EnrollmentRef,
  facts: DeviceFacts,
  now: Date,
): Promise<FactsChange | undefined> {
  const { rows } = await sql<{ host_id: string }>`select host_id from enrollment where id = ${ref}`.execute(executor);
  return rows[0] && nameHost(executor, rows[0].host_id, facts, now);
}

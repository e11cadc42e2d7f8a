/** Rows for store tests, written as SQL so that no store is needed to test another. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { EnrollmentRef } from '../../core/enrollment.ts';
import type { Database } from '../../db/database.ts';

export const NOW = new Date('2026-03-01T12:00:00Z');
export const TOPIC = 'com.apple.mgmt.External.00000000-0000-4000-8000-000000000001';

export interface EnrolledHost {
  readonly hostId: string;
  readonly udid: string;
  readonly enrollment: EnrollmentRef;
}

/** A host with a live device enrolment that has a push token. */
export async function enrolledHost(db: Database, more: { state?: string; token?: Buffer } = {}): Promise<EnrolledHost> {
  const hostId = randomUUID();
  const udid = randomUUID().toUpperCase();
  await sql`
    insert into host (id, udid, serial_number, hardware_uuid, created_at, updated_at)
    values (${hostId}, ${udid}, ${`S${udid.slice(0, 9)}`}, ${udid}, ${NOW}, ${NOW})
  `.execute(db.read);
  const { rows } = await sql<{ id: number }>`
    insert into enrollment (enrollment_id, type, channel, host_id, state, generation, topic, push_token, push_magic,
                            token_updated_at, binding, enrolled_at)
    values (${udid}, 'Device', 'device', ${hostId}, ${more.state ?? 'enrolled'}, 1, ${TOPIC},
            ${more.token ?? Buffer.from(udid)}, ${`magic-${udid}`}, ${NOW}, 'link_only', ${NOW})
    returning id
  `.execute(db.read);
  return { hostId, udid, enrollment: rows[0]?.id ?? 0 };
}

/** A queued command of a kind without effects. */
export async function queuedCommand(
  db: Database,
  enrollment: EnrollmentRef,
  uuid: string = randomUUID(),
): Promise<string> {
  await sql`
    with body as (
      insert into command_body (sha256, bytes) values (sha256(${uuid}::bytea), 'x'::bytea) returning id
    )
    insert into command (enrollment_id, command_uuid, request_type, body_id, origin, state, enrollment_generation, queued_at)
    select ${enrollment}, ${uuid}, 'DeviceInformation', id, 'api', 'queued', 1, ${NOW} from body
  `.execute(db.read);
  return uuid;
}

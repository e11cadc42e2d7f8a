import { sql } from 'kysely';
import type { Binding, Claimant, EnrollmentRecord, EnrollmentState, Known } from '../mdm/types.ts';
import type { Executor } from './database.ts';

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

/** What a decision about one message reads, locked in the order certificate, device, user. */
export async function known(
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

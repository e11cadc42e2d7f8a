import { sql } from 'kysely';
import type { Executor } from './database.ts';

/**
 * Whoever makes a host of this hardware next waits until this transaction ends, and then finds the host of this one:
 * an agent and an Authenticate of the same new Mac make one host. The row stays; it says nothing but "locked by".
 */
export async function lockHardware(executor: Executor, hardwareUuid: string): Promise<void> {
  await sql`
    insert into host_identity (hardware_uuid) values (${hardwareUuid.toUpperCase()})
    on conflict (hardware_uuid) do update set hardware_uuid = excluded.hardware_uuid
  `.execute(executor);
}

/** The team itself, or where its hosts went: nobody comes into a team that has been deleted. Held until the end of the transaction. */
export async function liveTeam(executor: Executor, teamId: number): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    select coalesce(moved_to, id) as id from team where id = ${teamId} for key share
  `.execute(executor);
  const into = rows[0]?.id ?? teamId;
  return into === teamId ? teamId : liveTeam(executor, into);
}

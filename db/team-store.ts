import { sql } from 'kysely';
import type { TeamStore } from '../hosts/ports.ts';
import type { Team } from '../hosts/types.ts';
import { raisedEpoch } from './catalogue-epoch.ts';
import { type Database, type Executor, executorOf } from './database.ts';

/** Hosts in one statement, well within the time that a statement may take: a team may be a fleet. */
const PAGE = 10_000;

export function teamStore(db: Database, page = PAGE): TeamStore {
  return {
    async list() {
      const { rows } = await sql<Team>`
        select t.id, t.name, count(h.id)::int as hosts from team t left join host h on h.team_id = t.id
        where t.deleted_at is null group by t.id order by t.id
      `.execute(db.read);
      return rows;
    },

    async byName(name) {
      const { rows } = await sql<{ id: number }>`
        select id from team where name = ${name} and deleted_at is null
      `.execute(db.read);
      return rows[0]?.id;
    },

    async insert(tx, name) {
      const { rows } = await sql<{ id: number }>`
        insert into team (name) values (${name}) on conflict do nothing returning id
      `.execute(executorOf(tx));
      return rows[0]?.id;
    },

    async lock(tx, names) {
      const { rows } = await sql<{ id: number; name: string }>`
        select id, name from team where name = any(${sql.val([...names])}::text[]) and deleted_at is null
        order by id for update
      `.execute(executorOf(tx));
      return new Map(rows.map((row) => [row.name, row.id]));
    },

    async rename(tx, teamId, name) {
      const executor = executorOf(tx);
      const taken = await sql`
        select from team where name = ${name} and deleted_at is null and id <> ${teamId}
      `.execute(executor);
      if (taken.rows.length > 0) return false;
      await sql`update team set name = ${name} where id = ${teamId}`.execute(executor);
      return true;
    },

    async dropProfiles(tx, teamId, now) {
      const { rows } = await sql`
        with gone as (
          update profile set deleted_at = ${now}, updated_at = ${now}, epoch = (select epoch from catalogue)
          where team_id = ${teamId} and deleted_at is null returning id, current_version_id
        ), noted as (
          insert into profile_change (profile_id, at, by, change, version_id)
          select id, ${now}, 'admin', 'deleted', current_version_id from gone where current_version_id is not null
        )
        select id from gone
      `.execute(executorOf(tx));
      return rows.length;
    },

    async dissolve(tx, teamId, into, now) {
      const executor = executorOf(tx);
      await sql`update enroll_link set expires_at = ${now} where team_id = ${teamId} and expires_at > ${now}`.execute(
        executor,
      );
      await sql`
        update osquery_enroll_secret set retired_at = ${now} where team_id = ${teamId} and retired_at is null
      `.execute(executor);
      const hosts = await moveHosts(executor, teamId, into, now, page);
      await moveCopies(executor, teamId, into, now, page);
      // Whoever comes with a link of it that was spent before, and of teams that ended in it, comes where its hosts are.
      await sql`
        update team set moved_to = ${into}, deleted_at = coalesce(deleted_at, ${now})
        where id = ${teamId} or moved_to = ${teamId}
      `.execute(executor);
      return hosts;
    },

    raiseEpoch: raisedEpoch,
  };
}

/** The team is locked, so nobody comes into it meanwhile. */
async function moveHosts(executor: Executor, teamId: number, into: number, now: Date, page: number): Promise<number> {
  for (let moved = 0; ; ) {
    const { rows } = await sql<{ moved: number }>`
      with moved as (
        update host set team_id = ${into}, updated_at = ${now} where id in (
          select id from host where team_id = ${teamId} order by id limit ${page})
        returning 1
      )
      select count(*)::int as moved from moved
    `.execute(executor);
    const some = rows[0]?.moved ?? 0;
    moved += some;
    if (some < page) return moved;
  }
}

async function moveCopies(executor: Executor, teamId: number, into: number, now: Date, page: number): Promise<void> {
  for (let after = 0; ; ) {
    const { rows } = await sql<{ last: number | null }>`
      with members as materialized (
        select enrollment_id from recon where team_id = ${teamId} and enrollment_id > ${after}
        order by enrollment_id limit ${page} for update
      ), moved as (
        update recon r set team_id = ${into} from members m where r.enrollment_id = m.enrollment_id
        returning r.enrollment_id
      ), queued as (
        insert into recon_queue (enrollment_id, reason, due_at, lane)
        select enrollment_id, 'team', ${now}, 1 from moved
      )
      select max(enrollment_id) as last from members
    `.execute(executor);
    const last = rows[0]?.last ?? undefined;
    if (last === undefined) return;
    after = last;
  }
}

import { sql } from 'kysely';
import type { TeamStore } from '../hosts/ports.ts';
import type { Team } from '../hosts/types.ts';
import { raisedEpoch } from './catalogue-epoch.ts';
import { type Database, executorOf } from './database.ts';

export function teamStore(db: Database): TeamStore {
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
      const moved = await sql`
        update host set team_id = ${into}, updated_at = ${now} where team_id = ${teamId} returning 1
      `.execute(executor);
      await sql`
        with moved as (
          update recon set team_id = ${into} where enrollment_id in (
            select enrollment_id from recon where team_id = ${teamId} order by enrollment_id for update)
          returning enrollment_id
        )
        insert into recon_queue (enrollment_id, reason, due_at, lane)
        select enrollment_id, 'team', ${now}, 1 from moved
      `.execute(executor);
      // Whoever comes with a link of it that was spent before, and of teams that ended in it, comes where its hosts are.
      await sql`
        update team set moved_to = ${into}, deleted_at = coalesce(deleted_at, ${now})
        where id = ${teamId} or moved_to = ${teamId}
      `.execute(executor);
      return moved.rows.length;
    },

    raiseEpoch: raisedEpoch,
  };
}

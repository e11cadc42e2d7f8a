import { sql } from 'kysely';
import type { OsqueryStore } from '../osquery/ports.ts';
import { type Database, executorOf } from './database.ts';

export function osqueryStore(db: Database): OsqueryStore {
  return {
    async addSecret(tx, hash, teamId, now) {
      await sql`
        insert into osquery_enroll_secret (hash, team_id, created_at) values (${hash}, ${teamId}, ${now})
      `.execute(executorOf(tx));
    },

    async teamOfSecret(tx, hash) {
      const { rows } = await sql<{ team_id: number }>`
        select team_id from osquery_enroll_secret where hash = ${hash} and retired_at is null
      `.execute(executorOf(tx));
      return rows[0]?.team_id;
    },

    async addNode(tx, node, now) {
      const executor = executorOf(tx);
      await sql`
        update osquery_node set superseded_at = ${now}
        where host_identifier = ${node.hostIdentifier} and superseded_at is null
      `.execute(executor);
      const { rows } = await sql<{ id: number }>`
        insert into osquery_node (node_key_hash, host_id, host_identifier, osquery_version, enrolled_at)
        values (${node.keyHash}, ${node.hostId}, ${node.hostIdentifier}, ${node.osqueryVersion}, ${now})
        returning id
      `.execute(executor);
      return { id: rows[0]?.id ?? 0, hostId: node.hostId, hostIdentifier: node.hostIdentifier };
    },

    async nodeByKey(hash) {
      const { rows } = await sql<{ id: number; host_id: string; host_identifier: string }>`
        select id, host_id, host_identifier from osquery_node where node_key_hash = ${hash} and superseded_at is null
      `.execute(db.read);
      const row = rows[0];
      return row && { id: row.id, hostId: row.host_id, hostIdentifier: row.host_identifier };
    },

    async recordFacts(tx, hostId, facts, now) {
      await sql`
        update host set
          hardware_uuid = coalesce(${facts.hardwareUuid ?? null}, hardware_uuid),
          serial_number = coalesce(serial_number, ${facts.serialNumber ?? null}),
          name = coalesce(${facts.name ?? null}, name),
          model = coalesce(${facts.model ?? null}, model),
          os_version = coalesce(${facts.osVersion ?? null}, os_version),
          build_version = coalesce(${facts.buildVersion ?? null}, build_version),
          updated_at = ${now}
        where id = ${hostId}
      `.execute(executorOf(tx));
    },

    async deviceEnrollment(tx, hostId) {
      const { rows } = await sql<{ id: number }>`
        select id from enrollment where host_id = ${hostId} and channel = 'device' and state = 'enrolled'
      `.execute(executorOf(tx));
      return rows[0]?.id;
    },

    async managedUsers(hostId, tx) {
      const { rows } = await sql<{ enrollment: number; short_name: string }>`
        select id as enrollment, user_short_name as short_name from enrollment
        where host_id = ${hostId} and channel = 'user' and state = 'enrolled' and user_short_name <> ''
        order by id limit 20
      `.execute(tx === undefined ? db.read : executorOf(tx));
      return rows.map((row) => ({ enrollment: row.enrollment, shortName: row.short_name }));
    },

    async hostsVerifying(limit) {
      const { rows } = await sql<{ host_id: string }>`
        select distinct e.host_id from op o join enrollment e on e.id = o.enrollment_id
        left join recon r on r.enrollment_id = e.id
        where o.state = 'acked' and (e.channel = 'device' or r.osquery_state = 'rows') limit ${limit}
      `.execute(db.read);
      return rows.map((row) => row.host_id);
    },

    async markSeen(seen) {
      await db.run(async (tx) => {
        await sql`
          insert into osquery_seen (node_id, seen_at)
          select t.id, t.at from unnest(${sql.val(seen.map((s) => s.nodeId))}::bigint[], ${sql.val(seen.map((s) => s.at))}::timestamptz[]) as t (id, at)
          where exists (select from osquery_node n where n.id = t.id) order by t.id
          on conflict (node_id) do update set seen_at = greatest(osquery_seen.seen_at, excluded.seen_at)
        `.execute(executorOf(tx));
      });
    },
  };
}

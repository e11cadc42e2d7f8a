import { sql } from 'kysely';
import type { OsqueryStore } from '../osquery/ports.ts';
import type { AskedLabel } from '../osquery/types.ts';
import { type Database, executorOf } from './database.ts';
import { recordHostFacts } from './host-facts.ts';

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
      const { hostId, hostIdentifier } = node;
      return { id: rows[0]?.id ?? 0, hostId, hostIdentifier, labelEpoch: 0, labelsAt: undefined };
    },

    async nodeByKey(hash) {
      const { rows } = await sql<{
        id: number;
        host_id: string;
        host_identifier: string;
        label_epoch: number | null;
        evaluated_at: Date | null;
      }>`
        select n.id, n.host_id, n.host_identifier, l.label_epoch, l.evaluated_at
        from osquery_node n left join host_label l on l.host_id = n.host_id and l.evaluated_at >= n.enrolled_at
        where n.node_key_hash = ${hash} and n.superseded_at is null
      `.execute(db.read);
      const row = rows[0];
      return (
        row && {
          id: row.id,
          hostId: row.host_id,
          hostIdentifier: row.host_identifier,
          labelEpoch: row.label_epoch ?? 0,
          labelsAt: row.evaluated_at ?? undefined,
        }
      );
    },

    /** Which machine an agent speaks for was settled when it enrolled, so the hardware UUID is none of these facts. */
    recordFacts: (tx, hostId, facts, now) => recordHostFacts(executorOf(tx), hostId, facts, now),

    async catalogueEpoch() {
      const { rows } = await sql<{ epoch: number }>`select epoch from catalogue`.execute(db.read);
      return rows[0]?.epoch ?? 0;
    },

    async labelList() {
      const epoch = await sql<{ epoch: number }>`select epoch from catalogue`.execute(db.read);
      const { rows } = await sql<AskedLabel>`
        select id, query, epoch from label where kind = 'dynamic' and query is not null order by id
      `.execute(db.read);
      return { epoch: epoch.rows[0]?.epoch ?? 0, labels: rows };
    },

    async hostsAskedSoon(limit) {
      const { rows } = await sql<{ host_id: string }>`
        select host_id from host_label where ask_soon limit ${limit}
      `.execute(db.read);
      return rows.map((row) => row.host_id);
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

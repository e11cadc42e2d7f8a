import { sql } from 'kysely';
import type { Tx } from '../core/tx.ts';
import type { HostStore, TeamStore } from '../hosts/ports.ts';
import type { Hardware, Host, Team } from '../hosts/types.ts';
import { type Database, executorOf } from './database.ts';

interface HostRow {
  id: string;
  udid: string | null;
  serial_number: string | null;
  name: string;
  model: string;
  product_name: string;
  os_version: string;
  build_version: string;
  team_id: number;
  team_name: string;
  labels: string[];
  enrollment: Exclude<Host['enrollment'], 'none'> | null;
  last_seen_at: Date | null;
}

const SELECT_HOST = sql`
  select h.id, h.udid, h.serial_number, h.name, h.model, h.product_name, h.os_version, h.build_version, h.team_id,
         t.name as team_name, e.state as enrollment, greatest(s.seen_at, q.seen_at) as last_seen_at,
         coalesce((select array_agg(l.name order by l.name) from label_member m join label l on l.id = m.label_id
                   where m.host_id = h.id), '{}') as labels
  from host h join team t on t.id = h.team_id
  left join enrollment e on e.host_id = h.id and e.channel = 'device'
  left join enrollment_seen s on s.enrollment_id = e.id
  left join lateral (
    select max(os.seen_at) as seen_at from osquery_node n join osquery_seen os on os.node_id = n.id where n.host_id = h.id
  ) q on true`;

export function hostStore(db: Database): HostStore {
  return {
    async list(query) {
      const text = query.text?.replace(/[\\%_]/g, '\\$&');
      const { rows } = await sql<HostRow>`
        ${SELECT_HOST}
        where (${query.after ?? null}::uuid is null or h.id > ${query.after ?? null}::uuid)
          and (${query.team ?? null}::text is null or t.name = ${query.team ?? null})
          and (${query.label ?? null}::text is null or exists (
            select from label_member m join label l on l.id = m.label_id
            where m.host_id = h.id and l.name = ${query.label ?? null}))
          and (${text ?? null}::text is null or h.name ilike ${`%${text}%`}
            or h.serial_number ilike ${`${text}%`} or h.udid ilike ${`${text}%`})
        order by h.id limit ${query.limit}
      `.execute(db.read);
      return rows.map(hostOf);
    },

    async find(ref) {
      const { rows } = await sql<HostRow & { rank: number }>`
        select * from (
          ${SELECT_HOST}
          where h.id::text = ${ref} or h.serial_number = ${ref} or h.udid = ${ref} or h.name = ${ref}
        ) found
        order by (id::text = ${ref}) desc, (serial_number = ${ref}) is true desc, (udid = ${ref}) is true desc
        limit 2
      `.execute(db.read);
      const [first, second] = rows;
      if (first === undefined) return undefined;
      const rank = (row: HostRow) => [row.id, row.serial_number, row.udid, row.name].indexOf(ref);
      return second === undefined || rank(first) < rank(second) ? hostOf(first) : undefined;
    },

    async match(tx, hardware) {
      // Either spelling, each by its index.
      const uuid = hardware.hardwareUuid ?? '';
      const spelled = sql`any(${sql.val([uuid, uuid.toUpperCase(), uuid.toLowerCase()].filter((text) => text !== ''))}::text[])`;
      const { rows } = await sql<{ id: string }>`
        select id from host
        where udid = ${spelled} or hardware_uuid = ${spelled}
           or (serial_number = ${hardware.serialNumber ?? null} and udid is null)
        order by (udid = ${spelled}) is true desc, (hardware_uuid = ${spelled}) is true desc, created_at
        limit 1 for update
      `.execute(executorOf(tx));
      return rows[0]?.id;
    },

    async insert(tx, id, hardware, teamId, now) {
      await sql`
        insert into host (id, serial_number, hardware_uuid, name, model, os_version, build_version, team_id, created_at, updated_at)
        values (${id}, ${hardware.serialNumber ?? null}, ${hardware.hardwareUuid ?? null}, ${textOf(hardware, 'name')},
                ${textOf(hardware, 'model')}, ${textOf(hardware, 'osVersion')}, ${textOf(hardware, 'buildVersion')},
                ${teamId}, ${now}, ${now})
      `.execute(executorOf(tx));
    },

    async moveToTeam(tx, hostId, teamId, now) {
      const executor = executorOf(tx);
      const { rows } = await sql`
        update host set team_id = ${teamId}, updated_at = ${now} where id = ${hostId} returning 1
      `.execute(executor);
      await sql`
        with moved as (
          update recon r set team_id = ${teamId} from enrollment e
          where e.id = r.enrollment_id and e.host_id = ${hostId} returning r.enrollment_id
        )
        insert into recon_queue (enrollment_id, reason, due_at) select enrollment_id, 'team', ${now} from moved
      `.execute(executor);
      return rows.length > 0;
    },
  };
}

export function teamStore(db: Database): TeamStore {
  return {
    async list() {
      const { rows } = await sql<Team>`
        select t.id, t.name, count(h.id)::int as hosts from team t left join host h on h.team_id = t.id
        group by t.id order by t.id
      `.execute(db.read);
      return rows;
    },
    async byName(name) {
      const { rows } = await sql<{ id: number }>`select id from team where name = ${name}`.execute(db.read);
      return rows[0]?.id;
    },
    async insert(tx: Tx, name) {
      const { rows } = await sql<{ id: number }>`
        insert into team (name) values (${name}) on conflict (name) do nothing returning id
      `.execute(executorOf(tx));
      return rows[0]?.id;
    },
  };
}

function textOf(hardware: Hardware, key: 'name' | 'model' | 'osVersion' | 'buildVersion'): string {
  return hardware[key] ?? '';
}

function hostOf(row: HostRow): Host {
  return {
    id: row.id,
    udid: row.udid ?? undefined,
    serialNumber: row.serial_number ?? undefined,
    name: row.name,
    model: row.model,
    productName: row.product_name,
    osVersion: row.os_version,
    buildVersion: row.build_version,
    teamId: row.team_id,
    teamName: row.team_name,
    labels: row.labels,
    enrollment: row.enrollment ?? 'none',
    lastSeenAt: row.last_seen_at ?? undefined,
  };
}

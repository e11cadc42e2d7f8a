import { sql } from 'kysely';
import type { Tx } from '../core/tx.ts';
import type { HostStore, TeamStore } from '../hosts/ports.ts';
import type { Hardware, Host, Team } from '../hosts/types.ts';
import { type Database, executorOf } from './database.ts';
import { resolveHosts } from './host-refs.ts';

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
  left join lateral (
    -- A host may have been enrolled under another UDID before: what is live speaks for it, else the latest.
    select id, state from enrollment where host_id = h.id and channel = 'device'
    order by (state = 'ended'), id desc limit 1
  ) e on true
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
      const id = (await resolveHosts(db.read, [ref])).get(ref);
      if (id === undefined) return undefined;
      const { rows } = await sql<HostRow>`${SELECT_HOST} where h.id = ${id}`.execute(db.read);
      return rows[0] && hostOf(rows[0]);
    },

    async unknownFilter(query) {
      const { rows } = await sql<{ team: boolean; label: boolean }>`
        select exists (select from team where name = ${query.team ?? null}) as team,
               exists (select from label where name = ${query.label ?? null}) as label
      `.execute(db.read);
      if (query.team !== undefined && rows[0]?.team === false) return 'team';
      return query.label !== undefined && rows[0]?.label === false ? 'label' : undefined;
    },

    async match(tx, hardware) {
      // Either spelling, each by its index.
      const uuid = hardware.hardwareUuid ?? '';
      const spelled = sql`any(${sql.val([uuid, uuid.toUpperCase(), uuid.toLowerCase()].filter((text) => text !== ''))}::text[])`;
      const { rows } = await sql<{ id: string }>`
        select id from host
        where udid = ${spelled} or hardware_uuid = ${spelled}
           or (serial_number = ${hardware.serialNumber ?? null} and udid is null
               and (hardware_uuid is null or ${hardware.hardwareUuid ?? null}::text is null))
        order by (udid = ${spelled}) is true desc, (hardware_uuid = ${spelled}) is true desc, created_at
        limit 1 for update
      `.execute(executorOf(tx));
      return rows[0]?.id;
    },

    async lockTeam(tx, teamId) {
      await sql`select from team where id = ${teamId} for no key update`.execute(executorOf(tx));
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

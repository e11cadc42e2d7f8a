import { sql } from 'kysely';
import type { HostStore } from '../hosts/ports.ts';
import type { Hardware, Host } from '../hosts/types.ts';
import { type Database, executorOf } from './database.ts';
import { liveTeam, lockHardware } from './host-identity.ts';
import { resolveHosts } from './host-refs.ts';
import { KNOWN_MEMBER, labelsOfHost } from './label-read.ts';

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
         coalesce((select array_agg(l.name order by l.name)
                   from label_member m join label l on l.id = m.label_id left join host_label hl on hl.host_id = m.host_id
                   where m.host_id = h.id and ${KNOWN_MEMBER}), '{}') as labels
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
            select from label_member m join label l on l.id = m.label_id left join host_label hl on hl.host_id = m.host_id
            where m.host_id = h.id and l.name = ${query.label ?? null} and ${KNOWN_MEMBER}))
          and (${text ?? null}::text is null or h.name ilike ${`%${text}%`}
            or h.serial_number ilike ${`${text}%`} or h.udid ilike ${`${text}%`})
          and (${query.ids === undefined} or h.id = any(${sql.val([...(query.ids ?? [])])}::uuid[]))
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
        select exists (select from team where name = ${query.team ?? null} and deleted_at is null) as team,
               exists (select from label where name = ${query.label ?? null}) as label
      `.execute(db.read);
      if (query.team !== undefined && rows[0]?.team === false) return 'team';
      return query.label !== undefined && rows[0]?.label === false ? 'label' : undefined;
    },

    async labelNames() {
      const { rows } = await sql<{ name: string }>`select name from label order by name`.execute(db.read);
      return rows.map(({ name }) => name);
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

    async lockHardware(tx, { hardwareUuid }) {
      if (hardwareUuid !== undefined) await lockHardware(executorOf(tx), hardwareUuid);
    },

    async insert(tx, id, hardware, teamId, now) {
      const executor = executorOf(tx);
      const team = await liveTeam(executor, teamId);
      await sql`
        insert into host (id, serial_number, hardware_uuid, name, model, os_version, build_version, team_id, created_at, updated_at)
        values (${id}, ${hardware.serialNumber ?? null}, ${hardware.hardwareUuid ?? null}, ${textOf(hardware, 'name')},
                ${textOf(hardware, 'model')}, ${textOf(hardware, 'osVersion')}, ${textOf(hardware, 'buildVersion')},
                ${team}, ${now}, ${now})
      `.execute(executor);
    },

    async moveToTeam(tx, hostId, teamId, now) {
      const executor = executorOf(tx);
      if ((await liveTeam(executor, teamId)) !== teamId) return 'team';
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
      return rows.length > 0 ? undefined : 'host';
    },

    labels: (hostId) => labelsOfHost(db.read, hostId),
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

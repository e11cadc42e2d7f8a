import { sql } from 'kysely';
import type { VitalsStore, VitalsVerdict } from '../hosts/ports.ts';
import type { HostFacts, VitalsCriteria } from '../hosts/types.ts';
import { raiseCatalogueEpoch } from './catalogue-epoch.ts';
import { type Database, type Executor, executorOf } from './database.ts';
import { copyLabels } from './label-copies.ts';
import { announce } from './recon-wave.ts';

interface FactColumns extends Record<keyof HostFacts, string> {
  readonly id: string;
}

const FACTS = sql`
  id, os_version, build_version, model, product_name, name, coalesce(serial_number, '') as serial_number`;

export function vitalsStore(db: Database): VitalsStore {
  return {
    pageSize: db.kind === 'pglite' ? 100 : 1000,

    async labels(tx) {
      const executor = executorOf(tx);
      // Whoever makes or edits a label raises the epoch first.
      await sql`select from catalogue for share`.execute(executor);
      const { rows } = await sql<{ id: number; criteria: VitalsCriteria }>`
        select id, vitals as criteria from label where kind = 'host_vitals' order by id
      `.execute(executor);
      return rows;
    },

    async facts(tx, hostId) {
      const { rows } = await sql<FactColumns>`
        select ${FACTS} from host where id = ${hostId} for no key update
      `.execute(executorOf(tx));
      return rows[0];
    },

    write: (tx, labelIds, verdicts, now) => write(executorOf(tx), labelIds, verdicts, now),

    async queueHost(tx, hostId, reason, now) {
      await sql`
        insert into recon_queue (enrollment_id, reason, due_at)
        select r.enrollment_id, ${reason}, ${now} from recon r join enrollment e on e.id = r.enrollment_id
        where e.host_id = ${hostId}
      `.execute(executorOf(tx));
    },

    async nextPage(tx, limit) {
      const executor = executorOf(tx);
      const labels = await sql<{ id: number; criteria: VitalsCriteria; fill_after: string | null }>`
        select id, vitals as criteria, fill_after from label where kind = 'host_vitals' and not filled
        order by id limit 1 for update skip locked
      `.execute(executor);
      const label = labels.rows[0];
      if (label === undefined) return undefined;
      const { rows } = await sql<FactColumns>`
        select ${FACTS} from host where ${label.fill_after}::uuid is null or id > ${label.fill_after}::uuid
        order by id limit ${limit} for no key update
      `.execute(executor);
      return {
        label: { id: label.id, criteria: label.criteria },
        hosts: rows.map(({ id, ...facts }) => ({ id, facts })),
      };
    },

    async fillTo(tx, labelId, hostId) {
      await sql`update label set fill_after = ${hostId} where id = ${labelId}`.execute(executorOf(tx));
    },

    async finishFill(tx, labelId, now) {
      const executor = executorOf(tx);
      await raiseCatalogueEpoch(tx);
      await sql`update label set filled = true, fill_after = null where id = ${labelId}`.execute(executor);
      const { rows } = await sql<{ team_id: number }>`
        select distinct team_id from profile
        where deleted_at is null and (${labelId} = any(include_label_ids) or ${labelId} = any(exclude_label_ids))
        order by team_id
      `.execute(executor);
      for (const { team_id: teamId } of rows) await announce(executor, { teamId }, 'label', now);
    },
  };
}

/** Set-based: three statements for a page of hosts, and only hosts that differ are copied and queued. */
async function write(
  executor: Executor,
  labelIds: readonly number[],
  verdicts: readonly VitalsVerdict[],
  now: Date,
): Promise<void> {
  const hosts = sql`${sql.val(verdicts.map((verdict) => verdict.hostId))}::uuid[]`;
  const labels = sql`${sql.val([...labelIds])}::int[]`;
  const pairs = (pick: (verdict: VitalsVerdict) => readonly number[]) => {
    const flat = verdicts.flatMap((verdict) => pick(verdict).map((id) => ({ id, hostId: verdict.hostId })));
    return sql`unnest(${sql.val(flat.map((one) => one.id))}::int[], ${sql.val(flat.map((one) => one.hostId))}::uuid[])`;
  };
  const members = await sql<{ host_id: string }>`
    with yes as (select * from ${pairs((verdict) => verdict.yes)} as y (label_id, host_id)),
    -- What is unknown keeps the member it was.
    kept as (select * from yes union select * from ${pairs((verdict) => verdict.unknown)} as u (label_id, host_id)),
    gone as (
      delete from label_member m where m.host_id = any(${hosts}) and m.label_id = any(${labels})
        and not exists (select from kept k where k.label_id = m.label_id and k.host_id = m.host_id)
      returning m.host_id
    ),
    there as (select l.id from label l where l.id = any(${labels}) order by l.id for key share),
    come as (
      insert into label_member (label_id, host_id, since)
      select y.label_id, y.host_id, ${now} from yes y join there on there.id = y.label_id order by 1, 2
      on conflict do nothing returning host_id
    )
    select host_id from gone union select host_id from come
  `.execute(executor);
  // The row may have been written between this statement's snapshot and its lock: what it is then is what is changed.
  const unknown = await sql<{ host_id: string }>`
    with open as (
      select u.host_id, array_agg(u.label_id order by u.label_id) as ids
      from ${pairs((verdict) => verdict.unknown)} as u (label_id, host_id) group by u.host_id
    )
    insert into host_label (host_id, unknown_label_ids)
    select h.id, coalesce(o.ids, '{}') from unnest(${hosts}) as h (id) left join open o on o.host_id = h.id
    where o.ids is not null or exists (select from host_label x where x.host_id = h.id)
    order by h.id
    on conflict (host_id) do update set unknown_label_ids = (
      select coalesce(array_agg(k order by k), '{}') from (
        select k from unnest(host_label.unknown_label_ids) as k where k <> all(${labels})
        union select k from unnest(excluded.unknown_label_ids) as k
      ) merged)
    where exists (
      select k from unnest(host_label.unknown_label_ids) as k where k = any(${labels})
      except select k from unnest(excluded.unknown_label_ids) as k)
      or not host_label.unknown_label_ids @> excluded.unknown_label_ids
    returning host_id
  `.execute(executor);
  const changed = new Set([...members.rows, ...unknown.rows].map((row) => row.host_id));
  await copyLabels(executor, [...changed], now);
}

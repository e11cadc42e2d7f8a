import { sql } from 'kysely';
import type { Tx } from '../core/tx.ts';
import type { LabelStore } from '../hosts/ports.ts';
import { raisedEpoch } from './catalogue-epoch.ts';
import { type Database, executorOf } from './database.ts';
import { resolveHosts } from './host-refs.ts';
import { copyLabels } from './label-copies.ts';
import { type LabelColumns, labelOf, listLabels, profilesNaming, viewLabel } from './label-read.ts';
import { announce } from './recon-wave.ts';

/** Members in one statement, well within the time that a statement may take. */
const PAGE = 50_000;

/** A host that came or went. */
interface Changed {
  readonly host_id: string;
}

export function labelStore(db: Database): LabelStore {
  /** Copies follow; answers how many hosts changed. */
  async function copied(tx: Tx, rows: readonly Changed[], now: Date): Promise<number> {
    const hostIds = rows.map((row) => row.host_id);
    await copyLabels(executorOf(tx), hostIds, now);
    return hostIds.length;
  }

  return {
    list: () => listLabels(db.read),
    view: (name) => viewLabel(db.read, name),

    async byName(tx, name) {
      const { rows } = await sql<LabelColumns>`
        select id, name, kind, query, vitals from label where name = ${name} for update
      `.execute(executorOf(tx));
      return rows[0] && labelOf(rows[0]);
    },

    async insert(tx, label, epoch) {
      // Epoch 0: a manual label is known on every host from the start, its members are what we wrote.
      const { rows } = await sql<{ id: number }>`
        insert into label (name, kind, query, vitals, filled, epoch)
        values (${label.name}, ${label.kind}, ${label.kind === 'dynamic' ? label.query : null},
                ${label.kind === 'host_vitals' ? JSON.stringify(label.criteria) : null}::jsonb,
                ${label.kind !== 'host_vitals'}, ${label.kind === 'dynamic' ? epoch : 0})
        on conflict (name) do nothing returning id
      `.execute(executorOf(tx));
      return rows[0]?.id;
    },

    async edit(tx, labelId, { name, query, criteria }, epoch) {
      const executor = executorOf(tx);
      if (name !== undefined) {
        const taken = await sql`select from label where name = ${name} and id <> ${labelId}`.execute(executor);
        if (taken.rows.length > 0) return false;
        await sql`update label set name = ${name} where id = ${labelId}`.execute(executor);
      }
      if (query !== undefined)
        await sql`update label set query = ${query}, epoch = ${epoch} where id = ${labelId}`.execute(executor);
      if (criteria !== undefined)
        await sql`
          update label set vitals = ${JSON.stringify(criteria)}::jsonb, filled = false, fill_after = null
          where id = ${labelId}
        `.execute(executor);
      return true;
    },

    async count(tx, kind) {
      const { rows } = await sql<{ count: number }>`
        select count(*)::int as count from label where kind = ${kind}
      `.execute(executorOf(tx));
      return rows[0]?.count ?? 0;
    },

    resolve: (tx, refs) => resolveHosts(executorOf(tx), refs),

    async add(tx, labelId, hostIds, now) {
      const { rows } = await sql<Changed>`
        insert into label_member (label_id, host_id, since)
        select ${labelId}, id, ${now} from unnest(${sql.val([...hostIds])}::uuid[]) as id order by id
        on conflict do nothing returning host_id
      `.execute(executorOf(tx));
      return copied(tx, rows, now);
    },

    async remove(tx, labelId, hostIds, now) {
      const { rows } = await sql<Changed>`
        delete from label_member where label_id = ${labelId} and host_id = any(${sql.val([...hostIds])}::uuid[])
        returning host_id
      `.execute(executorOf(tx));
      return copied(tx, rows, now);
    },

    async retain(tx, labelId, hostIds, now) {
      const { rows } = await sql<Changed>`
        delete from label_member m where label_id = ${labelId}
          and not exists (select from unnest(${sql.val([...hostIds])}::uuid[]) as id where id = m.host_id)
        returning host_id
      `.execute(executorOf(tx));
      return copied(tx, rows, now);
    },

    usedBy: (tx, labelId) => profilesNaming(executorOf(tx), labelId),

    async detach(tx, labelId, now) {
      await sql`
        with aimed as (
          update profile set include_label_ids = array_remove(include_label_ids, ${labelId}),
            exclude_label_ids = array_remove(exclude_label_ids, ${labelId}),
            epoch = (select epoch from catalogue), updated_at = ${now}
          where deleted_at is null and (${labelId} = any(include_label_ids) or ${labelId} = any(exclude_label_ids))
          returning id, current_version_id
        )
        insert into profile_change (profile_id, at, by, change, version_id)
        select id, ${now}, 'admin', 'edited', current_version_id from aimed where current_version_id is not null
      `.execute(executorOf(tx));
    },

    onceUsedBy: (tx, labelId) => profilesNaming(executorOf(tx), labelId, true),
    async names(tx) {
      const { rows } = await sql<{ name: string }>`select name from label order by name`.execute(
        tx === undefined ? db.read : executorOf(tx),
      );
      return rows.map(({ name }) => name);
    },

    async drop(tx, labelId, now) {
      const executor = executorOf(tx);
      await sql`
        insert into gone_label (id, name, deleted_at) select id, name, ${now} from label where id = ${labelId}
        on conflict (id) do update set name = excluded.name, deleted_at = excluded.deleted_at
      `.execute(executor);
      const changed: Changed[] = [];
      for (let left = true; left; ) {
        const { rows } = await sql<Changed>`
          delete from label_member where label_id = ${labelId} and host_id in (
            select host_id from label_member where label_id = ${labelId} order by host_id limit ${PAGE})
          returning host_id
        `.execute(executor);
        for (const row of rows) changed.push(row);
        left = rows.length === PAGE;
      }
      const noted = await sql<Changed>`
          update host_label set unknown_label_ids = array_remove(unknown_label_ids, ${labelId}),
            leaving_label_ids = kept.ids, leaving_counts = kept.counts, errors = errors - ${String(labelId)},
            ask_soon = cardinality(kept.ids) > 0
          from (
            select h.host_id, coalesce(array_agg(l.id order by l.id) filter (where l.id <> ${labelId}), '{}') as ids,
              coalesce(array_agg(l.noes order by l.id) filter (where l.id <> ${labelId}), '{}') as counts
            from host_label h left join unnest(h.leaving_label_ids, h.leaving_counts) as l (id, noes) on true
            where ${labelId} = any(h.unknown_label_ids) or ${labelId} = any(h.leaving_label_ids)
            group by h.host_id
          ) kept
          where kept.host_id = host_label.host_id returning host_label.host_id
      `.execute(executor);
      const hosts = new Set([...changed, ...noted.rows].map((row) => row.host_id));
      await copied(
        tx,
        [...hosts].map((host_id) => ({ host_id })),
        now,
      );
      await sql`delete from label where id = ${labelId}`.execute(executor);
    },

    raiseEpoch: raisedEpoch,

    async markTeams(tx, teamIds, reason, now) {
      for (const teamId of teamIds) await announce(executorOf(tx), { teamId }, reason, now);
    },
  };
}

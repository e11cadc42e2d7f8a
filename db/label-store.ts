import { sql } from 'kysely';
import type { LabelStore } from '../hosts/ports.ts';
import type { Label } from '../hosts/types.ts';
import { raiseCatalogueEpoch } from './catalogue-epoch.ts';
import { type Database, type Executor, executorOf } from './database.ts';
import { resolveHosts } from './host-refs.ts';

/** A host that came or went. */
interface Changed {
  readonly host_id: string;
}

export function labelStore(db: Database): LabelStore {
  return {
    async list() {
      const { rows } = await sql<Label>`
        select l.id, l.name, l.kind, count(m.host_id)::int as hosts
        from label l left join label_member m on m.label_id = l.id group by l.id order by l.name
      `.execute(db.read);
      return rows;
    },

    async byName(tx, name) {
      const { rows } = await sql<Label>`
        select id, name, kind, 0 as hosts from label where name = ${name} for update
      `.execute(executorOf(tx));
      return rows[0];
    },

    async insert(tx, name) {
      // Epoch 0: a manual label is known on every host from the start, its members are what we wrote.
      const { rows } = await sql<{ id: number }>`
        insert into label (name, kind, epoch) values (${name}, 'manual', 0) on conflict (name) do nothing returning id
      `.execute(executorOf(tx));
      return rows[0]?.id;
    },

    resolve: (tx, refs) => resolveHosts(executorOf(tx), refs),

    async add(tx, labelId, hostIds, now) {
      const { rows } = await sql<Changed>`
        insert into label_member (label_id, host_id)
        select ${labelId}, id from unnest(${sql.val([...hostIds])}::uuid[]) as id order by id
        on conflict do nothing returning host_id
      `.execute(executorOf(tx));
      return copyToRecon(executorOf(tx), rows, now);
    },

    async remove(tx, labelId, hostIds, now) {
      const { rows } = await sql<Changed>`
        delete from label_member where label_id = ${labelId} and host_id = any(${sql.val([...hostIds])}::uuid[])
        returning host_id
      `.execute(executorOf(tx));
      return copyToRecon(executorOf(tx), rows, now);
    },

    async retain(tx, labelId, hostIds, now) {
      const { rows } = await sql<Changed>`
        delete from label_member m where label_id = ${labelId}
          and not exists (select from unnest(${sql.val([...hostIds])}::uuid[]) as id where id = m.host_id)
        returning host_id
      `.execute(executorOf(tx));
      return copyToRecon(executorOf(tx), rows, now);
    },

    async usedBy(tx, labelId) {
      const { rows } = await sql<{ name: string }>`
        select name from profile
        where deleted_at is null and (${labelId} = any(include_label_ids) or ${labelId} = any(exclude_label_ids))
        order by name
      `.execute(executorOf(tx));
      return rows.map((row) => row.name);
    },

    async drop(tx, labelId, now) {
      const executor = executorOf(tx);
      const { rows } = await sql<Changed>`
        delete from label_member where label_id = ${labelId} returning host_id
      `.execute(executor);
      await copyToRecon(executor, rows, now);
      await sql`delete from label where id = ${labelId}`.execute(executor);
    },

    bumpCatalogue: raiseCatalogueEpoch,
  };
}

/**
 * `recon.label_ids` as `label_member` has it now, for every channel of these hosts, and their queue rows; answers how many
 * hosts changed. The lock is a statement of its own: one statement would read the members as they were before it waited.
 */
async function copyToRecon(executor: Executor, changed: readonly Changed[], now: Date): Promise<number> {
  if (changed.length === 0) return 0;
  const hostIds = changed.map((row) => row.host_id);
  const { rows } = await sql<{ enrollment_id: number }>`
    select r.enrollment_id from recon r join enrollment e on e.id = r.enrollment_id
    where e.host_id = any(${sql.val(hostIds)}::uuid[]) order by r.enrollment_id for update of r
  `.execute(executor);
  const locked = sql.val(rows.map((row) => row.enrollment_id));
  await sql`
    with copied as (
      update recon r set label_ids = coalesce(
          (select array_agg(m.label_id order by m.label_id) from label_member m where m.host_id = e.host_id), '{}')
      from enrollment e where e.id = r.enrollment_id and r.enrollment_id = any(${locked}::bigint[])
      returning r.enrollment_id
    )
    insert into recon_queue (enrollment_id, reason, due_at) select enrollment_id, 'label', ${now} from copied
  `.execute(executor);
  return changed.length;
}

import { sql } from 'kysely';
import type { LabelStore } from '../hosts/ports.ts';
import type { Label } from '../hosts/types.ts';
import { type Database, type Executor, executorOf } from './database.ts';

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

    async resolve(tx, refs) {
      const { rows } = await sql<{ ref: string; id: string }>`
        select distinct on (r.ref) r.ref, h.id from unnest(${sql.val([...refs])}::text[]) as r (ref)
        join host h on h.serial_number = r.ref or h.udid = r.ref or h.id::text = r.ref
        order by r.ref, (h.id::text = r.ref) desc, (h.serial_number = r.ref) is true desc
      `.execute(executorOf(tx));
      return new Map(rows.map((row) => [row.ref, row.id]));
    },

    async members(tx, labelId) {
      const { rows } = await sql<{ host_id: string }>`
        select host_id from label_member where label_id = ${labelId}
      `.execute(executorOf(tx));
      return rows.map((row) => row.host_id);
    },

    async add(tx, labelId, hostIds, now) {
      const executor = executorOf(tx);
      await sql`
        insert into label_member (label_id, host_id)
        select ${labelId}, id from unnest(${sql.val([...hostIds])}::uuid[]) as id order by id
        on conflict do nothing
      `.execute(executor);
      await copyToRecon(executor, hostIds, now);
    },

    async remove(tx, labelId, hostIds, now) {
      const executor = executorOf(tx);
      await sql`
        delete from label_member where label_id = ${labelId} and host_id = any(${sql.val([...hostIds])}::uuid[])
      `.execute(executor);
      await copyToRecon(executor, hostIds, now);
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
      const { rows } = await sql<{ host_id: string }>`
        delete from label_member where label_id = ${labelId} returning host_id
      `.execute(executor);
      await copyToRecon(
        executor,
        rows.map((row) => row.host_id),
        now,
      );
      await sql`delete from label where id = ${labelId}`.execute(executor);
    },

    async bumpCatalogue(tx) {
      await sql`update catalogue set epoch = epoch + 1`.execute(executorOf(tx));
    },
  };
}

/**
 * `recon.label_ids` as `label_member` has it now, for every channel of these hosts, and their queue rows. The lock is a
 * statement of its own: one statement would read the members as they were before it waited.
 */
async function copyToRecon(executor: Executor, hostIds: readonly string[], now: Date): Promise<void> {
  if (hostIds.length === 0) return;
  const { rows } = await sql<{ enrollment_id: number }>`
    select r.enrollment_id from recon r join enrollment e on e.id = r.enrollment_id
    where e.host_id = any(${sql.val([...hostIds])}::uuid[]) order by r.enrollment_id for update of r
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
}

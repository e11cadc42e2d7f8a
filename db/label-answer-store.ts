import { sql } from 'kysely';
import type { HostLabels, LabelAnswerStore } from '../hosts/ports.ts';
import type { DynamicLabel } from '../hosts/types.ts';
import { type Database, type Executor, executorOf } from './database.ts';
import { copyLabels } from './label-copies.ts';

interface Row {
  readonly labels: DynamicLabel[];
  readonly members: number[];
  readonly label_epoch: number | null;
  readonly unknown_label_ids: number[] | null;
  readonly leaving_label_ids: number[] | null;
  readonly leaving_counts: number[] | null;
  readonly errors: Record<string, string> | null;
  readonly asked_at: Date | null;
}

export function labelAnswerStore(db: Database): LabelAnswerStore {
  return {
    read: (tx, hostId) => read(executorOf(tx), hostId),

    /** Two statements: the second reads the row as it is once the lock is there. */
    async lock(tx, hostId) {
      const executor = executorOf(tx);
      await sql`
        insert into host_label (host_id) select id from host where id = ${hostId} on conflict (host_id) do nothing
      `.execute(executor);
      await sql`select from host_label where host_id = ${hostId} for update`.execute(executor);
      return read(executor, hostId);
    },

    async write(tx, hostId, { evidence, joins, leaves, gateChanged }, now) {
      const executor = executorOf(tx);
      const leaving = [...evidence.leaving].sort(([one], [other]) => one - other);
      await sql`
        update host_label set label_epoch = ${evidence.labelEpoch},
          unknown_label_ids = ${sql.val([...evidence.unknown].sort((one, other) => one - other))}::int[],
          leaving_label_ids = ${sql.val(leaving.map(([id]) => id))}::int[],
          leaving_counts = ${sql.val(leaving.map(([, noes]) => noes))}::int[],
          errors = ${JSON.stringify(Object.fromEntries(evidence.errors))}::jsonb,
          asked_at = ${evidence.askedAt ?? null}, evaluated_at = ${now}, ask_soon = ${leaving.length > 0}
        where host_id = ${hostId}
      `.execute(executor);
      if (leaves.length > 0)
        await sql`
          delete from label_member where host_id = ${hostId} and label_id = any(${sql.val([...leaves])}::int[])
        `.execute(executor);
      // A label that is deleted just now has no members any more.
      if (joins.length > 0)
        await sql`
          with there as (
            select id from label where id = any(${sql.val([...joins])}::int[]) order by id for key share
          )
          insert into label_member (label_id, host_id, since) select id, ${hostId}, ${now} from there on conflict do nothing
        `.execute(executor);
      if (gateChanged) await copyLabels(executor, [hostId], now);
    },

    async markEvaluated(batch) {
      await sql`
        update host_label h set evaluated_at = greatest(h.evaluated_at, t.at)
        from unnest(${sql.val(batch.map((one) => one.hostId))}::uuid[], ${sql.val(batch.map((one) => one.at))}::timestamptz[])
          as t (host_id, at)
        where h.host_id = t.host_id
      `.execute(db.read);
    },
  };
}

/** One statement, on the way of every answer of every agent. */
async function read(executor: Executor, hostId: string): Promise<HostLabels> {
  const { rows } = await sql<Row>`
    select coalesce(d.labels, '[]') as labels,
      coalesce((select array_agg(m.label_id) from label_member m where m.host_id = ${hostId}), '{}') as members,
      h.label_epoch, h.unknown_label_ids, h.leaving_label_ids, h.leaving_counts, h.errors, h.asked_at
    from (select jsonb_agg(jsonb_build_object('id', id, 'epoch', epoch)) as labels from label where kind = 'dynamic') d
    left join host_label h on h.host_id = ${hostId}
  `.execute(executor);
  const row = rows[0];
  const counts = row?.leaving_counts ?? [];
  return {
    labels: row?.labels ?? [],
    evidence: {
      labelEpoch: row?.label_epoch ?? 0,
      members: new Set(row?.members),
      unknown: new Set(row?.unknown_label_ids ?? []),
      leaving: new Map((row?.leaving_label_ids ?? []).map((id, index) => [id, counts[index] ?? 0])),
      errors: new Map(Object.entries(row?.errors ?? {}).map(([id, message]) => [Number(id), message])),
      askedAt: row?.asked_at ?? undefined,
    },
  };
}

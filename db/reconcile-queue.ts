/** The queue of enrolments to be evaluated, and the waves beside it. */
import { sql } from 'kysely';
import type { Claim, ReconcileStore } from '../reconciler/ports.ts';
import { type Database, type Executor, executorOf } from './database.ts';
import { idList } from './recon-columns.ts';
import { queuePage, takeWave } from './recon-wave.ts';

type Queue = Pick<
  ReconcileStore,
  'claim' | 'claimAgain' | 'takeWave' | 'queuePage' | 'postpone' | 'enqueue' | 'enqueueUnlessQueued' | 'enqueueDue'
>;

export function reconcileQueue(db: Database): Queue {
  return {
    claim: (tx, limit, now) => claimDue(executorOf(tx), limit, now),
    claimAgain: (tx, queueIds, now) =>
      claim(
        executorOf(tx),
        sql`select id from recon_queue where id = any(${idList(queueIds)}) and due_at <= ${now} for update skip locked`,
      ),
    takeWave: (tx, limit, pageSize, oldest) => takeWave(executorOf(tx), limit, pageSize, oldest),
    queuePage: (tx, page, now) => queuePage(executorOf(tx), page, now),

    async postpone(tx, queueIds, attempts, reason, dueAt) {
      await sql`
        update recon_queue set due_at = ${dueAt}, attempts = ${attempts}, reason = ${reason}
        where id = any(${idList(queueIds)})
      `.execute(executorOf(tx));
    },
    async enqueue(tx, enrollments, reason, dueAt, attempts = 0) {
      if (enrollments.length === 0) return;
      await sql`
        insert into recon_queue (enrollment_id, reason, due_at, attempts)
        select id, ${reason}, ${dueAt}, ${attempts} from unnest(${idList(enrollments)}) as id
      `.execute(executorOf(tx));
    },
    async enqueueUnlessQueued(tx, enrollments, reason, dueAt) {
      await sql`
        insert into recon_queue (enrollment_id, reason, due_at, lane)
        select id, ${reason}, ${dueAt}, 1 from unnest(${idList(enrollments)}) as id
        where not exists (select from recon_queue q where q.enrollment_id = id)
      `.execute(executorOf(tx));
    },
    async enqueueDue(now, limit) {
      const { rows } = await sql<{ queued: number }>`
        with due as materialized (select enrollment_id from op where next_at <= ${now} order by next_at limit ${limit}),
        queued as (
          insert into recon_queue (enrollment_id, reason, due_at, lane)
          select distinct enrollment_id, 'due', ${now}::timestamptz, 1 from due
          where not exists (select from recon_queue q where q.enrollment_id = due.enrollment_id)
          returning 1
        )
        select count(*) as queued from queued
      `.execute(db.read);
      return rows[0]?.queued ?? 0;
    },
  };
}

/** Lane 1 has what lane 0 leaves of the batch. */
function claimDue(executor: Executor, limit: number, now: Date): Promise<Claim> {
  return claim(
    executor,
    sql`select id from first union all select id from second`,
    sql`first as materialized (
      select id from recon_queue where lane = 0 and due_at <= ${now} order by due_at, id limit ${limit} for update skip locked
    ), second as materialized (
      select id from recon_queue where lane = 1 and due_at <= ${now} order by due_at, id
      limit ${limit}::bigint - (select count(*) from first) for update skip locked
    ), `,
  );
}

/** The epoch is of this statement's snapshot: whoever queued these rows had raised it in the same transaction. */
async function claim(executor: Executor, which: ReturnType<typeof sql>, before = sql``): Promise<Claim> {
  const { rows } = await sql<{
    enrollment_id: number;
    attempts: number;
    reasons: string[];
    queue_ids: number[];
    epoch: number;
  }>`
    with ${before}due as materialized (${which}),
    gone as (
      delete from recon_queue q using due where q.id = due.id returning q.id, q.enrollment_id, q.attempts, q.reason
    )
    select enrollment_id, max(attempts) as attempts, array_agg(distinct reason) as reasons, array_agg(id) as queue_ids,
      (select epoch from catalogue) as epoch
    from gone group by enrollment_id order by enrollment_id
  `.execute(executor);
  return {
    hosts: rows.map((row) => ({
      enrollment: row.enrollment_id,
      attempts: row.attempts,
      reasons: row.reasons,
      queueIds: row.queue_ids,
    })),
    epoch: rows[0]?.epoch,
  };
}

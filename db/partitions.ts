/** Finished commands lie in one partition per UTC day, so that retention drops tables instead of deleting rows. */
import { sql } from 'kysely';
import { type Database, type Executor, executorOf } from './database.ts';

const PARENT = 'command_history';
const DEFAULT_PARTITION = 'command_history_rest';
const DAY_MS = 86_400_000;
const NAME = /^command_history_(\d{4})(\d\d)(\d\d)$/;

export interface PartitionPlan {
  /** Days to have partitions for, first one first, each at 00:00 UTC. */
  readonly wanted: readonly Date[];
  /** Rows finished before this instant may go. */
  readonly keepFrom: Date;
}

function dayOf(instant: Date): Date {
  return new Date(Math.floor(instant.getTime() / DAY_MS) * DAY_MS);
}

function nameOf(day: Date): string {
  return `${PARENT}_${day.toISOString().slice(0, 10).replaceAll('-', '')}`;
}

/** The day of a partition, by its name; undefined for tables that are none of ours. */
function dayOfName(name: string): Date | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : new Date(`${match[1]}-${match[2]}-${match[3]}T00:00:00Z`);
}

/** Today and `daysAhead` days after it; whole days older than `keepDays` may go. */
export function partitionPlan(now: Date, daysAhead: number, keepDays: number): PartitionPlan {
  const today = dayOf(now).getTime();
  return {
    wanted: Array.from({ length: daysAhead + 1 }, (_, ahead) => new Date(today + ahead * DAY_MS)),
    keepFrom: new Date(today - keepDays * DAY_MS),
  };
}

async function partitions(executor: Executor): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_inherits join pg_class on pg_class.oid = inhrelid
    where inhparent = ${PARENT}::regclass order by relname`.execute(executor);
  return rows.map((row) => row.name);
}

/**
 * Filled aside and attached: attaching lets inserts into other days go on, while `create … partition of` would lock the
 * whole table. Rows of that day that waited in the default partition move with it; without that PostgreSQL refuses.
 */
async function create(executor: Executor, day: Date): Promise<void> {
  const name = sql.id(nameOf(day));
  const from = sql.lit(day.toISOString());
  const to = sql.lit(new Date(day.getTime() + DAY_MS).toISOString());
  await sql`create table ${name} (like ${sql.id(PARENT)} including defaults including constraints)`.execute(executor);
  await sql`lock table ${sql.id(DEFAULT_PARTITION)} in access exclusive mode`.execute(executor);
  await sql`
    with moved as (
      delete from ${sql.id(DEFAULT_PARTITION)} where finished_at >= ${from} and finished_at < ${to} returning *
    ) insert into ${name} select * from moved`.execute(executor);
  await sql`alter table ${sql.id(PARENT)} attach partition ${name} for values from (${from}) to (${to})`.execute(
    executor,
  );
}

/** Creates what is wanted and missing, drops what is older than `keepFrom`; answers the names. Replicas may race. */
export async function keepPartitions(
  db: Database,
  plan: PartitionPlan,
): Promise<{ created: string[]; dropped: string[] }> {
  const created: string[] = [];
  const dropped: string[] = [];
  for (const day of plan.wanted) {
    const made = await db.run(async (tx) => {
      const executor = executorOf(tx);
      if (await isThere(executor, day)) return false;
      await create(executor, day);
      return true;
    });
    if (made) created.push(nameOf(day));
  }
  for (const name of await partitions(db.read)) {
    const day = dayOfName(name);
    if (day === undefined || day.getTime() + DAY_MS > plan.keepFrom.getTime()) continue;
    await sql`drop table if exists ${sql.id(name)}`.execute(db.read);
    dropped.push(name);
  }
  await sql`delete from ${sql.id(DEFAULT_PARTITION)} where finished_at < ${plan.keepFrom}`.execute(db.read);
  return { created, dropped };
}

/** Under a lock that only another run of this takes, so that two replicas do not both find it missing. */
async function isThere(executor: Executor, day: Date): Promise<boolean> {
  if ((await partitions(executor)).includes(nameOf(day))) return true;
  await sql`lock table ${sql.id(PARENT)} in share update exclusive mode`.execute(executor);
  return (await partitions(executor)).includes(nameOf(day));
}

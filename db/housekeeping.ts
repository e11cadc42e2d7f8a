/**
 * What a PostgreSQL server's background processes do and PGlite, which has none, leaves undone (measured on 0.5.16: no
 * checkpoint however long the WAL grows, no autovacuum): without it pg_wal and dead rows grow for as long as it runs.
 */
import type { Answer, SessionSource } from './dialect.ts';

export interface HousekeepingLimits {
  /** Bytes of WAL since the last checkpoint that bring the next one. */
  readonly walBytes: number;
  /** Autovacuum's own rule: so many dead or changed rows, plus a fifth (a tenth for statistics) of the table. */
  readonly changedRows: number;
}

const INTERVAL_MS = 60_000;
const LIMITS: HousekeepingLimits = { walBytes: 32 * 1024 * 1024, changedRows: 500 };

const WAL_SINCE_CHECKPOINT = `
  select pg_wal_lsn_diff(pg_current_wal_lsn(), redo_lsn)::float8 as bytes from pg_control_checkpoint()`;

const CHANGED_TABLES = `
  select quote_ident(schemaname) || '.' || quote_ident(relname) as name from pg_stat_user_tables
  where n_dead_tup > $1::int + n_live_tup * 0.2 or n_mod_since_analyze > $1::int + n_live_tup * 0.1`;

/** Names what was done, for tests. Each statement is one turn, so that device requests pass in between. */
export async function keepHouse(source: SessionSource, limits: HousekeepingLimits = LIMITS): Promise<string[]> {
  const done: string[] = [];
  const session = await source.acquire();
  try {
    const ask = (sql: string, ...parameters: string[]): Promise<Answer> => session.query(sql, parameters);
    const changed = await ask(CHANGED_TABLES, String(limits.changedRows));
    for (const { name } of changed.rows) {
      await ask(`vacuum (analyze) ${String(name)}`);
      done.push(`vacuum ${String(name)}`);
    }
    const [wal] = (await ask(WAL_SINCE_CHECKPOINT)).rows;
    if (Number(wal?.['bytes']) > limits.walBytes) {
      await ask('checkpoint');
      done.push('checkpoint');
    }
  } finally {
    session.release();
  }
  return done;
}

/** Runs it every minute until the returned function is called. A failure is left to the statements of others to show. */
export function startHousekeeping(source: SessionSource): () => void {
  let running = false;
  const timer = setInterval(() => {
    if (running) return;
    running = true;
    keepHouse(source)
      .catch(() => undefined)
      .finally(() => {
        running = false;
      });
  }, INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

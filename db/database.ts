/** The store: one interface over embedded PGlite and a PostgreSQL server. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely } from 'kysely';
import { EspalierError } from '../core/errors.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import { dialectOf, failedInCommit, type SessionSource } from './dialect.ts';
import { openEmbedded } from './embedded.ts';
import { atBoundary, retryAfter } from './failures.ts';
import { type PostgresOptions, postgresSessions } from './postgres-session.ts';
import { GUARD_IS_CHEAP, noGuard, unitGuard } from './unit-guard.ts';

/** Queries are written as SQL, so Kysely is told no tables. */
type Schema = Record<string, never>;
export type Executor = Kysely<Schema>;

export interface Database extends UnitOfWork {
  readonly kind: 'pglite' | 'postgres';
  /** Statements outside a unit of work, each its own transaction. Not for use inside one (see unit-guard.ts). */
  readonly read: Executor;
  /**
   * One transaction, read committed. `work` may run again after a serialisation failure, a deadlock or a connection lost
   * before COMMIT, so it changes nothing but the database. Errors: store_unavailable, and what `work` throws.
   */
  run<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

interface EmbeddedOptions {
  /** PGlite lives in `<dataFolder>/postgres`. One process may have it open. */
  readonly dataFolder: string;
  /** A data directory to start from where the folder is new; default: the one the build made, else initdb. */
  readonly template?: string;
}

export type DatabaseOptions = PostgresOptions | EmbeddedOptions;

const executors = new WeakMap<Tx, Executor>();

/** The statements of an open unit of work. Throws once it is over. */
export function executorOf(tx: Tx): Executor {
  const executor = executors.get(tx);
  if (executor === undefined) throw new EspalierError('internal_error', 'this unit of work is over');
  return executor;
}

/** Opens a store. Does not migrate: see `openMigratedDatabase`. Errors: data_folder_in_use, store_unavailable. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  return 'databaseUrl' in options
    ? databaseOver('postgres', postgresSessions(options), options.guard)
    : databaseOver('pglite', await openEmbedded(options.dataFolder, options.template));
}

export function databaseOver(
  kind: Database['kind'],
  source: SessionSource,
  guarded = kind === 'pglite' || GUARD_IS_CHEAP,
): Database {
  const guard = guarded ? unitGuard() : noGuard;
  const kysely: Executor = new Kysely<Schema>({
    dialect: dialectOf({
      async acquire() {
        guard.lease();
        return source.acquire();
      },
      close: () => source.close(),
    }),
  });

  function once<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return kysely.transaction().execute(async (executor) => {
      const tx = Object.freeze({}) as Tx;
      executors.set(tx, executor);
      try {
        return await work(tx);
      } finally {
        executors.delete(tx);
      }
    });
  }

  return {
    kind,
    read: kysely,
    async run(work) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await guard.run(() => once(work));
        } catch (error) {
          const wait = retryAfter(error, attempt, failedInCommit(error), Math.random());
          if (wait === undefined) throw atBoundary(error);
          if (wait > 0) await sleep(wait);
        }
      }
    },
    close: () => kysely.destroy(),
  };
}

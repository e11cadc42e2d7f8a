/** The store: one interface over embedded PGlite and a PostgreSQL server. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely } from 'kysely';
import { EspalierError } from '../core/errors.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import { dialectOf, type Session, type SessionSource } from './dialect.ts';
import { openEmbedded } from './embedded.ts';
import { atBoundary, retryAfter } from './failures.ts';
import { type PostgresOptions, postgresSessions } from './postgres-session.ts';

/** Queries are written as SQL, so Kysely is told no tables. */
type Schema = Record<string, never>;
export type Executor = Kysely<Schema>;

export interface Database extends UnitOfWork {
  readonly kind: 'pglite' | 'postgres';
  /** Statements outside a unit of work, each its own transaction. Refused inside one: it would ask for a second lease. */
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

interface Unit {
  session: Session | undefined;
  leased: boolean;
  over: boolean;
}

/** Opens a store. Does not migrate: see `migrate`. Errors: data_folder_in_use, store_unavailable. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  return 'databaseUrl' in options
    ? databaseOver('postgres', postgresSessions(options))
    : databaseOver('pglite', await openEmbedded(options.dataFolder, options.template));
}

export function databaseOver(kind: Database['kind'], source: SessionSource): Database {
  const units = new AsyncLocalStorage<Unit>();
  /** On PGlite a second lease inside a unit of work waits for ever, on a busy pool for as long: refused on both. */
  const openUnit = (): Unit | undefined => {
    const unit = units.getStore();
    return unit === undefined || unit.over ? undefined : unit;
  };
  const guarded: SessionSource = {
    async acquire() {
      const unit = openUnit();
      if (unit === undefined) return source.acquire();
      if (unit.leased) {
        throw new EspalierError(
          'internal_error',
          'a second connection was asked for inside a unit of work; use its tx',
        );
      }
      unit.leased = true;
      unit.session = await source.acquire();
      return unit.session;
    },
    close: () => source.close(),
  };
  const kysely: Executor = new Kysely<Schema>({ dialect: dialectOf(guarded) });

  function once<T>(unit: Unit, work: (tx: Tx) => Promise<T>): Promise<T> {
    return units.run(unit, () =>
      kysely.transaction().execute(async (executor) => {
        const tx = Object.freeze({}) as Tx;
        executors.set(tx, executor);
        try {
          return await work(tx);
        } finally {
          executors.delete(tx);
        }
      }),
    );
  }

  return {
    kind,
    read: kysely,
    async run(work) {
      if (openUnit() !== undefined) {
        throw new EspalierError('internal_error', 'a unit of work was started inside another; hand the tx down');
      }
      for (let attempt = 1; ; attempt += 1) {
        const unit: Unit = { session: undefined, leased: false, over: false };
        try {
          return await once(unit, work);
        } catch (error) {
          unit.over = true;
          const wait = retryAfter(error, attempt, unit.session?.commitSent ?? false, Math.random());
          if (wait === undefined) throw atBoundary(error);
          if (wait > 0) await sleep(wait);
        } finally {
          unit.over = true;
        }
      }
    },
    close: () => kysely.destroy(),
  };
}

/** The store: one interface over embedded PGlite and a PostgreSQL server. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Kysely } from 'kysely';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import type { SessionSource } from './dialect.ts';
import { dialectOf } from './dialect.ts';
import { openEmbedded } from './embedded.ts';
import type { PostgresOptions } from './postgres-session.ts';
import { postgresSessions } from './postgres-session.ts';

/** Queries are written as SQL, so Kysely is told no tables. */
export type Schema = Record<string, never>;
export type Executor = Kysely<Schema>;

export interface Database extends UnitOfWork {
  readonly kind: 'pglite' | 'postgres';
  /** Statements outside a unit of work, each its own transaction. Not to be used inside one. */
  readonly read: Executor;
  close(): Promise<void>;
}

export interface EmbeddedOptions {
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
  if (executor === undefined) throw new Error('this unit of work is over');
  return executor;
}

interface Unit {
  leased: boolean;
  over: boolean;
}

/** Open a store. Does not migrate: see `migrate`. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  return 'databaseUrl' in options
    ? databaseOver('postgres', postgresSessions(options))
    : databaseOver('pglite', await openEmbedded(options.dataFolder, options.template));
}

export function databaseOver(kind: Database['kind'], source: SessionSource): Database {
  const units = new AsyncLocalStorage<Unit>();
  const guarded: SessionSource = {
    acquire() {
      const unit = units.getStore();
      if (unit !== undefined && !unit.over) {
        if (unit.leased) throw new Error('a second connection was asked for inside a unit of work; use its tx');
        unit.leased = true;
      }
      return source.acquire();
    },
    close: () => source.close(),
  };
  const kysely: Executor = new Kysely<Schema>({ dialect: dialectOf(guarded) });
  return {
    kind,
    read: kysely,
    async run<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
      const outer = units.getStore();
      if (outer !== undefined && !outer.over) throw new Error('a unit of work was started inside another');
      const unit: Unit = { leased: false, over: false };
      const tx = Object.freeze({}) as Tx;
      try {
        return await units.run(unit, () =>
          kysely.transaction().execute(async (executor) => {
            executors.set(tx, executor);
            return work(tx);
          }),
        );
      } finally {
        unit.over = true;
        executors.delete(tx);
      }
    },
    close: () => kysely.destroy(),
  };
}

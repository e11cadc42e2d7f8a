/** The one Kysely dialect: it knows connections, not engines. */
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely';
import { EspalierError } from '../core/errors.ts';
import { type EncodedParameter, encodeParameter } from './values.ts';

/** What a statement answered, before Kysely sees it. */
export interface Answer {
  readonly rows: Record<string, unknown>[];
  readonly command: string;
  readonly count: number;
}

/** One leased session of an engine. Statements are carried out in the order they were asked for. */
export interface Session {
  query(sql: string, parameters: readonly EncodedParameter[]): Promise<Answer>;
  /** Marks the start of a transaction; BEGIN may travel together with the first statement. */
  begin(): void;
  commit(): Promise<void>;
  rollback(): Promise<void>;
  /** After this every use of the lease is an error. */
  release(): void;
}

export interface SessionSource {
  acquire(): Promise<Session>;
  close(): Promise<void>;
}

/** A statement that nobody awaited would otherwise run inside somebody else's transaction. */
export function statementTooLate(): EspalierError {
  return new EspalierError('internal_error', 'a statement was started after its unit of work was over');
}

/** PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error: nothing was stored. */
export function rolledBack(): EspalierError {
  return new EspalierError(
    'internal_error',
    'a failed statement was caught inside the unit of work; nothing is stored',
    {
      fix: 'Let the error leave the unit of work, or use `on conflict`, or a savepoint.',
    },
  );
}

const inCommit = new WeakSet<object>();

/** Whether `error` came from COMMIT: then, unless the server itself said so, nobody knows whether the work is stored. */
export function failedInCommit(error: unknown): boolean {
  return typeof error === 'object' && error !== null && inCommit.has(error);
}

const COUNTED = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

class Connection implements DatabaseConnection {
  readonly session: Session;
  constructor(session: Session) {
    this.session = session;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, command, count } = await this.session.query(query.sql, query.parameters.map(encodeParameter));
    const result = { rows: rows as R[] };
    return COUNTED.has(command) ? { ...result, numAffectedRows: BigInt(count) } : result;
  }

  // biome-ignore lint/correctness/useYield: the interface asks for a generator; there is nothing to stream from.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming is not supported');
  }
}

function sessionOf(connection: DatabaseConnection): Session {
  return (connection as Connection).session;
}

class SessionDriver implements Driver {
  readonly #source: SessionSource;
  constructor(source: SessionSource) {
    this.#source = source;
  }
  async init(): Promise<void> {}
  async acquireConnection(): Promise<DatabaseConnection> {
    return new Connection(await this.#source.acquire());
  }
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    sessionOf(connection).begin();
  }
  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    try {
      await sessionOf(connection).commit();
    } catch (error) {
      inCommit.add(error as object);
      throw error;
    }
  }
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await sessionOf(connection).rollback();
  }
  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    sessionOf(connection).release();
  }
  async destroy(): Promise<void> {
    await this.#source.close();
  }
}

export function dialectOf(source: SessionSource): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new SessionDriver(source),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}

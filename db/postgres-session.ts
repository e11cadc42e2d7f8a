/** Sessions from a `pg` pool. */
import { createHash } from 'node:crypto';
import pg from 'pg';
import type { Answer, Session, SessionSource } from './dialect.ts';
import type { EncodedParameter } from './values.ts';
import { parserOf } from './values.ts';

export interface PostgresOptions {
  readonly databaseUrl: string;
  /** Connections of this pool; default 10. */
  readonly poolSize?: number;
  /** Milliseconds a statement may run; default 10,000. */
  readonly statementTimeoutMs?: number;
  /** Milliseconds a statement may wait for a lock; default 5,000. */
  readonly lockTimeoutMs?: number;
}

/** Distinct statements that get a name; what comes later is parsed each time. */
const STATEMENTS_NAMED = 256;

function statementNames(): (sql: string) => string | undefined {
  const names = new Map<string, string>();
  return (sql) => {
    const known = names.get(sql);
    if (known !== undefined || names.size >= STATEMENTS_NAMED) return known;
    const name = createHash('sha256').update(sql).digest('base64url').slice(0, 24);
    names.set(sql, name);
    return name;
  };
}

class Lease implements Session {
  readonly #client: pg.PoolClient;
  readonly #nameOf: (sql: string) => string | undefined;
  #begin = false;
  #broken = false;
  #open = true;
  constructor(client: pg.PoolClient, nameOf: (sql: string) => string | undefined) {
    this.#client = client;
    this.#nameOf = nameOf;
  }

  async query(sql: string, parameters: readonly EncodedParameter[]): Promise<Answer> {
    if (!this.#open) throw new Error('this transaction is over; a statement was not awaited inside it');
    if (this.#begin) {
      this.#begin = false;
      const [, answer] = await Promise.all([this.#send('begin', []), this.#send(sql, parameters)]);
      return answer;
    }
    return this.#send(sql, parameters);
  }

  async #send(sql: string, parameters: readonly EncodedParameter[]): Promise<Answer> {
    const name = parameters.length === 0 ? undefined : this.#nameOf(sql);
    const result = await this.#client.query(
      name === undefined ? { text: sql, values: [...parameters] } : { text: sql, name, values: [...parameters] },
    );
    const last: pg.QueryResult = Array.isArray(result) ? (result.at(-1) as pg.QueryResult) : result;
    return { rows: last.rows as Record<string, unknown>[], command: last.command, count: last.rowCount ?? 0 };
  }

  begin(): void {
    this.#begin = true;
  }

  async commit(): Promise<void> {
    if (this.#begin) return;
    const { command } = await this.#send('commit', []);
    if (command !== 'COMMIT')
      throw new Error('the transaction was rolled back: a failed statement was caught inside it');
  }

  async rollback(): Promise<void> {
    if (this.#begin) return;
    await this.#send('rollback', []).catch(() => {
      this.#broken = true;
    });
  }

  release(): void {
    this.#open = false;
    this.#client.release(this.#broken);
  }
}

export function postgresSessions(options: PostgresOptions): SessionSource {
  const statementTimeout = options.statementTimeoutMs ?? 10_000;
  const pool = new pg.Pool({
    connectionString: options.databaseUrl,
    max: options.poolSize ?? 10,
    pipeline: true,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    statement_timeout: statementTimeout,
    lock_timeout: options.lockTimeoutMs ?? 5_000,
    idle_in_transaction_session_timeout: 2 * statementTimeout,
    query_timeout: statementTimeout + 2_000,
    types: { getTypeParser: ((oid: number) => parserOf(oid)) as typeof pg.types.getTypeParser },
  });
  // An 'error' nobody listens to ends the process; the pool replaces the client by itself.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  const nameOf = statementNames();
  return {
    acquire: async () => new Lease(await pool.connect(), nameOf),
    close: () => pool.end(),
  };
}

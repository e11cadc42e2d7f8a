/** Sessions from a `pg` pool. */
import { createHash } from 'node:crypto';
import pg from 'pg';
import { type Answer, rolledBack, type Session, type SessionSource, statementTooLate } from './dialect.ts';
import { atBoundary, isLost, isStalePlan, unavailable } from './failures.ts';
import { type EncodedParameter, parserOf } from './values.ts';

export interface PostgresOptions {
  readonly databaseUrl: string;
  /** Connections of this pool; default 10. Device and admin traffic each take a pool of their own. */
  readonly poolSize?: number;
  /** Milliseconds a statement may run; default 10,000, 0 for no limit (migrations). */
  readonly statementTimeoutMs?: number;
  /** Milliseconds a statement may wait for a lock; default 5,000. */
  readonly lockTimeoutMs?: number;
  /** Refuse a second connection inside a unit of work; default: where finding out is cheap (Node 24 and later). */
  readonly guard?: boolean;
}

/** Milliseconds: to get a connection, and beyond the server's own limit until a silent connection is given up. */
const CONNECT_MS = 5_000;
const SILENCE_MS = 2_000;

/**
 * Statement names: the hash of the text, so that a name can never mean another statement, whoever shares the server
 * connection. They are worth a third of a statement's cost here and more in the server, which keeps the plan.
 */
class StatementNames {
  /** Distinct statements that get a name; what comes later is parsed each time. */
  static readonly #MAX = 256;
  readonly #names = new Map<string, string>();
  #generation = 0;
  #poolerInFront = false;

  of(sql: string): string | undefined {
    if (this.#poolerInFront) return undefined;
    const known = this.#names.get(sql);
    if (known !== undefined || this.#names.size >= StatementNames.#MAX) return known;
    const name = `${createHash('sha256').update(sql).digest('base64url').slice(0, 24)}_${this.#generation}`;
    this.#names.set(sql, name);
    return name;
  }

  /** A changed table makes old plans useless: new names. A name that is unknown or taken means a pooler: no names. */
  giveUp(error: unknown): void {
    if ((error as { code?: string }).code !== '0A000') this.#poolerInFront = true;
    this.#generation += 1;
    this.#names.clear();
  }
}

class Lease implements Session {
  readonly #client: pg.PoolClient;
  readonly #names: StatementNames;
  #transaction: 'none' | 'asked' | 'open' = 'none';
  #broken = false;
  #over = false;

  constructor(client: pg.PoolClient, names: StatementNames) {
    this.#client = client;
    this.#names = names;
  }

  async query(sql: string, parameters: readonly EncodedParameter[]): Promise<Answer> {
    if (this.#over) throw statementTooLate();
    if (this.#transaction === 'none') {
      return this.#send(sql, parameters).catch((error: unknown) => {
        if (!isStalePlan(error)) throw atBoundary(error);
        return this.#send(sql, parameters);
      });
    }
    if (this.#transaction === 'open') return this.#send(sql, parameters);
    this.#transaction = 'open';
    // Written one behind the other without waiting in between: one round trip.
    const [, answer] = await Promise.all([this.#send('begin', []), this.#send(sql, parameters)]);
    return answer;
  }

  async #send(sql: string, parameters: readonly EncodedParameter[]): Promise<Answer> {
    const name = parameters.length === 0 ? undefined : this.#names.of(sql);
    const query = { text: sql, values: [...parameters] };
    try {
      const result = await this.#client.query(name === undefined ? query : { ...query, name });
      // A text with several statements is answered once for each.
      const last: pg.QueryResult = Array.isArray(result) ? (result.at(-1) as pg.QueryResult) : result;
      return { rows: last.rows as Record<string, unknown>[], command: last.command, count: last.rowCount ?? 0 };
    } catch (error) {
      if (isStalePlan(error)) this.#names.giveUp(error);
      if (!isLost(error)) throw error;
      this.#broken = true;
      throw unavailable(error);
    }
  }

  begin(): void {
    this.#transaction = 'asked';
  }

  async commit(): Promise<void> {
    if (this.#transaction === 'asked') return;
    this.#over = true;
    const { command } = await this.#send('commit', []);
    if (command !== 'COMMIT') throw rolledBack();
  }

  async rollback(): Promise<void> {
    this.#over = true;
    if (this.#transaction === 'asked' || this.#broken) return;
    await this.#send('rollback', []).catch(() => {
      this.#broken = true;
    });
  }

  release(): void {
    this.#over = true;
    // A session that is not idle would carry its transaction to the next one who gets it.
    this.#client.release(this.#broken || this.#client.getTransactionStatus() !== 'I');
  }
}

export function postgresSessions(options: PostgresOptions): SessionSource {
  const statementTimeout = options.statementTimeoutMs ?? 10_000;
  const pool = new pg.Pool({
    connectionString: options.databaseUrl,
    max: options.poolSize ?? 10,
    pipeline: true,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: statementTimeout,
    lock_timeout: options.lockTimeoutMs ?? 5_000,
    idle_in_transaction_session_timeout: 2 * statementTimeout,
    query_timeout: statementTimeout === 0 ? 0 : statementTimeout + SILENCE_MS,
    types: { getTypeParser: ((oid: number) => parserOf(oid)) as typeof pg.types.getTypeParser },
  });
  // An 'error' nobody listens to ends the process, on the pool and on a client that is checked out. Nothing is lost by
  // not looking: the statement under way rejects, and the pool drops the client.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  const names = new StatementNames();
  return {
    async acquire() {
      try {
        return new Lease(await pool.connect(), names);
      } catch (error) {
        throw unavailable(error);
      }
    },
    close: () => pool.end(),
  };
}

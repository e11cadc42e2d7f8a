/** One PGlite session shared fairly: leases are served in the order they were asked for, a transaction holds its lease. */
import type { Answer, Session, SessionSource } from './dialect.ts';
import type { PgliteThread } from './pglite-thread.ts';
import type { EncodedParameter } from './values.ts';
import type { Column, Reply } from './wire.ts';
import { bind, closeStatement, execute, parse, readReplies, simpleQuery } from './wire.ts';

/** Prepared statements kept; the least recently used one goes first. */
const STATEMENTS_KEPT = 256;

interface Statement {
  readonly name: string;
  columns: readonly Column[] | undefined;
}

/** First come, first served. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  #taken = false;
  async take(): Promise<void> {
    if (!this.#taken) {
      this.#taken = true;
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  pass(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken = false;
    else next();
  }
}

class Wire {
  readonly #thread: PgliteThread;
  readonly #statements = new Map<string, Statement>();
  #lastName = 0;
  constructor(thread: PgliteThread) {
    this.#thread = thread;
  }

  /** Send `prefix` (whole round trips) and one statement in one exchange; the statement's reply is the last. */
  async exchange(sql: string, parameters: readonly EncodedParameter[], prefix: readonly Buffer[] = []): Promise<Reply> {
    const replies =
      parameters.length === 0 ? await this.#simple(sql, prefix) : await this.#extended(sql, parameters, prefix);
    for (const reply of replies) if (reply.error !== undefined) throw reply.error;
    return replies.at(-1) as Reply;
  }

  async #simple(sql: string, prefix: readonly Buffer[]): Promise<Reply[]> {
    return readReplies(await this.#thread.exchange(Buffer.concat([...prefix, simpleQuery(sql)])));
  }

  async #extended(sql: string, parameters: readonly EncodedParameter[], prefix: readonly Buffer[]): Promise<Reply[]> {
    const known = this.#statements.get(sql);
    if (known !== undefined) {
      this.#statements.delete(sql);
      this.#statements.set(sql, known);
      const columns = known.columns;
      const bytes = Buffer.concat([...prefix, bind(known.name, parameters), execute(columns === undefined)]);
      const replies = readReplies(
        await this.#thread.exchange(bytes),
        columns === undefined ? undefined : new Map([[prefix.length, columns]]),
      );
      this.#learn(sql, known, replies);
      return replies;
    }
    this.#lastName += 1;
    const statement: Statement = { name: `s${this.#lastName}`, columns: undefined };
    const parts = [
      ...prefix,
      ...this.#evict(),
      parse(statement.name, sql),
      bind(statement.name, parameters),
      execute(true),
    ];
    this.#statements.set(sql, statement);
    const replies = readReplies(await this.#thread.exchange(Buffer.concat(parts)));
    this.#learn(sql, statement, replies);
    return replies;
  }

  /** A failed statement is forgotten: it may never have been parsed, or its plan may be out of date (0A000). */
  #learn(sql: string, statement: Statement, replies: readonly Reply[]): void {
    const last = replies.at(-1);
    if (last?.error === undefined && last !== undefined) statement.columns = last.columns;
    else if (this.#statements.get(sql) === statement) this.#statements.delete(sql);
  }

  #evict(): Buffer[] {
    const oldest = this.#statements.size < STATEMENTS_KEPT ? undefined : this.#statements.entries().next().value;
    if (oldest === undefined) return [];
    this.#statements.delete(oldest[0]);
    return [closeStatement(oldest[1].name)];
  }
}

class Lease implements Session {
  readonly #wire: Wire;
  readonly #done: () => void;
  #begin: readonly Buffer[] = [];
  #open = true;
  constructor(wire: Wire, done: () => void) {
    this.#wire = wire;
    this.#done = done;
  }

  async query(sql: string, parameters: readonly EncodedParameter[]): Promise<Answer> {
    if (!this.#open) throw new Error('this transaction is over; a statement was not awaited inside it');
    const prefix = this.#begin;
    this.#begin = [];
    return this.#wire.exchange(sql, parameters, prefix);
  }

  begin(): void {
    this.#begin = [simpleQuery('begin')];
  }

  async commit(): Promise<void> {
    if (this.#begin.length > 0) return;
    const { command } = await this.#wire.exchange('commit', []);
    if (command !== 'COMMIT')
      throw new Error('the transaction was rolled back: a failed statement was caught inside it');
  }

  async rollback(): Promise<void> {
    if (this.#begin.length > 0) return;
    await this.#wire.exchange('rollback', []).catch(() => undefined);
  }

  release(): void {
    this.#open = false;
    this.#done();
  }
}

export function pgliteSessions(thread: PgliteThread): SessionSource {
  const wire = new Wire(thread);
  const turns = new Turns();
  return {
    async acquire() {
      await turns.take();
      return new Lease(wire, () => turns.pass());
    },
    close: () => thread.close(),
  };
}

/** Statements to protocol bytes and back, with the session's prepared statements. */
import { isStalePlan } from './failures.ts';
import type { PgliteThread } from './pglite-thread.ts';
import type { EncodedParameter } from './values.ts';
import { bind, type Column, closeStatement, execute, parse, type Reply, readReplies, simpleQuery } from './wire.ts';

/** Prepared statements kept; the least recently used one goes first. */
const STATEMENTS_KEPT = 256;

interface Statement {
  readonly name: string;
  /** Known once it was carried out; until then nobody else uses the name, for it may never have been parsed. */
  columns: readonly Column[] | undefined;
}

export class PgliteWire {
  readonly #thread: PgliteThread;
  readonly #statements = new Map<string, Statement>();
  #forgotten: Buffer[] = [];
  #lastName = 0;

  constructor(thread: PgliteThread) {
    this.#thread = thread;
  }

  /**
   * Sends `before` (whole round trips) and one statement in one message, before the first await. Answers for the
   * statement, with the first error of all of them.
   */
  async exchange(sql: string, parameters: readonly EncodedParameter[], before: readonly Buffer[] = []): Promise<Reply> {
    const replies =
      parameters.length === 0
        ? readReplies(await this.#thread.exchange(Buffer.concat([...before, simpleQuery(sql)])))
        : await this.#prepared(sql, parameters, before);
    const error = replies.find((reply) => reply.error !== undefined)?.error;
    return { ...(replies.at(-1) as Reply), error };
  }

  async #prepared(sql: string, parameters: readonly EncodedParameter[], before: readonly Buffer[]): Promise<Reply[]> {
    const statement = this.#statements.get(sql);
    if (statement?.columns !== undefined) return this.#again(sql, statement, parameters, before);
    // While the first use of a statement is under way, a second one goes without a name.
    const made = statement === undefined ? this.#remember(sql) : undefined;
    const name = made?.name ?? '';
    const close = this.#forgotten;
    this.#forgotten = [];
    const message = Buffer.concat([...before, ...close, parse(name, sql), bind(name, parameters), execute(true)]);
    const replies = readReplies(await this.#thread.exchange(message));
    const last = replies.at(-1);
    if (made !== undefined && last !== undefined) {
      if (last.error === undefined) made.columns = last.columns;
      else this.#forget(sql, made);
    }
    return replies;
  }

  async #again(
    sql: string,
    statement: Statement,
    parameters: readonly EncodedParameter[],
    before: readonly Buffer[],
  ): Promise<Reply[]> {
    this.#statements.delete(sql);
    this.#statements.set(sql, statement);
    const known = new Map([[before.length, statement.columns ?? []]]);
    const message = Buffer.concat([...before, bind(statement.name, parameters), execute(false)]);
    const replies = readReplies(await this.#thread.exchange(message), known);
    if (isStalePlan(replies.at(-1)?.error)) this.#forget(sql, statement);
    return replies;
  }

  #remember(sql: string): Statement {
    const oldest = this.#statements.size < STATEMENTS_KEPT ? undefined : this.#statements.entries().next().value;
    if (oldest !== undefined) this.#forget(...oldest);
    this.#lastName += 1;
    const statement: Statement = { name: `s${this.#lastName}`, columns: undefined };
    this.#statements.set(sql, statement);
    return statement;
  }

  #forget(sql: string, statement: Statement): void {
    if (this.#statements.get(sql) === statement) this.#statements.delete(sql);
    this.#forgotten.push(closeStatement(statement.name));
  }
}

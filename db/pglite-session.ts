/** PGlite's one session, shared: single statements queue up in the thread, a transaction keeps everyone else waiting. */
import { EspalierError } from '../core/errors.ts';
import { type Answer, rolledBack, type Session, type SessionSource, statementTooLate } from './dialect.ts';
import { isStalePlan } from './failures.ts';
import type { PgliteThread } from './pglite-thread.ts';
import { PgliteWire } from './pglite-wire.ts';
import type { EncodedParameter } from './values.ts';
import { type Reply, simpleQuery } from './wire.ts';

/** First come, first served. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  #taken = false;
  take(): Promise<void> {
    if (this.#taken) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#taken = true;
    return Promise.resolve();
  }
  pass(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken = false;
    else next();
  }
}

const BEGIN = [simpleQuery('begin')];

class Lease implements Session {
  readonly #wire: PgliteWire;
  readonly #turns: Turns;
  #inTransaction = false;
  #turn: Promise<void> | undefined;
  /** BEGIN travels with a transaction's first statement. */
  #begun = false;
  #over = false;

  constructor(wire: PgliteWire, turns: Turns) {
    this.#wire = wire;
    this.#turns = turns;
  }

  async query(sql: string, parameters: readonly EncodedParameter[]): Promise<Answer> {
    if (this.#over) throw statementTooLate();
    if (!this.#inTransaction) return this.#single(sql, parameters);
    this.#turn ??= this.#turns.take();
    await this.#turn;
    if (this.#over) throw statementTooLate();
    const before = this.#begun ? [] : BEGIN;
    this.#begun = true;
    return answered(await this.#wire.exchange(sql, parameters, before));
  }

  /** The turn is passed on as soon as the statement is on its way: the thread answers in order. */
  async #single(sql: string, parameters: readonly EncodedParameter[]): Promise<Answer> {
    await this.#turns.take();
    const pending = this.#wire.exchange(sql, parameters);
    this.#turns.pass();
    const reply = await pending;
    // Its plan is forgotten by now.
    if (isStalePlan(reply.error)) return this.#single(sql, parameters);
    if (reply.status === 'I') return answered(reply);
    await this.#wire.exchange('rollback', []);
    throw new EspalierError('internal_error', 'a transaction was opened outside a unit of work');
  }

  begin(): void {
    this.#inTransaction = true;
  }

  async commit(): Promise<void> {
    this.#over = true;
    if (!this.#begun) return;
    if (answered(await this.#wire.exchange('commit', [])).command !== 'COMMIT') throw rolledBack();
  }

  async rollback(): Promise<void> {
    this.#over = true;
    // Fails only when the thread has died, and then the next statement says so.
    if (this.#begun) await this.#wire.exchange('rollback', []).catch(() => undefined);
  }

  release(): void {
    this.#over = true;
    void this.#turn?.then(() => this.#turns.pass());
  }
}

function answered(reply: Reply): Reply {
  if (reply.error !== undefined) throw reply.error;
  return reply;
}

export function pgliteSessions(thread: PgliteThread): SessionSource {
  const wire = new PgliteWire(thread);
  const turns = new Turns();
  return {
    acquire: async () => new Lease(wire, turns),
    close: () => thread.close(),
  };
}

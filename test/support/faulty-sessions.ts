/** Sessions that fail where a test says: a statement that breaks, a COMMIT that does not happen, one nobody hears of. */
import type { Answer, Session, SessionSource } from '../../db/dialect.ts';
import { unavailable } from '../../db/failures.ts';

export type Fault =
  /** So many statements pass, then so many fail: one is made good by the store's own second attempt, two are not. */
  | { readonly at: 'statement'; readonly after: number; readonly times: number }
  /** The next COMMIT is not carried out. */
  | { readonly at: 'before commit' }
  /** The next COMMIT is carried out, and the answer is lost: nobody knows whether it was. */
  | { readonly at: 'after commit' };

export interface Faults {
  /** At most one waits. */
  arm(fault: Fault | undefined): void;
  /** How many have struck. */
  readonly struck: number;
}

export function faultySessions(): { readonly faults: Faults; wrap(source: SessionSource): SessionSource } {
  let armed: Fault | undefined;
  let passing = 0;
  let failing = 0;
  let struck = 0;

  /** What the store makes of a server that says it shuts down. */
  function strike(): Error {
    failing -= 1;
    if (failing <= 0) armed = undefined;
    struck += 1;
    return unavailable(Object.assign(new Error('a fault of the test'), { code: '57P01' }));
  }

  class Faulty implements Session {
    readonly #inner: Session;
    constructor(inner: Session) {
      this.#inner = inner;
    }
    async query(...statement: Parameters<Session['query']>): Promise<Answer> {
      if (armed?.at === 'statement') {
        if (passing === 0) throw strike();
        passing -= 1;
      }
      return this.#inner.query(...statement);
    }
    begin(): void {
      this.#inner.begin();
    }
    async commit(): Promise<void> {
      if (armed?.at === 'before commit') throw strike();
      await this.#inner.commit();
      if (armed?.at === 'after commit') throw strike();
    }
    rollback(): Promise<void> {
      return this.#inner.rollback();
    }
    release(): void {
      this.#inner.release();
    }
  }

  return {
    faults: {
      arm(fault) {
        armed = fault;
        passing = fault?.at === 'statement' ? fault.after : 0;
        failing = fault?.at === 'statement' ? fault.times : 1;
      },
      get struck() {
        return struck;
      },
    },
    wrap: (source) => ({
      acquire: async () => new Faulty(await source.acquire()),
      close: () => source.close(),
    }),
  };
}

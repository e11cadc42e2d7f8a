import type { Tx, UnitOfWork } from '../core/tx.ts';

export interface CommitHooks extends UnitOfWork {
  /** Run `action` once this unit of work has committed; never if it rolls back. For wakes: a wake before the commit finds nothing. */
  afterCommit(tx: Tx, action: () => void): void;
}

/** Adds commit hooks to a unit of work. A retried transaction starts with an empty list. */
export function withCommitHooks(inner: UnitOfWork): CommitHooks {
  const hooks = new WeakMap<Tx, Set<() => void>>();
  return {
    async run(work) {
      let last: Set<() => void> | undefined;
      const result = await inner.run((tx) => {
        last = new Set();
        hooks.set(tx, last);
        return work(tx);
      });
      for (const action of last ?? []) action();
      return result;
    },
    afterCommit(tx, action) {
      hooks.get(tx)?.add(action);
    },
  };
}

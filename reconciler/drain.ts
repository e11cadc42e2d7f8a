import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { UnitOfWork } from '../core/tx.ts';
import { add, type EvaluateDeps, type Evaluated, evaluate, NOTHING_EVALUATED, putAsideUntil } from './evaluate.ts';
import type { Claim, ClaimedHost } from './ports.ts';

export interface Drain {
  drain(): Promise<Evaluated>;
  stop(): Promise<void>;
}

/** Works the queue off in bounded transactions, one after the other. */
export function createDrain(deps: EvaluateDeps, unitOfWork: UnitOfWork, clock: Clock): Drain {
  const limit = Math.min(deps.settings.batchSize, deps.store.batchLimit);
  let running: Promise<Evaluated> | undefined;
  let stopped = false;

  async function untilEmpty(): Promise<Evaluated> {
    let total = NOTHING_EVALUATED;
    while (!stopped) {
      const done = await batch(clock.now());
      if (done === undefined) break;
      total = add(total, done);
      await yieldToOthers();
    }
    return total;
  }

  /** Undefined = the queue is empty. */
  async function batch(now: Date): Promise<Evaluated | undefined> {
    let claim: Claim | undefined;
    try {
      return await unitOfWork.run(async (tx) => {
        claim = await deps.store.claim(tx, limit, now);
        return claim.epoch === undefined ? undefined : evaluate(deps, tx, claim, now);
      });
    } catch (error) {
      if (claim === undefined || claim.epoch === undefined) throw error;
      deps.log.warn({ err: error, hosts: claim.hosts.length }, 'a batch failed; its enrolments are taken one by one');
      return oneByOne(claim.hosts, now);
    }
  }

  /** Throws where not even putting aside works: then it is the database, and nobody is to blame. */
  async function oneByOne(hosts: readonly ClaimedHost[], now: Date): Promise<Evaluated> {
    let total = NOTHING_EVALUATED;
    for (const host of hosts) {
      if (stopped) break;
      try {
        const done = await unitOfWork.run(async (tx) =>
          evaluate(deps, tx, await deps.store.claimAgain(tx, host.queueIds), now),
        );
        total = add(total, done);
      } catch (error) {
        const dueAt = putAsideUntil(deps, host, error, now);
        await unitOfWork.run((tx) => deps.store.postpone(tx, host.queueIds, host.attempts + 1, 'failed', dueAt));
        total = add(total, { ...NOTHING_EVALUATED, failed: 1 });
      }
    }
    return total;
  }

  return {
    async drain() {
      while (running !== undefined) await running.catch(() => undefined);
      running = untilEmpty().finally(() => {
        running = undefined;
      });
      return running;
    },
    async stop() {
      stopped = true;
      await running?.catch(() => undefined);
    },
  };
}

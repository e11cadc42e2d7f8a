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
  const most = Math.min(deps.settings.batchSize, deps.store.batchLimit);
  // Starts small: how long a host takes depends on how much is new for it, and others wait for an embedded database.
  let limit = Math.ceil(most / 5);
  let running: Promise<Evaluated> | undefined;
  let stopped = false;

  async function untilEmpty(): Promise<Evaluated> {
    let total = NOTHING_EVALUATED;
    while (!stopped) {
      const began = performance.now();
      const done = await batch(clock.now());
      if (done === undefined) break;
      limit = nextLimit(limit, most, (performance.now() - began) / deps.store.batchTargetMs);
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

/** Towards the batch that takes as long as it should; at most doubled, for one quick batch proves little. */
function nextLimit(limit: number, most: number, timesTooLong: number): number {
  return Math.max(1, Math.min(most, Math.round(limit * Math.min(2, 1 / Math.max(timesTooLong, 0.01)))));
}

import { setTimeout as sleep, setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { UnitOfWork } from '../core/tx.ts';
import { add, type EvaluateDeps, type Evaluated, evaluate, NOTHING_EVALUATED, putAsideUntil } from './evaluate.ts';
import type { Claim, ClaimedHost, WaveTurn } from './ports.ts';

export interface Drain {
  drain(): Promise<Evaluated>;
  stop(): Promise<void>;
}

/** Every so many pages the oldest wave has its turn, whatever newer ones there are. */
const OLDEST_EVERY = 4;
/** Milliseconds to wait, and how often, for a wave whose rest another worker is just cutting or evaluating. */
const BUSY_MS = 10;
const BUSY_TIMES = 100;

/** What one step found: work, none, or none that is not in other hands. */
type Step = Evaluated | 'none' | 'busy';

/**
 * Works queue and waves off in bounded transactions, by turns: an edit for a whole fleet keeps nothing else waiting for
 * longer than a page takes.
 */
export function createDrain(deps: EvaluateDeps, unitOfWork: UnitOfWork, clock: Clock): Drain {
  const { store } = deps;
  const most = Math.min(deps.settings.batchSize, store.batchLimit);
  // Starts small: how long a host takes depends on how much is new for it, and others wait for an embedded database.
  let limit = Math.ceil(most / 5);
  let pages = 0;
  let running: Promise<Evaluated> | undefined;
  let stopped = false;

  async function untilEmpty(): Promise<Evaluated> {
    let total = NOTHING_EVALUATED;
    let waited = 0;
    while (!stopped) {
      const queued = await fromQueue(clock.now());
      const waved = await fromWave(clock.now());
      for (const done of [queued, waved]) if (typeof done !== 'string') total = add(total, done);
      if (queued !== 'none' || typeof waved !== 'string') {
        waited = 0;
        await yieldToOthers();
      } else {
        if (waved === 'none' || waited >= BUSY_TIMES) break;
        waited += 1;
        await sleep(BUSY_MS);
      }
    }
    return total;
  }

  /**
   * The next batch's size by how long this one took from its claim on: waiting for a connection or for one's turn is not
   * what a smaller batch would shorten.
   */
  function learn(claimedAt: number, hosts: number): void {
    if (hosts * 2 > limit) limit = nextLimit(limit, most, (performance.now() - claimedAt) / store.batchTargetMs);
  }

  async function fromQueue(now: Date): Promise<Step> {
    let claim: Claim | undefined;
    try {
      let claimedAt = 0;
      const done = await unitOfWork.run(async (tx): Promise<Step> => {
        claim = await store.claim(tx, limit, now);
        claimedAt = performance.now();
        return claim.epoch === undefined ? 'none' : evaluate(deps, tx, claim, now);
      });
      learn(claimedAt, claim?.hosts.length ?? 0);
      return done;
    } catch (error) {
      if (claim === undefined || claim.epoch === undefined) throw error;
      deps.log.warn({ err: error, hosts: claim.hosts.length }, 'a batch failed; its enrolments are taken one by one');
      return oneByOne(claim.hosts, now);
    }
  }

  async function fromWave(now: Date): Promise<Step> {
    let turn: WaveTurn | undefined;
    pages += 1;
    try {
      let claimedAt = 0;
      const done = await unitOfWork.run(async (tx): Promise<Step> => {
        turn = await store.takeWave(tx, limit, most, pages % OLDEST_EVERY === 0);
        claimedAt = performance.now();
        if (turn.kind === 'none' || turn.kind === 'busy') return turn.kind;
        return turn.kind === 'cut' ? NOTHING_EVALUATED : evaluate(deps, tx, turn.claim, now);
      });
      learn(claimedAt, turn?.kind === 'page' ? turn.claim.hosts.length : 0);
      return done;
    } catch (error) {
      if (turn?.kind !== 'page') throw error;
      const { page, claim } = turn;
      deps.log.warn({ err: error, hosts: claim.hosts.length }, 'a page failed; its enrolments are put in the queue');
      await unitOfWork.run((tx) => store.queuePage(tx, page, now));
      return NOTHING_EVALUATED;
    }
  }

  /** Throws where not even putting aside works: then it is the database, and nobody is to blame. */
  async function oneByOne(hosts: readonly ClaimedHost[], now: Date): Promise<Evaluated> {
    let total = NOTHING_EVALUATED;
    for (const host of hosts) {
      if (stopped) break;
      try {
        const done = await unitOfWork.run(async (tx) =>
          evaluate(deps, tx, await store.claimAgain(tx, host.queueIds, now), now),
        );
        total = add(total, done);
      } catch (error) {
        const dueAt = putAsideUntil(deps, host, error, now);
        await unitOfWork.run((tx) => store.postpone(tx, host.queueIds, host.attempts + 1, 'failed', dueAt));
        total = add(total, { ...NOTHING_EVALUATED, failed: 1 });
      }
    }
    return total;
  }

  /** Several at once, as several processes would; one that fails ends the others after their batch. */
  async function allAtOnce(): Promise<Evaluated> {
    const done = await Promise.allSettled(Array.from({ length: store.batchesAtOnce }, untilEmpty));
    const failed = done.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return done.reduce((sum, one) => (one.status === 'fulfilled' ? add(sum, one.value) : sum), NOTHING_EVALUATED);
  }

  return {
    async drain() {
      while (running !== undefined) await running.catch(() => undefined);
      running = allAtOnce().finally(() => {
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

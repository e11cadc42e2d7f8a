import PQueue from 'p-queue';
import type { Clock, Random } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { blamesToken, classify } from './classify.ts';
import type { PushClient, PushStore } from './ports.ts';
import type { DuePush, PushOutcome, PushVerdict } from './types.ts';

/** Pushes under way at once: a session refuses more streams than its peer announced (dependencies.md §2, bug 4). */
const MAX_IN_FLIGHT = 500;
const LEASE_MS = 60_000;
const BATCH = 1000;
/** Outcomes written together; a crash before the write costs one more push, never a command. */
const SETTLE_BATCH = 200;
/** Macs woken per second after a start: waking all at once is our own flood. */
const START_PER_SECOND = 500;
/** A Mac with waiting commands that has not polled for this long is pushed again (PSH-05). */
const SILENCE_MS = 15 * 60_000;

export interface PusherDeps {
  readonly store: PushStore;
  readonly clientFor: (topic: string) => PushClient | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Names this process in a lease. */
  readonly owner: string;
  readonly onAnswer?: (outcome: PushOutcome) => void;
}

export interface Pusher {
  /** Something may be due now. */
  wake(): void;
  /** Send what is due until nothing is; resolves when idle. */
  drain(): Promise<void>;
  /** Once, at start: push whoever has waiting commands. */
  begin(): Promise<number>;
  /** Re-request pushes for Macs that stayed silent. */
  sweep(): Promise<number>;
  stop(): Promise<void>;
}

/** Drains the outbox: lease, send with bounded concurrency, classify, write. Push is a hint; the poll is the truth. */
export function createPusher(deps: PusherDeps): Pusher {
  const queue = new PQueue({ concurrency: MAX_IN_FLIGHT });
  const stoppedTopics = new Map<string, number>();
  /** Apple took a push from them: their certificate and topic are in order. */
  const proven = new WeakSet<PushClient>();
  let running: Promise<void> | undefined;
  let again = false;
  let stopped = false;

  async function sendOne(push: DuePush, outcomes: PushOutcome[]): Promise<void> {
    const client = deps.clientFor(push.topic);
    const until = stoppedTopics.get(push.topic) ?? 0;
    const now = deps.clock.now().getTime();
    if (client === undefined || until > now) {
      const reason =
        client === undefined ? 'no push certificate for this topic' : 'the topic is stopped after a certificate fault';
      const delayMs = Math.max(until - now, 60_000);
      outcomes.push({
        enrollment: push.enrollment,
        answer: { kind: 'transport_error', message: reason },
        verdict: { kind: 'retry', delayMs },
      });
      return;
    }
    const answer = await client.send(push);
    const chance = deps.random.bytes(2).readUInt16BE(0) / 65_536;
    const judged = classify(answer, push.tokenUpdatedAt, push.attempts, chance);
    if (judged.kind === 'accepted') proven.add(client);
    // Of a client that Apple has taken pushes from it is this token that is wrong; one Mac must not stop the others'.
    const verdict: PushVerdict = proven.has(client) && blamesToken(answer) ? { kind: 'drop' } : judged;
    if (verdict.kind === 'stop_topic') {
      stoppedTopics.set(push.topic, deps.clock.now().getTime() + verdict.delayMs);
      deps.log.error({ topic: push.topic, answer }, 'push topic stopped: Apple refuses our certificate or topic');
    }
    const outcome = { enrollment: push.enrollment, answer, verdict };
    deps.onAnswer?.(outcome);
    outcomes.push(outcome);
  }

  async function drainOnce(): Promise<number> {
    const now = deps.clock.now();
    const due = await deps.store.lease(deps.owner, now, new Date(now.getTime() + LEASE_MS), BATCH);
    let outcomes: PushOutcome[] = [];
    const flush = async () => {
      const batch = outcomes;
      outcomes = [];
      if (batch.length > 0) await deps.store.settle(deps.owner, batch, deps.clock.now());
    };
    for (const push of due) {
      await queue.onSizeLessThan(MAX_IN_FLIGHT);
      void queue.add(() => sendOne(push, outcomes));
      if (outcomes.length >= SETTLE_BATCH) await flush();
    }
    await queue.onIdle();
    await flush();
    return due.length;
  }

  async function loop(): Promise<void> {
    do {
      again = false;
      try {
        while (!stopped && (await drainOnce()) > 0);
      } catch (error) {
        // The rows stay leased and come back when the lease runs out.
        deps.log.error({ err: error }, 'push outbox could not be drained');
      }
    } while (again && !stopped);
  }

  function drain(): Promise<void> {
    if (running) {
      again = true;
      return running;
    }
    running = loop().finally(() => {
      running = undefined;
    });
    return running;
  }

  return {
    wake: () => void drain(),
    drain,
    async begin() {
      const found = await deps.store.requestForWaiting(deps.clock.now(), START_PER_SECOND);
      void drain();
      return found;
    },
    async sweep() {
      const now = deps.clock.now();
      const found = await deps.store.requestForSilent(now, new Date(now.getTime() - SILENCE_MS), BATCH);
      void drain();
      return found;
    },
    async stop() {
      stopped = true;
      await running;
    },
  };
}

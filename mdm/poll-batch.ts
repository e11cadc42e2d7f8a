import { EspalierError } from '../core/errors.ts';
import type { PollAnswer, PollRow } from './ports.ts';

/** Polls in one statement. Beyond this the statement's own time outgrows what the batch saves. */
const MAX_BATCH = 64;
/** Milliseconds a poll waits for company while other statements are on their way. */
const MAX_WAIT_MS = 5;
/** Polls that may wait; the next ones are told to come back (503). */
const MAX_WAITING = 10_000;

export interface PollBatcher {
  submit(row: PollRow): Promise<PollAnswer>;
  /** How many statements carried how many polls: index = size. */
  readonly sizes: readonly number[];
}

export interface PollBatchDeps {
  poll(rows: readonly PollRow[]): Promise<readonly PollAnswer[]>;
  /** Was it a row that the database refused, and not the database that failed? */
  isRowFault(error: unknown): boolean;
  readonly statementsAtOnce: number;
}

interface Waiting {
  readonly row: PollRow;
  resolve(answer: PollAnswer): void;
  reject(error: unknown): void;
}

/**
 * Group commit for polls: alone, a poll goes out at the end of the event-loop turn; under load a statement's time
 * collects the next batch. One enrolment is never in two statements at once, so its polls keep their order.
 */
export function createPollBatch({ poll, isRowFault, statementsAtOnce }: PollBatchDeps): PollBatcher {
  let waiting: Waiting[] = [];
  const busy = new Set<string>();
  let inFlight = 0;
  let scheduled = false;
  let timed = false;
  const sizes: number[] = new Array<number>(MAX_BATCH + 1).fill(0);

  function schedule(): void {
    if (waiting.length === 0 || inFlight >= statementsAtOnce) return;
    if (inFlight === 0 || waiting.length >= MAX_BATCH) {
      if (scheduled) return;
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        flush();
      });
    } else if (!timed) {
      timed = true;
      setTimeout(() => {
        timed = false;
        flush();
      }, MAX_WAIT_MS);
    }
  }

  function flush(): void {
    if (inFlight >= statementsAtOnce) return;
    const batch: Waiting[] = [];
    const rest: Waiting[] = [];
    for (const item of waiting) {
      if (batch.length === MAX_BATCH || busy.has(item.row.enrollmentId)) {
        rest.push(item);
      } else {
        busy.add(item.row.enrollmentId);
        batch.push(item);
      }
    }
    waiting = rest;
    if (batch.length === 0) return;
    inFlight += 1;
    sizes[batch.length] = (sizes[batch.length] ?? 0) + 1;
    void carryOut(batch).finally(() => {
      inFlight -= 1;
      for (const { row } of batch) busy.delete(row.enrollmentId);
      schedule();
    });
    schedule();
  }

  async function carryOut(batch: readonly Waiting[]): Promise<void> {
    try {
      const answers = await poll(batch.map(({ row }) => row));
      batch.forEach((item, index) => {
        settle(item, answers[index]);
      });
    } catch (error) {
      if (batch.length === 1 || !isRowFault(error)) {
        for (const item of batch) item.reject(error);
      } else {
        await oneByOne(batch);
      }
    }
  }

  /** One poll the database refuses must not take the others with it (R19). */
  async function oneByOne(batch: readonly Waiting[]): Promise<void> {
    for (const item of batch) {
      try {
        const [answer] = await poll([item.row]);
        settle(item, answer);
      } catch (error) {
        item.reject(error);
      }
    }
  }

  function settle(item: Waiting, answer: PollAnswer | undefined): void {
    if (answer === undefined) item.reject(new EspalierError('internal_error', 'the poll statement left a row out'));
    else item.resolve(answer);
  }

  return {
    submit(row) {
      if (waiting.length >= MAX_WAITING) {
        return Promise.reject(new EspalierError('service_unavailable', 'too many polls are waiting'));
      }
      return new Promise((resolve, reject) => {
        waiting.push({ row, resolve, reject });
        schedule();
      });
    },
    sizes,
  };
}

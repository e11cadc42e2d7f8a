import { EspalierError } from '../core/errors.ts';

/** Milliseconds a poll waits for company while other statements are on their way. */
const MAX_WAIT_MS = 5;
/** Polls that may wait; the next ones are told to come back (503). */
const MAX_WAITING = 10_000;

/** What a batch asks of its items: one channel's polls must not overtake each other. */
interface Item {
  readonly enrollmentId: string;
}

export interface PollBatcher<Row extends Item, Answer> {
  submit(row: Row): Promise<Answer>;
  /** How many statements carried how many polls: index = size. */
  readonly sizes: readonly number[];
}

export interface PollBatchDeps<Row extends Item, Answer> {
  /** All of them in one committed step; answers in the order of the rows. */
  poll(rows: readonly Row[]): Promise<readonly Answer[]>;
  /** Was it one row that failed, and not the database as a whole? */
  isRowFault(error: unknown): boolean;
  /** Polls in one step; beyond it the step's own time outgrows what the batch saves. */
  readonly maxBatch: number;
  /** Steps under way at once. */
  readonly atOnce: number;
}

interface Waiting<Row, Answer> {
  readonly row: Row;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * Group commit for polls: alone, a poll goes out at the end of the event-loop turn; under load the time of one step
 * collects the next batch. One enrolment is never in two steps at once, so its polls keep their order.
 */
export function createPollBatch<Row extends Item, Answer>(deps: PollBatchDeps<Row, Answer>): PollBatcher<Row, Answer> {
  const { poll, isRowFault, maxBatch, atOnce } = deps;
  let waiting: Waiting<Row, Answer>[] = [];
  const busy = new Set<string>();
  let inFlight = 0;
  let scheduled = false;
  let timed = false;
  const sizes: number[] = new Array<number>(maxBatch + 1).fill(0);

  function schedule(): void {
    if (waiting.length === 0 || inFlight >= atOnce) return;
    if (inFlight === 0 || waiting.length >= maxBatch) {
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
    if (inFlight >= atOnce) return;
    const batch: Waiting<Row, Answer>[] = [];
    const rest: Waiting<Row, Answer>[] = [];
    for (const item of waiting) {
      if (batch.length === maxBatch || busy.has(item.row.enrollmentId)) {
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

  async function carryOut(batch: readonly Waiting<Row, Answer>[]): Promise<void> {
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
  async function oneByOne(batch: readonly Waiting<Row, Answer>[]): Promise<void> {
    for (const item of batch) {
      try {
        const [answer] = await poll([item.row]);
        settle(item, answer);
      } catch (error) {
        item.reject(error);
      }
    }
  }

  function settle(item: Waiting<Row, Answer>, answer: Answer | undefined): void {
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

/** Other replicas: processes that work one queue off together. */
import { type PartOptions, startPart } from './part.ts';

export interface Workers {
  /** Lets them go, all at once. */
  go(): void;
  readonly ended: Promise<unknown>;
}

/** Answers when all of them have opened the database and wait. */
export async function startWorkers(count: number, options: PartOptions): Promise<Workers> {
  let waiting = count;
  let allReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    allReady = resolve;
  });
  const workers = Array.from({ length: count }, () =>
    startPart('drainer', options, (message) => {
      if (message.kind !== 'ready') return;
      waiting -= 1;
      if (waiting === 0) allReady();
    }),
  );
  const ended = Promise.all(workers.map((worker) => worker.ended));
  await Promise.race([ready, ended]);
  return {
    go() {
      for (const worker of workers) worker.process.send('go');
    },
    ended,
  };
}

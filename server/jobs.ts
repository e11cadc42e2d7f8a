import type { Log } from '../core/log.ts';

export interface Job {
  readonly name: string;
  /** Milliseconds between the end of one run and the start of the next. */
  readonly everyMs: number;
  run(): Promise<unknown>;
}

export interface Jobs {
  /** Stops the timers and waits for what is running. */
  stop(): Promise<void>;
}

/** Runs each job again and again with ±10 % jitter; one that fails is logged and tried at its next turn. */
export function startJobs(jobs: readonly Job[], log: Log): Jobs {
  const timers = new Map<string, NodeJS.Timeout>();
  const running = new Set<Promise<unknown>>();
  let stopped = false;

  function schedule(job: Job): void {
    if (stopped) return;
    const delay = job.everyMs * (0.9 + 0.2 * Math.random());
    timers.set(
      job.name,
      setTimeout(() => {
        // A job that throws at once is a failed job too, not the end of the process.
        const turn = Promise.resolve()
          .then(() => job.run())
          .catch((error: unknown) => log.error({ err: error, job: job.name }, 'job failed'))
          .finally(() => {
            running.delete(turn);
            schedule(job);
          });
        running.add(turn);
      }, delay).unref(),
    );
  }
  for (const job of jobs) schedule(job);

  return {
    async stop() {
      stopped = true;
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.all(running);
    },
  };
}

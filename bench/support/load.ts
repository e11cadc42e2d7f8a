/** Closed-loop load: each connection sends its next request when the last one is answered. */
import { cpuOf, cpuOfFamily, memoryOfFamily, peakMemoryOf } from './process.ts';
import { mebibytes, quantile, type Result, round } from './result.ts';
import { Connection, type Target, type WireAnswer } from './wire.ts';

export interface Step {
  readonly request: Buffer;
  /** Throws where the answer is not the one that was to come. */
  check(answer: WireAnswer): void;
}

export interface Load {
  readonly target: Target;
  readonly connections: number;
  /** The next device's turns, or undefined when there are no more. */
  next(): readonly Step[] | undefined;
  /** Milliseconds after which no device starts any more. */
  readonly limitMs: number;
  /** A connection of its own for every device. */
  readonly connectEachTime?: boolean;
}

export interface Watched {
  readonly serverPid: number;
  readonly databasePid: number | undefined;
}

export async function run(load: Load, watched: Watched): Promise<Result['values']> {
  const pool = await Promise.all(
    Array.from({ length: load.connections }, () =>
      load.connectEachTime === true ? undefined : Connection.open(load.target),
    ),
  );
  const latencies: number[] = [];
  const before = { server: cpuOf(watched.serverPid), database: databaseCpu(watched), at: performance.now() };

  async function worker(kept: Connection | undefined): Promise<void> {
    while (performance.now() - before.at < load.limitMs) {
      const steps = load.next();
      if (steps === undefined) break;
      const started = performance.now();
      const connection = kept ?? (await Connection.open(load.target));
      let from = kept === undefined ? started : performance.now();
      for (const step of steps) {
        step.check(await connection.send(step.request));
        const now = performance.now();
        latencies.push(now - from);
        from = now;
      }
      if (kept === undefined) connection.close();
    }
  }
  await Promise.all(pool.map(worker));

  const seconds = (performance.now() - before.at) / 1000;
  const server = cpuOf(watched.serverPid) - before.server;
  const database = databaseCpu(watched) - before.database;
  for (const connection of pool) connection?.close();
  latencies.sort((one, other) => one - other);
  const requests = latencies.length;
  return {
    requests,
    requestsPerSecond: round(requests / seconds),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    serverCpuUs: round(server / requests),
    ...(watched.databasePid === undefined ? {} : { databaseCpuUs: round(database / requests) }),
    perServerCpuSecond: round((requests * 1e6) / Math.max(1, server)),
    serverPeakMiB: mebibytes(peakMemoryOf(watched.serverPid)),
    ...(watched.databasePid === undefined ? {} : { databaseMiB: mebibytes(memoryOfFamily(watched.databasePid)) }),
  };
}

function databaseCpu({ databasePid }: Watched): number {
  return databasePid === undefined ? 0 : cpuOfFamily(databasePid);
}

/** Items one after the other. */
export function each<T>(items: Iterable<T>, steps: (item: T) => readonly Step[]): () => readonly Step[] | undefined {
  const iterator = items[Symbol.iterator]();
  return () => {
    const { done, value } = iterator.next();
    return done === true ? undefined : steps(value);
  };
}

/** Items round and round, until the time is over. */
export function* endless<T>(items: readonly T[]): Generator<T> {
  for (;;) yield* items;
}

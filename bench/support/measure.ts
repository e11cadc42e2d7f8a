/** One piece of work in this process: its time, the CPU and memory of both sides, and the number it is to reach. */
import { cpuOf, cpuOfFamily, forgetPeak, memoryOfFamily, peakMemoryOf } from './process.ts';
import { mebibytes, quantile, type Result, round } from './result.ts';

export interface Seen {
  readonly hosts: number;
  readonly commands?: number;
  readonly queued?: number;
}

export interface Measured extends Seen {
  readonly ms: number;
  /** Of this process and of the database. */
  readonly cpuMs: number;
}

export interface MeasureOptions {
  readonly databasePid: number | undefined;
  readonly report: (name: string, values: Result['values']) => void;
}

export type Measure = (
  name: string,
  work: () => Promise<Seen>,
  more?: { times?: number; goal?: string },
) => Promise<Measured>;

/** Several times: the median of the time, the mean of the CPU. */
export function measureWith({ databasePid, report }: MeasureOptions): Measure {
  const databaseCpu = () => (databasePid === undefined ? 0 : cpuOfFamily(databasePid));
  return async (name, work, { times = 1, goal } = {}) => {
    globalThis.gc?.();
    forgetPeak(process.pid);
    const before = { own: cpuOf(process.pid), database: databaseCpu() };
    const all: number[] = [];
    let seen: Seen = { hosts: 0 };
    for (let turn = 0; turn < times; turn += 1) {
      const from = performance.now();
      seen = await work();
      all.push(performance.now() - from);
    }
    const ms =
      quantile(
        all.sort((one, other) => one - other),
        0.5,
      ) ?? 0;
    const serverCpuMs = (cpuOf(process.pid) - before.own) / 1000 / times;
    const databaseCpuMs = (databaseCpu() - before.database) / 1000 / times;
    report(name, {
      hosts: seen.hosts,
      commands: seen.commands,
      ms: round(ms),
      hostsPerSecond: seen.hosts === 0 ? undefined : round((seen.hosts * 1000) / ms),
      serverCpuMs: round(serverCpuMs),
      databaseCpuMs: databasePid === undefined ? undefined : round(databaseCpuMs),
      serverPeakMiB: mebibytes(peakMemoryOf(process.pid)),
      databaseMiB: databasePid === undefined ? undefined : mebibytes(memoryOfFamily(databasePid)),
      goal,
    });
    return { ...seen, ms, cpuMs: serverCpuMs + databaseCpuMs };
  };
}

export function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

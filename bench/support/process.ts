/** CPU and memory of processes from /proc (Linux). Elsewhere the numbers are absent, never guessed. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Microseconds of one tick of /proc/<pid>/stat: USER_HZ is 100 on every Linux that Node runs on. */
const TICK_US = 10_000;

interface Stat {
  readonly parent: number;
  /** Microseconds of all threads, ended ones included. */
  readonly own: number;
  /** Microseconds of children that have been waited for. */
  readonly gone: number;
}

function statOf(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the name in brackets, and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const at = (field: number): number => Number(fields[field - 3]);
  return { parent: at(4), own: (at(14) + at(15)) * TICK_US, gone: (at(16) + at(17)) * TICK_US };
}

/** Microseconds of user and system time of one process with all its threads. */
export function cpuOf(pid: number): number {
  return statOf(pid)?.own ?? 0;
}

function childrenOf(parent: number): number[] {
  if (!existsSync('/proc')) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => statOf(pid)?.parent === parent);
}

/** Microseconds of a process, its children and those children that have ended: a PostgreSQL server. */
export function cpuOfFamily(pid: number): number {
  const own = statOf(pid);
  return (own?.own ?? 0) + (own?.gone ?? 0) + childrenOf(pid).reduce((sum, child) => sum + cpuOf(child), 0);
}

/** Bytes; shared pages divided among those that share them, which only root may read of others. */
export function memoryOfFamily(pid: number): number | undefined {
  let sum = 0;
  for (const one of [pid, ...childrenOf(pid)]) {
    try {
      sum += kilobytes(readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'), 'Pss');
    } catch {
      return undefined;
    }
  }
  return sum;
}

/** Bytes: the most that was resident since start or since `forgetPeak`. */
export function peakMemoryOf(pid: number): number | undefined {
  try {
    return kilobytes(readFileSync(`/proc/${pid}/status`, 'utf8'), 'VmHWM');
  } catch {
    return undefined;
  }
}

/** The peak of one of our own processes counts from here. */
export function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Not Linux, or not allowed: the peak is then since the process started.
  }
}

function kilobytes(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
}

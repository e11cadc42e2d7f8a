/** One process per data folder: PGlite lets a second one in without complaint, and both would write the same pages. */
import { readFileSync, renameSync, statSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { EspalierError } from '../core/errors.ts';

/** The holder touches its lock this often; one that nobody touched for `SILENT_MS` has no holder. */
const BEAT_MS = 5_000;
const SILENT_MS = 30_000;
const ATTEMPTS = 5;

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the kernel started it, where the system tells: a pid that is used again is not the holder. */
  readonly started: string | null;
}

/** Boot id and field 22 of /proc/<pid>/stat; null where there is no procfs. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${ticks}`;
  } catch {
    return null;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A pid means something on its own host only (containers that share a volume); elsewhere the touch decides. */
function isHeld(holder: Holder, silentMs: number): boolean {
  if (holder.host !== hostname()) return silentMs < SILENT_MS;
  if (!isRunning(holder.pid)) return false;
  return holder.started === null ? silentMs < SILENT_MS : startOf(holder.pid) === holder.started;
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, host, started } = JSON.parse(text) as Partial<Holder>;
    if (typeof pid !== 'number' || typeof host !== 'string') return undefined;
    return { pid, host, started: started ?? null };
  } catch {
    return undefined;
  }
}

function refuse(dataFolder: string, holder: Holder | undefined): never {
  const who = holder === undefined ? 'another process' : `process ${holder.pid} on ${holder.host}`;
  throw new EspalierError('data_folder_in_use', `${dataFolder} is in use by ${who}.`, {
    fix: 'Stop that process, or choose another data folder.',
  });
}

/** Throws where the lock is held. Of several that find it abandoned, one takes it away. */
function removeAbandoned(dataFolder: string, file: string): void {
  let text: string;
  let silentMs: number;
  try {
    text = readFileSync(file, 'utf8');
    silentMs = Date.now() - statSync(file).mtimeMs;
  } catch {
    return;
  }
  const holder = parseHolder(text);
  // Half written: its holder has just come, or was killed between two system calls long ago.
  if (holder === undefined ? silentMs < SILENT_MS : isHeld(holder, silentMs)) refuse(dataFolder, holder);
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch {
    return;
  }
  const moved = readFileSync(aside, 'utf8');
  if (moved === text) {
    unlinkSync(aside);
    return;
  }
  // Somebody was faster, and this is already their lock: back with it.
  renameSync(aside, file);
  refuse(dataFolder, parseHolder(moved));
}

/** Takes the folder; the returned function gives it back. Errors: data_folder_in_use, naming the holder's pid. */
export function lockDataFolder(dataFolder: string): () => void {
  const file = path.join(dataFolder, 'espalier.lock');
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), started: startOf(process.pid) } satisfies Holder);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      removeAbandoned(dataFolder, file);
      continue;
    }
    return keep(file, mine);
  }
  return refuse(dataFolder, undefined);
}

function isMine(file: string, mine: string): boolean {
  try {
    return readFileSync(file, 'utf8') === mine;
  } catch {
    return false;
  }
}

function keep(file: string, mine: string): () => void {
  const beat = setInterval(() => {
    if (!isMine(file, mine)) return;
    const now = new Date();
    utimesSync(file, now, now);
  }, BEAT_MS);
  beat.unref();
  return () => {
    clearInterval(beat);
    if (isMine(file, mine)) unlinkSync(file);
  };
}

/** One process per data folder: PGlite itself would let a second one in and both would corrupt it. */
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { EspalierError } from '../core/errors.ts';

interface Holder {
  readonly pid: number;
  /** Kernel start time of the process where the system tells it: a reused pid is not the holder. */
  readonly started: string | null;
}

/** Field 22 of /proc/<pid>/stat; null where there is no procfs. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function alive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return holder.started === null || startTime(holder.pid) === holder.started;
}

function readHolder(file: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>;
    return typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0
      ? { pid, started: started ?? null }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Take the folder; the returned function gives it back. Throws `data_folder_in_use` naming the holder's pid. */
export function lockDataFolder(dataFolder: string): () => void {
  const file = path.join(dataFolder, 'espalier.lock');
  const mine = JSON.stringify({ pid: process.pid, started: startTime(process.pid) });
  for (let attempt = 0; attempt < 5; attempt += 1) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: 0o600 });
      return () => {
        if (readFileSync(file, 'utf8') === mine) unlinkSync(file);
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = readHolder(file);
    if (holder !== undefined && alive(holder)) {
      throw new EspalierError('data_folder_in_use', `${dataFolder} is in use by process ${holder.pid}`, {
        fix: `Stop process ${holder.pid}, or choose another data folder.`,
      });
    }
    unlinkSync(file);
  }
  throw new EspalierError('data_folder_in_use', `${dataFolder} is being taken by other processes`);
}

/** A throw-away PostgreSQL for one test run: from ESPALIER_TEST_DATABASE_URL, or made from the system's binaries. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isPostgresInstalled, startPostgres, stopPostgres, urlOn } from '../../bench/support/postgres-server.ts';

/** It is thrown away: nothing needs to outlive a crash. */
const SETTINGS = ['fsync=off', 'full_page_writes=off', 'max_connections=300'];

/**
 * The server's URL without a database name, or undefined where there is none.
 * The first caller of a run starts the cluster inside `runFolder`; callers in other processes wait for it.
 */
export async function postgresUrl(runFolder: string): Promise<string | undefined> {
  const given = process.env['ESPALIER_TEST_DATABASE_URL'];
  if (given !== undefined && given !== '') return given;
  if (!isPostgresInstalled()) return undefined;
  const folder = path.join(runFolder, 'pg');
  const ready = path.join(runFolder, 'pg.ready');
  try {
    mkdirSync(folder);
  } catch {
    for (let waited = 0; !existsSync(ready); waited += 50) {
      if (waited > 60_000) throw new Error('the test cluster did not start within a minute');
      await sleep(50);
    }
    return readFileSync(ready, 'utf8');
  }
  startPostgres(folder, SETTINGS, false);
  const url = urlOn(folder, 'postgres');
  writeFileSync(`${ready}.new`, url);
  renameSync(`${ready}.new`, ready);
  return url;
}

/** Stop and remove what `postgresUrl` started. */
export function removeCluster(runFolder: string): void {
  stopPostgres(path.join(runFolder, 'pg'));
  rmSync(runFolder, { recursive: true, force: true });
}

/** Gives every test process one run folder, and takes away what they left in it and on the test server. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { removeCluster } from './postgres-cluster.ts';

const RUN_FOLDER = 'ESPALIER_TEST_RUN_FOLDER';

/** Where a test may leave what the end of the run removes. */
export function runFolder(): string {
  const folder = process.env[RUN_FOLDER];
  if (folder === undefined) throw new Error('vitest.config.ts does not name test/support/global-setup.ts');
  return folder;
}

/** What names this run in the databases it makes. */
export function runName(folder: string): string {
  return path.basename(folder).replace(/\W/g, '').slice(-6).toLowerCase();
}

/** A run that is killed takes nothing away: a shell waits for its end and does it then. */
function watch(folder: string): void {
  if (process.platform === 'win32') return;
  const script = `
    while kill -0 "$0" 2>/dev/null; do sleep 2; done
    [ -f "$1/pg/data/postmaster.pid" ] && kill -QUIT "$(head -n 1 "$1/pg/data/postmaster.pid")" && sleep 1
    rm -rf "$1"`;
  spawn('sh', ['-c', script, String(process.pid), folder], { detached: true, stdio: 'ignore' }).unref();
}

/** A server that was given outlives the run. */
async function dropTemplates(folder: string): Promise<void> {
  const connectionString = process.env['ESPALIER_TEST_DATABASE_URL'];
  if (connectionString === undefined || connectionString === '') return;
  const client = new pg.Client({ connectionString });
  await client.connect();
  const { rows } = await client.query<{ datname: string }>('select datname from pg_database where datname like $1', [
    `espalier\\_template\\_%\\_${runName(folder)}`,
  ]);
  for (const { datname } of rows) await client.query(`drop database ${client.escapeIdentifier(datname)} with (force)`);
  await client.end();
}

export default function setup(): () => Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'espalier-run-'));
  // The cluster's own user must be able to pass through.
  chmodSync(folder, 0o711);
  process.env[RUN_FOLDER] = folder;
  watch(folder);
  return async () => {
    await dropTemplates(folder);
    removeCluster(folder);
  };
}

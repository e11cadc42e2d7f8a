/** A throw-away PostgreSQL for one test run: from ESPALIER_TEST_DATABASE_URL, or made from the system's binaries. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = '/usr/lib/postgresql';

/** The newest installed version's bin folder. */
function binaries(): string | undefined {
  if (!existsSync(ROOT)) return undefined;
  return readdirSync(ROOT)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => path.join(ROOT, version, 'bin'))
    .find((folder) => existsSync(path.join(folder, 'initdb')));
}

/** PostgreSQL refuses to run as root; its package brings the user that may. */
function asServer(command: string, args: readonly string[]): void {
  const root = process.getuid?.() === 0;
  execFileSync(root ? 'runuser' : command, root ? ['-u', 'postgres', '--', command, ...args] : [...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: '/',
  });
}

function startCluster(folder: string, bin: string): void {
  if (process.getuid?.() === 0) {
    const uid = Number(execFileSync('id', ['-u', 'postgres'], { encoding: 'utf8' }));
    chownSync(folder, uid, -1);
  }
  chmodSync(folder, 0o711);
  const data = path.join(folder, 'data');
  asServer(path.join(bin, 'initdb'), [
    '-D',
    data,
    '-U',
    'postgres',
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
  ]);
  const settings = `-c listen_addresses='' -c unix_socket_directories='${folder}' -c fsync=off -c full_page_writes=off -c max_connections=300`;
  asServer(path.join(bin, 'pg_ctl'), ['-D', data, '-w', '-l', path.join(folder, 'log'), '-o', settings, 'start']);
}

/**
 * The server's URL without a database name, or undefined where there is none.
 * The first caller of a run starts the cluster inside `runFolder`; callers in other processes wait for it.
 */
export async function postgresUrl(runFolder: string): Promise<string | undefined> {
  const given = process.env['ESPALIER_TEST_DATABASE_URL'];
  if (given !== undefined && given !== '') return given;
  const bin = binaries();
  if (bin === undefined) return undefined;
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
  startCluster(folder, bin);
  const url = `postgresql://postgres@localhost/postgres?host=${encodeURIComponent(folder)}`;
  writeFileSync(`${ready}.new`, url);
  renameSync(`${ready}.new`, ready);
  return url;
}

/** Stop and remove what `postgresUrl` started. */
export function removeCluster(runFolder: string): void {
  const bin = binaries();
  const data = path.join(runFolder, 'pg', 'data');
  if (bin !== undefined && existsSync(path.join(data, 'postmaster.pid'))) {
    asServer(path.join(bin, 'pg_ctl'), ['-D', data, '-m', 'immediate', '-w', 'stop']);
  }
  rmSync(runFolder, { recursive: true, force: true });
}

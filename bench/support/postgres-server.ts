/** A PostgreSQL server from the system's binaries, in a folder of its own, on a socket alone: for tests and for the bench. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = '/usr/lib/postgresql';

/** The newest installed version's bin folder; undefined where PostgreSQL is not installed. */
function binaries(): string | undefined {
  if (!existsSync(ROOT)) return undefined;
  return readdirSync(ROOT)
    .sort((one, other) => Number(other) - Number(one))
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

export function isPostgresInstalled(): boolean {
  return binaries() !== undefined;
}

/** In `folder`, which exists and is empty. `settings` are `name=value`; `sync`: initdb writes durably. */
export function startPostgres(folder: string, settings: readonly string[], sync: boolean): void {
  const bin = binaries();
  if (bin === undefined) throw new Error('PostgreSQL is not installed');
  if (process.getuid?.() === 0) {
    chownSync(folder, Number(execFileSync('id', ['-u', 'postgres'], { encoding: 'utf8' })), -1);
  }
  chmodSync(folder, 0o711);
  const data = path.join(folder, 'data');
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C'];
  asServer(path.join(bin, 'initdb'), sync ? initdb : [...initdb, '--no-sync']);
  const all = ["listen_addresses=''", `unix_socket_directories='${folder}'`, ...settings];
  const options = all.map((setting) => `-c ${setting}`).join(' ');
  asServer(path.join(bin, 'pg_ctl'), ['-D', data, '-w', '-l', path.join(folder, 'log'), '-o', options, 'start']);
}

/** Nothing where it does not run. */
export function stopPostgres(folder: string): void {
  const bin = binaries();
  const data = path.join(folder, 'data');
  if (bin === undefined || !existsSync(path.join(data, 'postmaster.pid'))) return;
  asServer(path.join(bin, 'pg_ctl'), ['-D', data, '-m', 'immediate', '-w', 'stop']);
}

export function urlOn(folder: string, database: string): string {
  return `postgresql://postgres@localhost/${database}?host=${encodeURIComponent(folder)}`;
}

export function pidOf(folder: string): number {
  return Number(readFileSync(path.join(folder, 'data', 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
}

export function versionOf(folder: string): string {
  return readFileSync(path.join(folder, 'data', 'PG_VERSION'), 'utf8').trim();
}

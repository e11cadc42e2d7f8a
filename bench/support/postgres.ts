/** A PostgreSQL of our own for one run: the system's binaries, a folder of its own, durable as it comes. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { sql } from 'kysely';
import { openDatabase } from '../../db/database.ts';

const ROOT = '/usr/lib/postgresql';
/** What differs from PostgreSQL's own defaults. fsync, full_page_writes and synchronous_commit stay on. */
export const POSTGRES_SETTINGS = ['shared_buffers=512MB', 'max_wal_size=4GB', 'checkpoint_timeout=15min'];

export interface Cluster {
  readonly pid: number;
  readonly version: string;
  create(name: string): Promise<string>;
  drop(name: string): Promise<void>;
  stop(): void;
}

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

/** Undefined where PostgreSQL is not installed. */
export function startCluster(runFolder: string): Cluster | undefined {
  const bin = binaries();
  if (bin === undefined) return undefined;
  const folder = path.join(runFolder, 'pg');
  mkdirSync(folder);
  if (process.getuid?.() === 0) chownSync(folder, Number(execFileSync('id', ['-u', 'postgres'])), -1);
  chmodSync(folder, 0o711);
  chmodSync(runFolder, 0o711);
  const data = path.join(folder, 'data');
  asServer(path.join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C']);
  const settings = ["listen_addresses=''", `unix_socket_directories='${folder}'`, ...POSTGRES_SETTINGS];
  const options = settings.map((setting) => `-c ${setting}`).join(' ');
  asServer(path.join(bin, 'pg_ctl'), ['-D', data, '-w', '-l', path.join(folder, 'log'), '-o', options, 'start']);

  const urlOf = (name: string) => `postgresql://postgres@localhost/${name}?host=${encodeURIComponent(folder)}`;
  async function administer(statement: string): Promise<void> {
    const db = await openDatabase({ databaseUrl: urlOf('postgres'), poolSize: 1, statementTimeoutMs: 60_000 });
    await sql.raw(statement).execute(db.read);
    await db.close();
  }
  return {
    pid: Number(readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n', 1)[0]),
    version: readFileSync(path.join(data, 'PG_VERSION'), 'utf8').trim(),
    async create(name) {
      await administer(`create database ${name}`);
      return urlOf(name);
    },
    drop: (name) => administer(`drop database if exists ${name} with (force)`),
    stop: () => asServer(path.join(bin, 'pg_ctl'), ['-D', data, '-m', 'immediate', '-w', 'stop']),
  };
}

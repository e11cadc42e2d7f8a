/** A PostgreSQL of our own for one run of the bench, durable as it comes. */
import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { sql } from 'kysely';
import { openDatabase } from '../../db/database.ts';
import { isPostgresInstalled, pidOf, startPostgres, stopPostgres, urlOn, versionOf } from './postgres-server.ts';

/** What differs from PostgreSQL's own defaults. fsync, full_page_writes and synchronous_commit stay on. */
export const POSTGRES_SETTINGS = ['shared_buffers=512MB', 'max_wal_size=4GB', 'checkpoint_timeout=15min'];

export interface Cluster {
  readonly pid: number;
  readonly version: string;
  create(name: string): Promise<string>;
  drop(name: string): Promise<void>;
  stop(): void;
}

/** Undefined where PostgreSQL is not installed. */
export function startCluster(runFolder: string): Cluster | undefined {
  if (!isPostgresInstalled()) return undefined;
  const folder = path.join(runFolder, 'pg');
  mkdirSync(folder);
  chmodSync(runFolder, 0o711);
  startPostgres(folder, POSTGRES_SETTINGS, true);

  async function administer(statement: string): Promise<void> {
    const db = await openDatabase({ databaseUrl: urlOn(folder, 'postgres'), poolSize: 1, statementTimeoutMs: 60_000 });
    await sql.raw(statement).execute(db.read);
    await db.close();
  }
  return {
    pid: pidOf(folder),
    version: versionOf(folder),
    async create(name) {
      await administer(`create database ${name}`);
      return urlOn(folder, name);
    },
    drop: (name) => administer(`drop database if exists ${name} with (force)`),
    stop: () => stopPostgres(folder),
  };
}

/** The same tests on both engines, each `open()` a fresh migrated database. */
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, describe } from 'vitest';
import { type Database, databaseOver, openDatabase } from '../../db/database.ts';
import type { SessionSource } from '../../db/dialect.ts';
import { migrate } from '../../db/migrate.ts';
import { postgresSessions } from '../../db/postgres-session.ts';
import { schemaHash } from '../../db/schema.ts';
import { runFolder, runName } from './global-setup.ts';
import { endPglite, openPglite } from './pglite-pool.ts';
import { postgresUrl } from './postgres-cluster.ts';

const server = await postgresUrl(runFolder());
if (server === undefined) {
  if (process.env['CI']) throw new Error('no PostgreSQL found: set ESPALIER_TEST_DATABASE_URL or install postgresql');
  console.log('No PostgreSQL found: tests on it are skipped (set ESPALIER_TEST_DATABASE_URL or install postgresql).');
}

function urlOf(name: string): string {
  const url = new URL(server ?? '');
  url.pathname = `/${name}`;
  return url.href;
}

async function asAdmin(statement: string): Promise<void> {
  const db = await openDatabase({ databaseUrl: server ?? '', poolSize: 1, statementTimeoutMs: 60_000 });
  try {
    await sql.raw(statement).execute(db.read);
  } finally {
    await db.close();
  }
}

const suffix = (): string => randomBytes(6).toString('hex');
let template: Promise<string> | undefined;

/** Built under a name of its own, then renamed: of several processes one wins and the others drop theirs. */
async function buildPostgresTemplate(): Promise<string> {
  const name = `espalier_template_${schemaHash().slice(0, 12)}_${runName(runFolder())}`;
  const building = `espalier_building_${suffix()}`;
  await asAdmin(`create database ${building}`);
  const db = await openDatabase({ databaseUrl: urlOf(building) });
  await migrate(db);
  await db.close();
  try {
    await asAdmin(`alter database ${building} rename to ${name}`);
  } catch (error) {
    if ((error as { code?: string }).code !== '42P04') throw error;
    await asAdmin(`drop database ${building}`);
  }
  return name;
}

export interface TestDatabaseUrl {
  readonly url: string;
  drop(): Promise<void>;
}

/** A new database on the test server, migrated unless asked otherwise, for a server in a child process. */
export async function openPostgresUrl(migrated = true): Promise<TestDatabaseUrl> {
  const name = `espalier_test_${suffix()}`;
  template ??= migrated ? buildPostgresTemplate() : undefined;
  await asAdmin(`create database ${name} template ${migrated ? await template : 'template0'}`);
  return { url: urlOf(name), drop: () => asAdmin(`drop database ${name} with (force)`) };
}

async function openPostgres(wrap: Wrap = plain): Promise<Database> {
  const { url, drop } = await openPostgresUrl();
  const db = databaseOver('postgres', wrap(postgresSessions({ databaseUrl: url })), true);
  return {
    ...db,
    async close() {
      await db.close();
      await drop();
    },
  };
}

/** What a test puts between the store and its sessions: faults, for instance. */
export type Wrap = (sessions: SessionSource) => SessionSource;
const plain: Wrap = (sessions) => sessions;

export type Open = (wrap?: Wrap) => Promise<Database>;

export const hasPostgres = server !== undefined;

/** Describe once per engine. Every `open()` must be closed by the test. */
export function eachDatabase(tests: (kind: Database['kind'], open: Open) => void): void {
  describe('pglite', () => {
    afterAll(endPglite);
    tests('pglite', openPglite);
  });
  describe.skipIf(!hasPostgres)('postgres', () => tests('postgres', openPostgres));
}

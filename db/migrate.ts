/** Numbered, forward-only SQL files; what was applied is recorded with its hash. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import { EspalierError } from '../core/errors.ts';
import type { Database } from './database.ts';
import { executorOf } from './database.ts';

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

const FILE = /^(\d{3})_([a-z0-9_]+)\.sql$/;
const FOLDER = new URL('./migrations/', import.meta.url);

/** The migrations this version knows, in order. */
export function knownMigrations(folder: URL = FOLDER): Migration[] {
  return readdirSync(folder)
    .sort()
    .flatMap((file) => {
      const match = FILE.exec(file);
      if (match === null) return [];
      const text = readFileSync(new URL(file, folder), 'utf8');
      const sha256 = createHash('sha256').update(text).digest('hex');
      return [{ number: Number(match[1]), name: match[2] as string, sql: text, sha256 }];
    });
}

/** One hash over all of them: two stores with the same value have the same tables. */
export function schemaHash(migrations: readonly Migration[] = knownMigrations()): string {
  const hash = createHash('sha256');
  for (const { number, name, sha256 } of migrations) hash.update(`${number} ${name} ${sha256}\n`);
  return hash.digest('hex');
}

interface Applied {
  readonly number: number;
  readonly name: string;
  readonly sha256: string;
}

const LEDGER = `create table if not exists schema_migration (
  number     int primary key,
  name       text        not null,
  sha256     text        not null,
  applied_at timestamptz not null default now()
)`;

/** `if not exists` still fails when two sessions create the table at the same instant; the loser finds it there. */
async function createLedger(db: Database): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await sql.raw(LEDGER).execute(db.read);
      return;
    } catch (error) {
      const code = (error as { code?: string }).code;
      if ((code !== '23505' && code !== '42P07') || attempt === 5) throw error;
    }
  }
}

function nextPending(applied: readonly Applied[], known: readonly Migration[]): Migration | undefined {
  for (const done of applied) {
    const same = known.find((migration) => migration.number === done.number);
    if (same?.sha256 !== done.sha256) {
      const what = same === undefined ? 'is not known to this version' : 'differs from the file of this version';
      throw new EspalierError('schema_newer', `Migration ${done.number}_${done.name} in the database ${what}.`, {
        fix: 'Start the Espalier version that last migrated this database, or a newer one.',
      });
    }
  }
  const last = Math.max(0, ...applied.map((done) => done.number));
  return known.find((migration) => migration.number > last);
}

/** Bring the tables up to date. Any number of processes may do it at once; each migration is applied once. */
export async function migrate(db: Database, known: readonly Migration[] = knownMigrations()): Promise<string[]> {
  await createLedger(db);
  const names: string[] = [];
  for (;;) {
    const done = await db.run(async (tx) => {
      const executor = executorOf(tx);
      await sql`lock table schema_migration in exclusive mode`.execute(executor);
      const applied = await sql<Applied>`select number, name, sha256 from schema_migration order by number`.execute(
        executor,
      );
      const next = nextPending(applied.rows, known);
      if (next === undefined) return undefined;
      await sql.raw(next.sql).execute(executor);
      await sql`insert into schema_migration (number, name, sha256) values (${next.number}, ${next.name}, ${next.sha256})`.execute(
        executor,
      );
      return next.name;
    });
    if (done === undefined) return names;
    names.push(done);
  }
}

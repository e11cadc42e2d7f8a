/** Forward-only migrations; what was applied is recorded with its hash. */
import { sql } from 'kysely';
import { EspalierError } from '../core/errors.ts';
import { type Database, type DatabaseOptions, executorOf, openDatabase } from './database.ts';
import { knownMigrations, type Migration } from './schema.ts';

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

/** How the loser of two that create a table at the same instant fails, in spite of `if not exists`. */
const CREATED_MEANWHILE = ['23505', '42P07', '42710'];

async function createLedger(db: Database): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await sql.raw(LEDGER).execute(db.read);
      return;
    } catch (error) {
      const code = (error as { code?: string }).code;
      if (!CREATED_MEANWHILE.includes(code ?? '') || attempt === 5) throw error;
    }
  }
}

/** The first migration that is not applied yet. Errors: schema_newer where the database knows another history. */
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

/** Opens a store whose tables are up to date: what a server does at start. Errors: those of both. */
export async function openMigratedDatabase(options: DatabaseOptions): Promise<Database> {
  if ('databaseUrl' in options) {
    // On a connection of its own: a migration may take longer than any statement of a request.
    const patient = await openDatabase({ databaseUrl: options.databaseUrl, poolSize: 1, statementTimeoutMs: 0 });
    await migrate(patient).finally(() => patient.close());
    return openDatabase(options);
  }
  const db = await openDatabase(options);
  try {
    await migrate(db);
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}

/**
 * Brings the tables up to date, each file in a transaction of its own; answers the names of what it applied.
 * Any number of processes may do it at once: the lock on the ledger lets one at a time see what is missing.
 */
export async function migrate(db: Database, known: readonly Migration[] = knownMigrations()): Promise<string[]> {
  await createLedger(db);
  const names: string[] = [];
  for (;;) {
    const done = await db.run(async (tx) => {
      const executor = executorOf(tx);
      await sql`set local lock_timeout = 0`.execute(executor);
      await sql`lock table schema_migration in exclusive mode`.execute(executor);
      const applied = await sql<Applied>`select number, name, sha256 from schema_migration order by number`.execute(
        executor,
      );
      const next = nextPending(applied.rows, known);
      if (next === undefined) return undefined;
      await sql.raw(next.sql).execute(executor);
      await sql`insert into schema_migration (number, name, sha256)
        values (${next.number}, ${next.name}, ${next.sha256})`.execute(executor);
      return next.name;
    });
    if (done === undefined) return names;
    names.push(done);
  }
}

/**
 * Embedded databases for tests. Starting one costs a second of CPU and putting its rows back some milliseconds, so a
 * thread whose database was closed serves the next one, unless a test changed its tables.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { type Database, databaseOver, type Executor } from '../../db/database.ts';
import type { SessionSource } from '../../db/dialect.ts';
import { pgliteSessions } from '../../db/pglite-session.ts';
import { type PgliteThread, startPglite } from '../../db/pglite-thread.ts';
import { ensureTemplate } from '../../db/template.ts';
import { runFolder } from './global-setup.ts';

/** Outlives the run: it is made once per schema and clone. */
export function pgliteTemplate(): Promise<string> {
  return ensureTemplate(fileURLToPath(new URL('../../node_modules/.cache/espalier/', import.meta.url)));
}

interface Table {
  readonly name: string;
  readonly seed: string | null;
}

interface Baseline {
  readonly shape: string;
  readonly tables: readonly Table[];
  readonly sequences: readonly { readonly name: string; readonly value: number; readonly called: boolean }[];
}

interface Member {
  readonly thread: PgliteThread;
  readonly sessions: SessionSource;
  readonly folder: string;
  readonly baseline: Baseline;
}

const idle: Member[] = [];

/** Every column, index, constraint, function and applied migration, as one text to compare. */
async function shapeOf(on: Executor): Promise<string> {
  const { rows } = await sql<{ shape: string }>`
    select md5(string_agg(line, ',' order by line)) as shape from (
      select attrelid::regclass || '.' || attname || ' ' || atttypid from pg_attribute
        join pg_class on pg_class.oid = attrelid where relnamespace = 'public'::regnamespace
      union all select conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint
        where connamespace = 'public'::regnamespace
      union all select proname from pg_proc where pronamespace = 'public'::regnamespace
      union all select number || sha256 from schema_migration
    ) lines(line)`.execute(on);
  return rows[0]?.shape ?? '';
}

async function baselineOf(on: Executor): Promise<Baseline> {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`.execute(on);
  const tables: Table[] = [];
  for (const { name } of rows) {
    const seed = await sql<{ rows: string | null }>`select json_agg(t)::text as rows from ${sql.id(name)} t`.execute(
      on,
    );
    tables.push({ name, seed: seed.rows[0]?.rows ?? null });
  }
  const named = await sql<{ name: string }>`
    select sequencename as name from pg_sequences where schemaname = 'public'`.execute(on);
  const sequences: Baseline['sequences'][number][] = [];
  for (const { name } of named.rows) {
    // The sequence itself: pg_sequences has no last value for one that was restarted and not used yet.
    const state = await sql<{ value: number; called: boolean }>`
      select last_value as value, is_called as called from ${sql.id(name)}`.execute(on);
    sequences.push({ name, value: state.rows[0]?.value ?? 1, called: state.rows[0]?.called ?? false });
  }
  return { shape: await shapeOf(on), tables, sequences };
}

/** False where the tables are not what they were. */
async function putBack(on: Executor, { shape, tables, sequences }: Baseline): Promise<boolean> {
  if ((await shapeOf(on)) !== shape) return false;
  const parts = tables.map(
    ({ name }) => sql`select ${sql.lit(name)} as name where exists (select 1 from ${sql.id(name)})`,
  );
  const used = await sql<{ name: string }>`${sql.join(parts, sql` union all `)}`.execute(on);
  await sql`set session_replication_role = replica`.execute(on);
  for (const { name } of used.rows) await sql`delete from ${sql.id(name)}`.execute(on);
  for (const { name, seed } of tables) {
    if (seed === null) continue;
    await sql`insert into ${sql.id(name)} select * from json_populate_recordset(null::${sql.id(name)}, ${seed})`.execute(
      on,
    );
  }
  await sql`set session_replication_role = origin`.execute(on);
  for (const { name, value, called } of sequences) {
    await sql`select setval(${name}::regclass, ${value}, ${called})`.execute(on);
  }
  return true;
}

async function startMember(): Promise<Member> {
  const folder = mkdtempSync(path.join(runFolder(), 'pglite-'));
  cpSync(await pgliteTemplate(), folder, { recursive: true });
  const thread = await startPglite(folder);
  const sessions = pgliteSessions(thread);
  return { thread, sessions, folder, baseline: await baselineOf(databaseOver('pglite', sessions).read) };
}

async function end({ thread, folder }: Member): Promise<void> {
  await thread.terminate();
  rmSync(folder, { recursive: true, force: true });
}

/** A migrated database without rows of its own. `wrap` stands between the store and its sessions. */
export async function openPglite(wrap = (sessions: SessionSource) => sessions): Promise<Database> {
  const member = idle.pop() ?? (await startMember());
  return databaseOver('pglite', {
    ...wrap(member.sessions),
    async close() {
      const { read } = databaseOver('pglite', member.sessions);
      const reusable = await putBack(read, member.baseline).catch(() => false);
      if (reusable) idle.push(member);
      else await end(member);
    },
  });
}

/** Ends the threads that nobody uses. */
export async function endPglite(): Promise<void> {
  await Promise.all(idle.splice(0).map(end));
}

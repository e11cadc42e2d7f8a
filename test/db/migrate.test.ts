import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../db/database.ts';
import { migrate, openMigratedDatabase } from '../../db/migrate.ts';
import { knownMigrations, type Migration, schemaHash } from '../../db/schema.ts';
import { eachDatabase, hasPostgres, openPostgresUrl, type TestDatabaseUrl } from '../support/databases.ts';

function made(number: number, text: string): Migration {
  return { number, name: `test_${number}`, sql: text, sha256: createHash('sha256').update(text).digest('hex') };
}
const known = knownMigrations();
const last = known.at(-1)?.number ?? 0;

test('the files are numbered from 001 without a gap', () => {
  expect(known.map((migration) => migration.number)).toEqual(known.map((_, index) => index + 1));
});

test('the hash of the schema follows every file', () => {
  expect(schemaHash([...known, made(last + 1, 'select 1')])).not.toBe(schemaHash(known));
  expect(schemaHash(known.toReversed())).not.toBe(schemaHash(known));
});

eachDatabase((_kind, open) => {
  let db: Database;
  beforeEach(async () => {
    db = await open();
  });
  afterEach(() => db.close());

  const names = async () =>
    (await sql<{ name: string }>`select name from schema_migration order by number`.execute(db.read)).rows.map(
      (row) => row.name,
    );

  test('a second run applies nothing; a new file is applied alone', async () => {
    expect(await migrate(db)).toEqual([]);
    expect(await names()).toEqual(known.map((migration) => migration.name));
    const next = made(last + 1, 'create table later (a int); insert into later values (1);');
    expect(await migrate(db, [...known, next])).toEqual([next.name]);
    expect((await sql`select a from later`.execute(db.read)).rows).toEqual([{ a: 1 }]);
  });

  test('a file that fails leaves nothing of itself, and what came before it stays', async () => {
    const good = made(last + 1, 'create table good (a int)');
    const bad = made(last + 2, 'create table bad (a int); insert into bad values (1/0);');
    await expect(migrate(db, [...known, good, bad])).rejects.toMatchObject({ code: '22012' });
    const { rows } = await sql`select to_regclass('good')::text as good, to_regclass('bad')::text as bad`.execute(
      db.read,
    );
    expect(rows).toEqual([{ good: 'good', bad: null }]);
    expect(await migrate(db, [...known, good, made(last + 2, 'create table bad (a int)')])).toEqual([
      `test_${last + 2}`,
    ]);
  });

  test('a file that changed after it was applied is refused', async () => {
    const changed = known.map((migration, index) => (index === 0 ? { ...migration, sha256: 'other' } : migration));
    await expect(migrate(db, changed)).rejects.toMatchObject({ code: 'schema_newer' });
  });

  test('a database of a newer version is refused, and nothing is applied to it', async () => {
    await migrate(db, [...known, made(last + 1, 'create table newer (a int)')]);
    await expect(migrate(db)).rejects.toMatchObject({ code: 'schema_newer' });
    await expect(migrate(db)).rejects.toThrow(`${last + 1}_test_${last + 1}`);
  });
});

describe.skipIf(!hasPostgres)('openMigratedDatabase', () => {
  test('leaves an empty PostgreSQL migrated', async () => {
    const empty = await openPostgresUrl(false);
    const db = await openMigratedDatabase({ databaseUrl: empty.url });
    expect(await migrate(db)).toEqual([]);
    await db.close();
    await empty.drop();
  });
});

describe.skipIf(!hasPostgres)('20 processes that migrate an empty PostgreSQL at once', () => {
  let empty: TestDatabaseUrl;
  beforeAll(async () => {
    empty = await openPostgresUrl(false);
  });
  afterAll(() => empty.drop());

  test('end with each file applied once', async () => {
    const pools = await Promise.all(
      Array.from({ length: 20 }, () => openDatabase({ databaseUrl: empty.url, poolSize: 2 })),
    );
    try {
      const applied = await Promise.all(pools.map((db) => migrate(db)));
      expect(applied.flat().toSorted()).toEqual(known.map((migration) => migration.name).toSorted());
      const { rows } = await sql`select count(*) as n from schema_migration`.execute((pools[0] as Database).read);
      expect(rows).toEqual([{ n: known.length }]);
    } finally {
      await Promise.all(pools.map((db) => db.close()));
    }
  });
});

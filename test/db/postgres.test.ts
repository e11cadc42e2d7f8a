import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Database, executorOf, openDatabase } from '../../db/database.ts';
import { hasPostgres, openPostgresUrl, type TestDatabaseUrl } from '../support/databases.ts';

describe.skipIf(!hasPostgres)('a PostgreSQL server', () => {
  let there: TestDatabaseUrl;
  let db: Database;
  let admin: Database;
  beforeAll(async () => {
    there = await openPostgresUrl();
    db = await openDatabase({ databaseUrl: there.url, poolSize: 4, statementTimeoutMs: 1_000, lockTimeoutMs: 200 });
    admin = await openDatabase({ databaseUrl: there.url, poolSize: 2 });
    await sql`create table written (n int primary key)`.execute(admin.read);
  });
  afterAll(async () => {
    await db.close();
    await admin.close();
    await there.drop();
  });

  /** Every backend of this database but the one that asks. */
  const killOthers = () =>
    sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`.execute(
      admin.read,
    );

  test('backends that are killed under load cost errors of one kind, no process and no acknowledged row', async () => {
    const acknowledged: number[] = [];
    const faults = new Set<unknown>();
    let next = 0;
    const work = async () => {
      while (next < 400) {
        const n = next++;
        const write = (on: Parameters<typeof executorOf>[0]) =>
          sql`insert into written values (${n})`.execute(executorOf(on));
        await db.run(write).then(
          () => acknowledged.push(n),
          (error: { code?: unknown }) => faults.add(error.code),
        );
      }
    };
    const killing = (async () => {
      while (next < 400) {
        await killOthers();
        await sleep(15);
      }
    })();
    await Promise.all([work(), work(), work(), work(), killing]);
    // Also where only the answer to COMMIT was lost: running again would then meet the row (23505).
    for (const code of faults) expect(code).toBe('store_unavailable');
    const { rows } = await sql<{ n: number }>`select n from written`.execute(db.read);
    const stored = new Set(rows.map((row) => row.n));
    expect(acknowledged.filter((n) => !stored.has(n))).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(0);
  });

  test('idle connections that the server closed are replaced without anybody noticing', async () => {
    await Promise.all(Array.from({ length: 4 }, () => sql`select pg_sleep(0.02)`.execute(db.read)));
    await killOthers();
    await sleep(50);
    expect((await sql`select ${1}::int as one`.execute(db.read)).rows).toEqual([{ one: 1 }]);
  });

  test('a connection lost before COMMIT: the work runs once more, then it is store_unavailable', async () => {
    let attempts = 0;
    const run = (until: number) =>
      db.run(async (tx) => {
        attempts += 1;
        if (attempts < until) await sql`select pg_terminate_backend(pg_backend_pid())`.execute(executorOf(tx));
        return sql`select ${attempts}::int as n`.execute(executorOf(tx));
      });
    expect((await run(2)).rows).toEqual([{ n: 2 }]);
    attempts = 0;
    await expect(run(9)).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(attempts).toBe(2);
  });

  test('a statement over its time limit and a lock that does not come are store_unavailable', async () => {
    const alone = sql`select pg_sleep(30)`.execute(db.read);
    await expect(alone).rejects.toMatchObject({ code: 'store_unavailable', cause: { code: '57014' } });
    const slow = db.run((tx) => sql`select pg_sleep(30)`.execute(executorOf(tx)));
    await expect(slow).rejects.toMatchObject({ code: 'store_unavailable', cause: { code: '57014' } });
    await admin.run(async (tx) => {
      await sql`lock table written in access exclusive mode`.execute(executorOf(tx));
      await expect(waitForLock()).rejects.toMatchObject({ code: 'store_unavailable', cause: { code: '55P03' } });
    });
    expect((await sql`select 1 as one`.execute(db.read)).rows).toEqual([{ one: 1 }]);
  });
  const waitForLock = () => db.run((tx) => sql`insert into written values (-1)`.execute(executorOf(tx)));

  test('a pooler that forgets prepared statements costs nothing but their names', async () => {
    const single = await openDatabase({ databaseUrl: there.url, poolSize: 1 });
    const ask = (n: number) => sql`select ${n}::int + 1 as v`.execute(single.read);
    expect((await ask(1)).rows).toEqual([{ v: 2 }]);
    await sql`deallocate all`.execute(single.read);
    expect((await ask(2)).rows).toEqual([{ v: 3 }]);
    await sql`deallocate all`.execute(single.read);
    const inside = single.run((tx) => sql`select ${3}::int + 1 as v`.execute(executorOf(tx)));
    expect((await inside).rows).toEqual([{ v: 4 }]);
    await single.close();
  });

  test('no server: store_unavailable, at once and each time', async () => {
    const url = new URL(there.url);
    url.searchParams.set('host', '/nonexistent');
    const nobody = await openDatabase({ databaseUrl: url.href });
    await expect(sql`select 1`.execute(nobody.read)).rejects.toMatchObject({ code: 'store_unavailable' });
    await expect(nobody.run(async (tx) => sql`select 1`.execute(executorOf(tx)))).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    await nobody.close();
  });

  test('no such database: store_unavailable that says so', async () => {
    const nowhere = await openDatabase({ databaseUrl: there.url.replace(/espalier_test_\w+/, 'espalier_absent') });
    await expect(sql`select 1`.execute(nowhere.read)).rejects.toThrow(/espalier_absent/);
    await nowhere.close();
  });
});

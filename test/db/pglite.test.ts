import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Database, databaseOver, executorOf, openDatabase } from '../../db/database.ts';
import { keepHouse } from '../../db/housekeeping.ts';
import { migrate, openMigratedDatabase } from '../../db/migrate.ts';
import { pgliteSessions } from '../../db/pglite-session.ts';
import { startPglite } from '../../db/pglite-thread.ts';
import { pgliteTemplate } from '../support/pglite-pool.ts';

const WRITER = fileURLToPath(new URL('./pglite-writer.mjs', import.meta.url));

let dataFolder: string;
let template: string;
beforeEach(async () => {
  template = await pgliteTemplate();
  dataFolder = path.join(mkdtempSync(path.join(tmpdir(), 'espalier-data-')), 'data');
});
afterEach(() => rmSync(path.dirname(dataFolder), { recursive: true, force: true }));

const lock = () => path.join(dataFolder, 'espalier.lock');

test('a new data folder is private, starts migrated, and one opener has it to itself', async () => {
  const db = await openDatabase({ dataFolder, template });
  expect(statSync(dataFolder).mode & 0o777).toBe(0o700);
  expect(await migrate(db)).toEqual([]);
  await expect(openDatabase({ dataFolder })).rejects.toMatchObject({ code: 'data_folder_in_use' });
  await expect(openDatabase({ dataFolder })).rejects.toThrow(String(process.pid));
  await sql`insert into team (name) values ('kept')`.execute(db.read);
  await db.close();
  expect(existsSync(lock())).toBe(false);
  const again = await openDatabase({ dataFolder });
  expect((await sql`select name from team order by id`.execute(again.read)).rows).toEqual([
    { name: 'Default' },
    { name: 'kept' },
  ]);
  await again.close();
});

test('a start that was killed while it made the directory is made again', async () => {
  mkdirSync(path.join(dataFolder, 'postgres.new', 'base'), { recursive: true });
  writeFileSync(path.join(dataFolder, 'postgres.new', 'PG_VERSION'), '18');
  const db = await openDatabase({ dataFolder, template });
  expect((await sql`select 1 as one`.execute(db.read)).rows).toEqual([{ one: 1 }]);
  await db.close();
});

test('a folder that is no database is refused, and given back', async () => {
  mkdirSync(path.join(dataFolder, 'postgres'), { recursive: true });
  writeFileSync(path.join(dataFolder, 'postgres', 'PG_VERSION'), '9.6\n');
  await expect(openDatabase({ dataFolder })).rejects.toThrow(/PostgreSQL 9\.6; this version embeds 18/);
  writeFileSync(path.join(dataFolder, 'postgres', 'PG_VERSION'), '18\n');
  await expect(openDatabase({ dataFolder })).rejects.toMatchObject({ code: 'store_unavailable' });
  expect(existsSync(lock())).toBe(false);
});

test('without a template initdb makes the directory', async () => {
  const db = await openMigratedDatabase({ dataFolder });
  expect((await sql`select name from team`.execute(db.read)).rows).toEqual([{ name: 'Default' }]);
  await db.close();
});

test('kill -9 while it writes: every acknowledged row is there after reopening', async () => {
  const setUp = await openDatabase({ dataFolder, template });
  await sql`create table kept (n int primary key, filler text)`.execute(setUp.read);
  await setUp.close();
  let acknowledged = 0;
  for (const more of [7, 120, 33]) {
    const writer = spawn(process.execPath, [WRITER, path.join(dataFolder, 'postgres'), String(acknowledged + 1)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(writer, 'exit');
    const until = acknowledged + more;
    for await (const line of createInterface({ input: writer.stdout })) {
      acknowledged = Number(line);
      if (acknowledged >= until) writer.kill('SIGKILL');
    }
    expect((await exit)[1]).toBe('SIGKILL');
    const db = await openDatabase({ dataFolder });
    const { rows } = await sql<{ n: number; top: number }>`select count(*) as n, max(n) as top from kept`.execute(
      db.read,
    );
    const { n, top } = rows[0] as { n: number; top: number };
    // No holes, nothing acknowledged missing, and at most the one row that was under way besides.
    expect(n).toBe(top);
    expect([acknowledged, acknowledged + 1]).toContain(top);
    acknowledged = top;
    await db.close();
  }
});

test('when the thread dies, what is under way and what comes after is answered store_unavailable', async () => {
  const thread = await startPglite(await freshDirectory());
  const db = databaseOver('pglite', pgliteSessions(thread));
  let attempts = 0;
  const underWay = [
    ...Array.from({ length: 10 }, () => sql`select count(*) from generate_series(1, 2000000)`.execute(db.read)),
    db.run(async (tx) => {
      attempts += 1;
      await sql`insert into team (name) values ('a')`.execute(executorOf(tx));
    }),
    db.run((tx) => sql`insert into team (name) values ('b')`.execute(executorOf(tx))),
  ];
  await sleep(20);
  await thread.terminate();
  const results = await Promise.allSettled(underWay);
  for (const result of results.filter((one) => one.status === 'rejected')) {
    expect(result.reason).toMatchObject({ code: 'store_unavailable' });
  }
  expect(results.some((one) => one.status === 'rejected')).toBe(true);
  expect(attempts).toBeLessThanOrEqual(1);
  await expect(sql`select 1`.execute(db.read)).rejects.toMatchObject({ code: 'store_unavailable' });
  await expect(db.run((tx) => sql`select 1`.execute(executorOf(tx)))).rejects.toMatchObject({
    code: 'store_unavailable',
  });
  await db.close();
});

test('a long statement leaves the event loop free', async () => {
  const db: Database = databaseOver('pglite', pgliteSessions(await startPglite(await freshDirectory())));
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  await sql`select sum(i) from generate_series(1, 3000000) i`.execute(db.read);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(10);
  await db.close();
});

test('dead rows and WAL do not grow for as long as the process lives', async () => {
  const sessions = pgliteSessions(await startPglite(await freshDirectory()));
  const db = databaseOver('pglite', sessions);
  await sql`create table hot (n int primary key, filler text)`.execute(db.read);
  await sql`create index on hot (filler)`.execute(db.read);
  await sql`insert into hot select i, md5(i::text) from generate_series(1, 3000) i`.execute(db.read);
  for (let round = 0; round < 4; round += 1) await sql`update hot set filler = md5(filler)`.execute(db.read);
  // Statistics of a session are published at most once a second.
  await sleep(1_100);
  await sql`select 1`.execute(db.read);
  const limits = { walBytes: 1_000_000, changedRows: 500 };
  expect(await keepHouse(sessions, limits)).toEqual(['vacuum public.hot', 'checkpoint']);
  await sleep(1_100);
  await sql`select 1`.execute(db.read);
  expect(await keepHouse(sessions, limits)).toEqual([]);
  await db.close();
});

async function freshDirectory(): Promise<string> {
  const db = await openDatabase({ dataFolder, template });
  await db.close();
  return path.join(dataFolder, 'postgres');
}

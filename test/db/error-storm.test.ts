import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Database, type Executor, executorOf } from '../../db/database.ts';
import { eachDatabase } from '../support/databases.ts';

type Fault = (on: Executor, n: number) => Promise<unknown>;

/** Faults of parsing, binding, executing, reading the answer and committing, prepared and not. */
const FAULTS: readonly (readonly [state: string, fault: Fault])[] = [
  ['42601', (on) => sql`selekt 1`.execute(on)],
  ['42601', (on) => sql`selekt ${1}`.execute(on)],
  ['42P01', (on, n) => sql`select * from no_such_table where a = ${n}`.execute(on)],
  ['22012', (on, n) => sql`select ${n}::int / 0`.execute(on)],
  ['22012', (on) => sql`select 1 / 0`.execute(on)],
  ['22P02', (on) => sql`select ${'x'}::int`.execute(on)],
  ['22003', (on, n) => sql`select ${n + 2_000_000_000}::int * 4`.execute(on)],
  ['23505', (on) => sql`insert into team (name) values (${'Default'})`.execute(on)],
  [
    '23503',
    (on) =>
      sql`update host set team_id = ${-1} where name = ${'x'}`
        .execute(on)
        .then(() => sql`insert into osquery_enroll_secret values (${Buffer.alloc(1)}, -1, now())`.execute(on)),
  ],
  ['23514', (on) => sql`insert into label (name, kind, epoch) values ('x', ${'nonsense'}, 1)`.execute(on)],
  ['22021', (on) => sql`select ${'a\0b'}::text`.execute(on)],
  ['42804', (on) => sql`select ${1}::int where ${2}::int`.execute(on)],
  ['08P01', (on) => sql`select ${Buffer.from([1])}::int8`.execute(on)],
];

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  test('600 mixed errors, each answered as itself, and right answers in between and after', async () => {
    const seen = new Map<string, number>();
    await Promise.all(
      Array.from({ length: 600 }, async (_, n) => {
        const [state, fault] = FAULTS[n % FAULTS.length] as (typeof FAULTS)[number];
        const run = n % 3 === 0 ? db.run((tx) => fault(executorOf(tx), n)) : fault(db.read, n);
        const code = await run.then(
          () => 'none',
          (error: { code?: string; cause?: { code?: string } }) => error.cause?.code ?? error.code ?? String(error),
        );
        seen.set(`${state} ${code}`, (seen.get(`${state} ${code}`) ?? 0) + 1);
        const { rows } = await sql`select ${n}::int as n, ${`text ${n}`}::text as t`.execute(db.read);
        expect(rows).toEqual([{ n, t: `text ${n}` }]);
      }),
    );
    for (const answer of seen.keys()) {
      const [wanted, got] = answer.split(' ');
      // 22P03 and 08P01 are how different versions answer four bytes too few.
      expect(wanted === '08P01' ? ['08P01', '22P03', '22P02'] : [wanted]).toContain(got);
    }
    expect([...seen.values()].reduce((sum, count) => sum + count, 0)).toBe(600);
    expect((await sql`select name from team`.execute(db.read)).rows).toEqual([{ name: 'Default' }]);
  });

  test('more distinct statements than are kept prepared', async () => {
    for (let round = 0; round < 2; round += 1) {
      const answers = await Promise.all(
        Array.from({ length: 400 }, async (_, n) => {
          const { rows } = await sql<{ v: number }>`select ${n}::int + ${sql.lit(n)} as v`.execute(db.read);
          return rows[0]?.v;
        }),
      );
      expect(answers).toEqual(Array.from({ length: 400 }, (_, n) => 2 * n));
    }
  });

  test('a table that changes under a prepared statement is read as it is now', async () => {
    await sql`create table shape (a int)`.execute(db.read);
    await sql`insert into shape values (1)`.execute(db.read);
    const read = () => sql`select * from shape where a = ${1}`.execute(db.read);
    for (let n = 0; n < 12; n += 1) await read();
    await sql`alter table shape add column b text default 'new'`.execute(db.read);
    expect((await db.run((tx) => sql`select * from shape where a = ${1}`.execute(executorOf(tx)))).rows).toEqual([
      { a: 1, b: 'new' },
    ]);
    await sql`alter table shape add column c int`.execute(db.read);
    expect((await read()).rows).toEqual([{ a: 1, b: 'new', c: null }]);
  });

  test('a transaction opened by hand outside a unit of work does not stay open', async () => {
    await sql`begin`.execute(db.read).catch(() => undefined);
    await sql`select 1`.execute(db.read).catch(() => undefined);
    await db.run((tx) => sql`insert into team (name) values ('kept')`.execute(executorOf(tx)));
    expect((await sql`select 1 from team where name = 'kept'`.execute(db.read)).rows.length).toBe(1);
  });
});

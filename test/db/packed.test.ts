import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { boolean, int4, int4Array, int8, json, packed, text, timestamptz } from '../../db/packed.ts';
import { eachDatabase } from '../support/databases.ts';

interface Row {
  readonly n: number;
  readonly big: number | null;
  readonly words: string | null;
  readonly flag: boolean | null;
  readonly list: number[] | null;
  readonly at: Date | null;
  readonly tree: object | null;
}
const ROW = packed<Row>({
  n: int4,
  big: int8,
  words: text,
  flag: boolean,
  list: int4Array,
  at: timestamptz,
  tree: json,
});
const int = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const row = fc.record({
  n: int,
  big: fc.option(fc.maxSafeInteger()),
  words: fc.option(fc.string({ unit: 'grapheme' }).filter((one) => !one.includes('\0'))),
  flag: fc.option(fc.boolean()),
  list: fc.option(fc.array(int, { maxLength: 5 })),
  at: fc.option(fc.date({ min: new Date('0001-01-02'), max: new Date('9999-01-01'), noInvalidDate: true })),
  tree: fc.option(fc.array(fc.record({ a: int, b: fc.constantFrom('é', '{}', '"') }), { maxLength: 2 })),
});

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  test('rows come out of one value as they went in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 6 }), async (rows) => {
        const column = (pick: (one: (typeof rows)[number]) => unknown) => sql.val(rows.map(pick));
        const answer = await sql<{ packed: Buffer | null }>`
          select ${ROW.of('t')} as packed from (
            select n, big, words, flag, list::int[], at, tree::jsonb
            from unnest(${column((one) => one.n)}::int[], ${column((one) => one.big)}::bigint[],
              ${column((one) => one.words)}::text[], ${column((one) => one.flag)}::boolean[],
              ${column((one) => (one.list === null ? null : `{${one.list}}`))}::text[], ${column((one) => one.at)}::timestamptz[],
              ${column((one) => (one.tree === null ? null : JSON.stringify(one.tree)))}::text[])
              as u (n, big, words, flag, list, at, tree)
          ) t
        `.execute(db.read);
        const read = [...ROW.read(answer.rows[0]?.packed ?? null)];
        const sorted = (all: readonly Row[]) => all.map((one) => JSON.stringify(one)).sort();
        expect(sorted(read)).toEqual(sorted(rows));
      }),
      { numRuns: 40 },
    );
  });

  test('a number that has no exact value is refused', async () => {
    const one = packed<{ n: number }>({ n: int8 });
    const { rows } = await sql<{ packed: Buffer }>`
      select ${one.of('t')} as packed from (select 9007199254740993::bigint as n) t
    `.execute(db.read);
    expect(() => [...one.read(rows[0]?.packed ?? null)]).toThrow('not a safe integer');
  });
});

import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { Database } from '../../db/database.ts';
import { encodeParameter, parseArray, parserOf } from '../../db/values.ts';
import { eachDatabase } from '../support/databases.ts';

/** Text PostgreSQL can hold: no NUL, no lone surrogate. */
const text = fc.string({ unit: 'grapheme-composite' }).filter((value) => !value.includes('\0'));
const instant = fc.date({
  min: new Date('0001-01-01T00:00:00Z'),
  max: new Date('9999-12-31T23:59:59Z'),
  noInvalidDate: true,
});
const safe = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
const bytes = fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value));

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  async function back(value: unknown, type: string): Promise<unknown> {
    const { rows } = await sql<{ v: unknown }>`select ${value}::${sql.raw(type)} as v`.execute(db.read);
    return rows[0]?.v;
  }

  test.each<[string, fc.Arbitrary<unknown>]>([
    ['int8', safe],
    ['int4', fc.integer()],
    ['float8', fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0))],
    ['bool', fc.boolean()],
    ['text', text],
    ['bytea', bytes],
    ['timestamptz', instant],
    ['uuid', fc.uuid()],
    ['int4[]', fc.array(fc.option(fc.integer()))],
    ['int8[]', fc.array(safe)],
    ['text[]', fc.array(fc.option(fc.oneof(text, fc.constantFrom('NULL', 'null', '', '{}', ',', '"', '\\', ' x '))))],
    ['bytea[]', fc.array(bytes, { maxLength: 5 })],
    ['uuid[]', fc.array(fc.uuid(), { maxLength: 5 })],
    ['timestamptz[]', fc.array(instant, { maxLength: 5 })],
    ['bool[]', fc.array(fc.boolean())],
  ])('%s goes there and back unchanged', async (type, values) => {
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        expect(await back(value, type)).toEqual(value);
      }),
      { numRuns: 30 },
    );
  });

  test('jsonb is passed as text and comes back parsed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ noUnicodeString: false }), async (value) => {
        const json = JSON.stringify(value);
        fc.pre(!json.includes('\\u0000') && !json.includes('-0'));
        expect(await back(json, 'jsonb')).toEqual(JSON.parse(json));
      }),
      { numRuns: 30 },
    );
  });

  test('null and undefined are NULL, for every type', async () => {
    for (const type of ['int8', 'text', 'bytea', 'timestamptz', 'jsonb', 'int4[]']) {
      expect(await back(null, type)).toBeNull();
      expect(await back(undefined, type)).toBeNull();
    }
  });

  test('an int8 without an exact number throws instead of lying; as text it comes whole', async () => {
    await expect(sql`select 9007199254740993::int8 as v`.execute(db.read)).rejects.toThrow(/safe integer/);
    const { rows } = await sql`select (-9223372036854775808)::int8::text as v`.execute(db.read);
    expect(rows).toEqual([{ v: '-9223372036854775808' }]);
  });

  test('an int8 that throws leaves the connection usable, also inside a unit of work', async () => {
    await expect(sql`select ${'9007199254740993'}::int8 as v`.execute(db.read)).rejects.toThrow(/safe integer/);
    await expect(sql`select ${'9007199254740993'}::int8 as v`.execute(db.read)).rejects.toThrow(/safe integer/);
    expect((await sql`select ${'1'}::int8 as v`.execute(db.read)).rows).toEqual([{ v: 1 }]);
  });

  test('instants keep their offset under every session time zone', async () => {
    for (const zone of ['UTC', 'Asia/Kolkata', 'America/St_Johns', 'Pacific/Chatham', 'Africa/Monrovia']) {
      const { rows } = await db.read.transaction().execute(async (tx) => {
        await sql`set local time zone ${sql.lit(zone)}`.execute(tx);
        return sql<{ v: Date; w: Date }>`
          select '2026-11-22T03:04:05.678Z'::timestamptz as v, '1900-01-01T00:00:00Z'::timestamptz as w`.execute(tx);
      });
      expect(rows).toEqual([{ v: new Date('2026-11-22T03:04:05.678Z'), w: new Date('1900-01-01T00:00:00Z') }]);
    }
  });

  test('count, numeric, date and interval have one form on both engines', async () => {
    const { rows } = await sql`
      select count(*) as n, 1.50::numeric as m, date '2026-01-02' as d, null::int as nothing, 'x'::name as label,
             array[[1,2],[3,4]] as grid, 1.5::float4 as real, interval '1 hour' as span
      from team`.execute(db.read);
    expect(rows).toEqual([
      {
        n: 1,
        m: '1.50',
        d: '2026-01-02',
        nothing: null,
        label: 'x',
        grid: [
          [1, 2],
          [3, 4],
        ],
        real: 1.5,
        span: '01:00:00',
      },
    ]);
  });

  test('16 MiB of bytes and a text of 4 MiB pass', async () => {
    const large = Buffer.alloc(16 * 1024 * 1024, 7);
    const { rows } = await sql<{ v: Buffer; n: number; t: string }>`
      select v, length(v) as n, repeat('x', ${4 * 1024 * 1024}::int) as t
      from (select ${large}::bytea as v) large`.execute(db.read);
    expect(rows[0]?.v.equals(large)).toBe(true);
    expect([rows[0]?.n, rows[0]?.t.length]).toEqual([16 * 1024 * 1024, 4 * 1024 * 1024]);
  });

  test('affected rows are counted for writes, and only for writes', async () => {
    const insert =
      await sql`insert into label (name, kind, epoch) values ('a', 'manual', 1), ('b', 'manual', 1)`.execute(db.read);
    const update = await sql`update label set epoch = ${2} where name = ${'a'}`.execute(db.read);
    const select = await sql`select name from label where epoch = ${2}`.execute(db.read);
    const none = await sql`delete from label where name = ${'c'}`.execute(db.read);
    expect([insert.numAffectedRows, update.numAffectedRows, select.numAffectedRows, none.numAffectedRows]).toEqual([
      2n,
      1n,
      undefined,
      0n,
    ]);
  });
});

describe('parameters', () => {
  test('plain objects are refused: JSON is passed as text', () => {
    expect(() => encodeParameter({ a: 1 })).toThrow(/JSON.stringify/);
    expect(() => encodeParameter(new Secret('x'))).toThrow(/JSON.stringify/);
    expect(() => encodeParameter(Symbol('x'))).toThrow(TypeError);
    expect(() => encodeParameter(new Date(Number.NaN))).toThrow(RangeError);
  });

  test('an array text that the encoder makes, the parser reads', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.string())), (items) => {
        expect(parseArray(encodeParameter(items) as string, (item) => item)).toEqual(items);
      }),
    );
  });

  test('an instant outside the years a Date text covers is refused, not bent', () => {
    expect(() => parserOf(1184)('infinity')).toThrow(RangeError);
    expect(() => parserOf(1184)('0044-03-15 12:00:00+00 BC')).toThrow(RangeError);
  });
});

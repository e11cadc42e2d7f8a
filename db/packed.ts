/**
 * Many rows as one value: `record_send` writes a row in PostgreSQL's binary format, and all of them travel in a single
 * bytea. For pages of thousands of rows: an object, a message and a text to parse for each column of each row cost many
 * times what the same bytes cost here (measured: docs/decisions/0009).
 */
import { type RawBuilder, sql } from 'kysely';

/** How the bytes of one column from `at` on become a value. */
type Read<T> = (bytes: Buffer, at: number, length: number) => T;

const TWO_POW_32 = 2 ** 32;
/** PostgreSQL counts from 2000-01-01 (src/include/datatype/timestamp.h). */
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);

export const int4: Read<number> = (bytes, at) => bytes.readInt32BE(at);
export const text: Read<string> = (bytes, at, length) => bytes.toString('utf8', at, at + length);
export const boolean: Read<boolean> = (bytes, at) => bytes[at] === 1;
/** jsonb: one octet of version in front. */
export const json: Read<object> = (bytes, at, length) =>
  JSON.parse(bytes.toString('utf8', at + 1, at + length)) as object;

/** As a number. Throws where the value has no exact one. */
export const int8: Read<number> = (bytes, at) => {
  const value = bytes.readInt32BE(at) * TWO_POW_32 + bytes.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 ${value} is not a safe integer; select its halves`);
  return value;
};

/** Milliseconds: what PostgreSQL keeps beyond them is cut off. */
export const timestamptz: Read<Date> = (bytes, at) => {
  const micros = bytes.readInt32BE(at) * TWO_POW_32 + bytes.readUInt32BE(at + 4);
  const ms = Number.isSafeInteger(micros) ? Math.floor(micros / 1000) : Number(bytes.readBigInt64BE(at) / 1000n);
  return new Date(ms + POSTGRES_EPOCH_MS);
};

/** One dimension, no NULL among the items: dimensions, flags, element type, length, lower bound, then length and value each. */
export const int4Array: Read<number[]> = (bytes, at) => {
  if (bytes.readInt32BE(at) === 0) return [];
  const count = bytes.readInt32BE(at + 12);
  const items = new Array<number>(count);
  for (let index = 0, item = at + 24; index < count; index += 1, item += 8) items[index] = bytes.readInt32BE(item);
  return items;
};

type Reads<Row> = { readonly [Name in keyof Row]-?: Read<NonNullable<Row[Name]>> };

export interface Packed<Row> {
  /** All rows of `from` (an alias of the statement) as one bytea; NULL where there are none. Their order is not kept. */
  of(from: string): RawBuilder<unknown>;
  /** One after the other, as they are asked for: what is judged and dropped at once costs the collector nothing. */
  read(bytes: Buffer | null): Iterable<Row>;
}

/** The columns that travel, by name, and how they are read; `absent` is what NULL comes out as. */
export function packed<Row extends object>(columns: Reads<Row>, absent: null | undefined = null): Packed<Row> {
  const names = Object.keys(columns) as (keyof Row & string)[];
  const reads = names.map((name) => columns[name] as Read<unknown>);

  /** A record: its number of columns, then type, length (-1: NULL) and value of each. */
  function* records(bytes: Buffer | null): Generator<Row> {
    for (let at = 0; bytes !== null && at < bytes.length; ) {
      at += 4;
      const row: Record<string, unknown> = {};
      for (let index = 0; index < reads.length; index += 1) {
        const length = bytes.readInt32BE(at + 4);
        at += 8;
        row[names[index] as string] = length < 0 ? absent : (reads[index] as Read<unknown>)(bytes, at, length);
        if (length > 0) at += length;
      }
      yield row as Row;
    }
  }

  return {
    of(from) {
      const values = sql.join(names.map((name) => sql.ref(`${from}.${name}`)));
      return sql`string_agg(record_send(row(${values})), '')`;
    },
    read: records,
  };
}

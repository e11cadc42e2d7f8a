/**
 * How values cross the border, the same on both engines: every result and parameter travels as PostgreSQL text
 * (bytea parameters as bytes), and only this file knows how text and JavaScript values correspond.
 */

export type ParseText = (text: string) => unknown;

const TIMESTAMPTZ = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$/;

/** int8 as a number. Throws where the value has no exact number: cast to text in SQL where all 64 bits are needed. */
function int8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 ${text} is not a safe integer; select it as text`);
  return value;
}

/** Milliseconds: what PostgreSQL keeps beyond them is cut off. */
function timestamptz(text: string): Date {
  const match = TIMESTAMPTZ.exec(text);
  if (match === null) throw new RangeError(`timestamptz ${text} is outside the years 0001 to 9999`);
  const [, year, month, day, hour, minute, second, fraction = '', sign, hours = 0, minutes = 0, seconds = 0] = match;
  const utc = new Date(0);
  utc.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  utc.setUTCHours(Number(hour), Number(minute), Number(second), Number(fraction.padEnd(3, '0').slice(0, 3)));
  const offset = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  return new Date(utc.getTime() - (sign === '-' ? -offset : offset));
}

function bytea(text: string): Buffer {
  if (!text.startsWith('\\x')) throw new RangeError('bytea is not in hex form');
  return Buffer.from(text.slice(2), 'hex');
}

/** One array dimension or more: `{1,2}`, `{"a\"b",NULL,{x}}` (PostgreSQL documentation §8.15.6). */
export function parseArray(text: string, parse: ParseText): unknown[] {
  const root: unknown[] = [];
  const open: unknown[][] = [];
  let at = text.indexOf('{');
  let current = root;
  let item = '';
  let quoted = false;
  let started = false;
  const flush = () => {
    if (started) current.push(!quoted && item === 'NULL' ? null : parse(item));
    item = '';
    quoted = false;
    started = false;
  };
  for (at += 1; at < text.length; at += 1) {
    const char = text[at] as string;
    if (char === '"') {
      quoted = true;
      started = true;
      for (at += 1; text[at] !== '"'; at += 1) {
        if (text[at] === '\\') at += 1;
        item += text[at] as string;
      }
    } else if (char === '{') {
      const inner: unknown[] = [];
      current.push(inner);
      open.push(current);
      current = inner;
    } else if (char === '}') {
      flush();
      current = open.pop() ?? root;
    } else if (char === ',') {
      flush();
    } else {
      item += char;
      started = true;
    }
  }
  return root;
}

const identity: ParseText = (text) => text;
const boolean: ParseText = (text) => text === 't';
const json: ParseText = (text) => JSON.parse(text) as unknown;

/** Base type oid, its array type's oid, and the parser (pg_type.dat). Types not listed stay text on both engines. */
const TYPES: readonly (readonly [oid: number, arrayOid: number, parse: ParseText])[] = [
  [16, 1000, boolean],
  [17, 1001, bytea],
  [20, 1016, int8],
  [21, 1005, Number],
  [23, 1007, Number],
  [26, 1028, Number],
  [700, 1021, Number],
  [701, 1022, Number],
  [25, 1009, identity],
  [1043, 1015, identity],
  [2950, 2951, identity],
  [1700, 1231, identity],
  [114, 199, json],
  [3802, 3807, json],
  [1184, 1185, timestamptz],
];

const PARSERS = new Map<number, ParseText>(
  TYPES.flatMap(([oid, arrayOid, parse]): [number, ParseText][] => [
    [oid, parse],
    [arrayOid, (text) => parseArray(text, parse)],
  ]),
);

/** The parser of a result column by its type oid. */
export function parserOf(oid: number): ParseText {
  return PARSERS.get(oid) ?? identity;
}

/** What goes on the wire for one parameter: text, bytes, or null. */
export type EncodedParameter = string | Uint8Array | null;

function arrayItem(item: unknown): string {
  if (item === null || item === undefined) return 'NULL';
  if (typeof item === 'number' || typeof item === 'bigint' || typeof item === 'boolean') return String(item);
  if (Array.isArray(item)) return arrayText(item);
  const encoded = encodeParameter(item);
  const text = encoded instanceof Uint8Array ? `\\x${Buffer.from(encoded).toString('hex')}` : (encoded as string);
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

function arrayText(items: readonly unknown[]): string {
  return `{${items.map(arrayItem).join(',')}}`;
}

/**
 * Refuses plain objects on purpose: JSON is passed as `JSON.stringify(x)` with a `::jsonb` cast, so that an array is
 * never ambiguous and a `Secret` never travels as its redaction.
 */
export function encodeParameter(value: unknown): EncodedParameter {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value instanceof Uint8Array) return value;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return arrayText(value);
  throw new TypeError(`a ${typeof value} cannot be a parameter; pass JSON.stringify(x) with a ::jsonb cast`);
}

import { type Affinity, asNumber, asText, type SqlValue } from './sql-values.ts';

interface SqlFunction {
  readonly least: number;
  readonly most: number;
  apply(values: readonly SqlValue[]): SqlValue;
}

const textFunction = (change: (text: string) => SqlValue): SqlFunction => ({
  least: 1,
  most: 1,
  apply: ([value = null]) => (value === null ? null : change(String(value))),
});

const firstKnown = (values: readonly SqlValue[]): SqlValue => values.find((value) => value !== null) ?? null;

/** What admins use in label queries; any other is "no such function". */
export const FUNCTIONS: ReadonlyMap<string, SqlFunction> = new Map<string, SqlFunction>([
  ['LOWER', textFunction((text) => text.toLowerCase())],
  ['UPPER', textFunction((text) => text.toUpperCase())],
  ['TRIM', textFunction((text) => text.trim())],
  ['LENGTH', textFunction((text) => text.length)],
  ['COALESCE', { least: 2, most: 100, apply: firstKnown }],
  ['IFNULL', { least: 2, most: 2, apply: firstKnown }],
  ['SUBSTR', { least: 2, most: 3, apply: substring }],
  ['INSTR', { least: 2, most: 2, apply: position }],
]);

/** From 1; from the end when negative. */
function substring([value = null, start = null, length = null]: readonly SqlValue[]): SqlValue {
  const text = asText(value);
  const from = asNumber(start);
  if (text === null || from === null) return null;
  const begin = from < 0 ? Math.max(0, text.length + from) : Math.max(0, from - 1);
  return text.slice(begin, length === null ? undefined : begin + (asNumber(length) ?? 0));
}

function position([value = null, wanted = null]: readonly SqlValue[]): SqlValue {
  return value === null || wanted === null ? null : String(value).indexOf(String(wanted)) + 1;
}

export const AGGREGATES = ['COUNT', 'MIN', 'MAX', 'SUM'] as const;
export type AggregateName = (typeof AGGREGATES)[number];

export const aggregateNamed = (name: string): AggregateName | undefined =>
  AGGREGATES.find((one) => one === name.toUpperCase());

/** Over the values that are not null. */
export function aggregate(name: AggregateName, all: readonly SqlValue[]): SqlValue {
  const values = all.filter((value) => value !== null);
  switch (name) {
    case 'COUNT':
      return values.length;
    case 'SUM':
      return values.length === 0 ? null : values.reduce<number>((sum, value) => sum + (asNumber(value) ?? 0), 0);
    case 'MIN':
      return values.reduce<SqlValue>((least, value) => (least === null || value < least ? value : least), null);
    case 'MAX':
      return values.reduce<SqlValue>((most, value) => (most === null || value > most ? value : most), null);
  }
}

/** SQLite goes by what the type's name contains; every number is an integer's kin here. */
export const castAffinity = (type: string): Affinity =>
  /CHAR|CLOB|TEXT/i.test(type) && !/INT/i.test(type) ? 'text' : 'integer';

/** CAST. */
export function cast(value: SqlValue, type: string): SqlValue {
  if (/INT/i.test(type)) {
    const number = asNumber(value);
    return number === null ? null : Math.trunc(number);
  }
  return /CHAR|CLOB|TEXT/i.test(type) ? asText(value) : asNumber(value);
}

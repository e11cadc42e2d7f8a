/** A value as SQLite has it in hand; reals and integers are one. */
export type SqlValue = string | number | null;

/** What a column's declared type does to a comparison (SQLite: Datatypes, 4.2). */
export type Affinity = 'text' | 'integer' | 'none';

export interface Operand {
  readonly value: SqlValue;
  readonly affinity: Affinity;
}

/** Below 0, 0, above 0; null where one side is null. Numbers come before text. */
export function compared(left: Operand, right: Operand): number | null {
  const a = applied(left, right.affinity);
  const b = applied(right, left.affinity);
  if (a === null || b === null) return null;
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === 'number' ? -1 : 1;
}

/** An integer column turns text that reads as a number into one; a text column turns numbers without a type into text. */
function applied({ value, affinity }: Operand, other: Affinity): SqlValue {
  if (other === 'integer' && affinity !== 'integer' && typeof value === 'string') return numeric(value) ?? value;
  if (other === 'text' && affinity === 'none' && typeof value === 'number') return String(value);
  return value;
}

function numeric(text: string): number | undefined {
  return /^\s*[-+]?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : undefined;
}

/** The number a text begins with, or 0, as arithmetic and truth have it. */
export function asNumber(value: SqlValue): number | null {
  if (value === null || typeof value === 'number') return value;
  return Number(/^\s*[-+]?\d+(\.\d+)?/.exec(value)?.[0] ?? 0);
}

export const asText = (value: SqlValue): string | null => (value === null ? null : String(value));

/** Null is neither true nor false. */
export function truth(value: SqlValue): boolean | null {
  const number = asNumber(value);
  return number === null ? null : number !== 0;
}

export const fromTruth = (value: boolean | null): SqlValue => (value === null ? null : value ? 1 : 0);

interface Wildcards {
  readonly many: string;
  readonly one: string;
  readonly ignoreCase: boolean;
}
const LIKE: Wildcards = { many: '%', one: '_', ignoreCase: true };
const GLOB: Wildcards = { many: '*', one: '?', ignoreCase: false };

export const like = (pattern: string, text: string): boolean => matches(pattern, text, LIKE);
export const glob = (pattern: string, text: string): boolean => matches(pattern, text, GLOB);

/** Goes back only to the last wildcard, so that no pattern costs more than its length times the text's. */
function matches(pattern: string, text: string, { many, one, ignoreCase }: Wildcards): boolean {
  const p = ignoreCase ? pattern.toLowerCase() : pattern;
  const t = ignoreCase ? text.toLowerCase() : text;
  let at = 0;
  let inPattern = 0;
  let star = -1;
  let resume = 0;
  while (at < t.length) {
    if (p[inPattern] === many) {
      star = inPattern;
      resume = at;
      inPattern += 1;
    } else if (inPattern < p.length && (p[inPattern] === one || p[inPattern] === t[at])) {
      at += 1;
      inPattern += 1;
    } else if (star >= 0) {
      resume += 1;
      at = resume;
      inPattern = star + 1;
    } else {
      return false;
    }
  }
  while (p[inPattern] === many) inPattern += 1;
  return inPattern === p.length;
}

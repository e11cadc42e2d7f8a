import { asNumber, compared, fromTruth, glob, like, type Operand, type SqlValue, truth } from './sql-values.ts';

export type Binary = (left: Operand, right: Operand) => SqlValue;

const compare =
  (holds: (order: number) => boolean): Binary =>
  (left, right) => {
    const order = compared(left, right);
    return order === null ? null : fromTruth(holds(order));
  };
const arithmetic =
  (apply: (a: number, b: number) => number | null): Binary =>
  (left, right) => {
    const [a, b] = [asNumber(left.value), asNumber(right.value)];
    return a === null || b === null ? null : apply(a, b);
  };
const equal = compare((order) => order === 0);
const unequal = compare((order) => order !== 0);

/** SQLite: Operators, and Parse-Affecting Attributes. */
export const SYMBOLS: ReadonlyMap<string, readonly [precedence: number, Binary]> = new Map([
  ['=', [4, equal]],
  ['==', [4, equal]],
  ['!=', [4, unequal]],
  ['<>', [4, unequal]],
  ['<', [5, compare((order) => order < 0)]],
  ['<=', [5, compare((order) => order <= 0)]],
  ['>', [5, compare((order) => order > 0)]],
  ['>=', [5, compare((order) => order >= 0)]],
  ['+', [6, arithmetic((a, b) => a + b)]],
  ['-', [6, arithmetic((a, b) => a - b)]],
  ['*', [7, arithmetic((a, b) => a * b)]],
  ['/', [7, arithmetic((a, b) => (b === 0 ? null : Math.trunc(a / b)))]],
  ['%', [7, arithmetic((a, b) => (b === 0 ? null : a % b))]],
  ['||', [8, (l, r) => (l.value === null || r.value === null ? null : `${l.value}${r.value}`)]],
]);

export const both: Binary = ({ value: a }, { value: b }) => {
  const [x, y] = [truth(a), truth(b)];
  return x === false || y === false ? 0 : x === null || y === null ? null : 1;
};
export const either: Binary = ({ value: a }, { value: b }) => {
  const [x, y] = [truth(a), truth(b)];
  return x === true || y === true ? 1 : x === null || y === null ? null : 0;
};
export const not = (value: SqlValue): SqlValue => {
  const known = truth(value);
  return known === null ? null : fromTruth(!known);
};
const pattern =
  (matches: (pattern: string, text: string) => boolean): Binary =>
  ({ value }, { value: wanted }) =>
    value === null || wanted === null ? null : fromTruth(matches(String(wanted), String(value)));

export const isLike: Binary = pattern(like);
export const isGlob: Binary = pattern(glob);

export const between = (value: Operand, low: Operand, high: Operand): SqlValue =>
  both(
    { value: compare((order) => order >= 0)(value, low), affinity: 'none' },
    { value: compare((order) => order <= 0)(value, high), affinity: 'none' },
  );

/** NULL among the values leaves "not among them" open. */
export function isAmong(left: Operand, values: readonly SqlValue[]): SqlValue {
  const orders = values.map((value) => compared(left, { value, affinity: 'none' }));
  if (orders.includes(0)) return 1;
  return orders.includes(null) ? null : 0;
}

export function negated(value: SqlValue): SqlValue {
  const number = asNumber(value);
  return number === null ? null : -number;
}

/** `IS`: like `=`, and NULL is NULL. */
export const same = (left: Operand, right: Operand): boolean =>
  left.value === null || right.value === null ? left.value === right.value : compared(left, right) === 0;

import { type ErrorCode, EspalierError } from '../core/errors.ts';
import { joinPath } from './limits.ts';
import { isDict, kindOf, type PlistDict, type PlistValue, Real } from './types.ts';

/** Where the dict came from, for the error's path, and under which code a wrong field is reported. */
export interface Where {
  readonly path?: string;
  readonly code?: ErrorCode;
}

type Narrow<T> = (value: PlistValue) => T | undefined;

const string: Narrow<string> = (value) => (typeof value === 'string' ? value : undefined);
const boolean: Narrow<boolean> = (value) => (typeof value === 'boolean' ? value : undefined);
const data: Narrow<Uint8Array> = (value) => (value instanceof Uint8Array ? value : undefined);
const date: Narrow<Date> = (value) => (value instanceof Date ? value : undefined);
const integer: Narrow<number> = (value) => (typeof value === 'number' ? value : undefined);
const real: Narrow<number> = (value) => (value instanceof Real ? value.value : integer(value));
const array: Narrow<readonly PlistValue[]> = (value) => (Array.isArray(value) ? value : undefined);
const dict: Narrow<PlistDict> = (value) => (isDict(value) ? value : undefined);

export const stringAt = required('a string', string);
export const booleanAt = required('a boolean', boolean);
export const dataAt = required('data', data);
export const dateAt = required('a date', date);
export const integerAt = required('an integer below 2^53', integer);
export const arrayAt = required('an array', array);
export const dictAt = required('a dict', dict);

export const optionalString = optional('a string', string);
export const optionalBoolean = optional('a boolean', boolean);
export const optionalData = optional('data', data);
export const optionalDate = optional('a date', date);
export const optionalInteger = optional('an integer below 2^53', integer);
/** Reads `<real>` and `<integer>`: devices write whole reals as either. */
export const optionalReal = optional('a real', real);
export const optionalArray = optional('an array', array);
export const optionalDict = optional('a dict', dict);

/** A value as a dict: the message itself, or an array's element. `path` is '' for the top. */
export function asDict(value: PlistValue | undefined, path = '', code?: ErrorCode): PlistDict {
  return narrowed(value, 'a dict', dict, path, code);
}

export function asString(value: PlistValue | undefined, path = '', code?: ErrorCode): string {
  return narrowed(value, 'a string', string, path, code);
}

/** An array whose elements are all dicts (ErrorChain, PayloadContent); an absent key is an empty one. */
export function dictsAt(from: PlistDict, key: string, where: Where = {}): readonly PlistDict[] {
  const path = joinPath(where.path ?? '', key);
  return (optionalArray(from, key, where) ?? []).map((item, index) => asDict(item, joinPath(path, index), where.code));
}

export function stringsAt(from: PlistDict, key: string, where: Where = {}): readonly string[] {
  const path = joinPath(where.path ?? '', key);
  return (optionalArray(from, key, where) ?? []).map((item, index) =>
    asString(item, joinPath(path, index), where.code),
  );
}

function required<T>(kind: string, narrow: Narrow<T>): (from: PlistDict, key: string, where?: Where) => T {
  return (from, key, where) => {
    const value = from.get(key);
    // The path is joined only for the error: this runs for every field of every message.
    const result = value === undefined ? undefined : narrow(value);
    return result ?? narrowed(value, kind, narrow, joinPath(where?.path ?? '', key), where?.code);
  };
}

function optional<T>(kind: string, narrow: Narrow<T>): (from: PlistDict, key: string, where?: Where) => T | undefined {
  const at = required(kind, narrow);
  return (from, key, where) => (from.has(key) ? at(from, key, where) : undefined);
}

function narrowed<T>(
  value: PlistValue | undefined,
  kind: string,
  narrow: Narrow<T>,
  path: string,
  code?: ErrorCode,
): T {
  const result = value === undefined ? undefined : narrow(value);
  if (result !== undefined) return result;
  const name = path === '' ? 'The property list' : path;
  const detail = value === undefined ? `${name} is missing` : `${name} must be ${kind}, found ${kindOf(value)}`;
  throw new EspalierError(code ?? 'plist_malformed', detail, path === '' ? {} : { place: { path } });
}

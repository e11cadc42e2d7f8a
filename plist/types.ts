/**
 * A property list as values. `<integer>` is a number while it is safe and a bigint beyond 2^53 (CMD-10); `<real>` is
 * wrapped, because a JavaScript number cannot remember that it was written `1.0`.
 */
export type PlistValue = string | number | bigint | boolean | Date | Uint8Array | Real | PlistValue[] | PlistDict;

/** A Map and not an object: key order survives, and `__proto__` is a key like any other. */
export interface PlistDict extends ReadonlyMap<string, PlistValue> {}

/** What the writer takes: everything the reader returns, and plain objects. A key whose value is undefined is left out. */
export type Writable =
  | string
  | number
  | bigint
  | boolean
  | Date
  | Uint8Array
  | Real
  | readonly Writable[]
  | ReadonlyMap<string, Writable | undefined>
  | { readonly [key: string]: Writable | undefined };

export class Real {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export type PlistKind = 'string' | 'integer' | 'real' | 'boolean' | 'date' | 'data' | 'array' | 'dict';

/** Use this and not `instanceof Map`, which narrows a ReadonlyMap to `Map<any, any>`. */
export function isDict(value: PlistValue | undefined): value is PlistDict {
  return value instanceof Map;
}

export function kindOf(value: PlistValue): PlistKind {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'boolean';
    case 'number':
    case 'bigint':
      return 'integer';
    default:
      if (value instanceof Real) return 'real';
      if (value instanceof Date) return 'date';
      if (value instanceof Uint8Array) return 'data';
      return Array.isArray(value) ? 'array' : 'dict';
  }
}

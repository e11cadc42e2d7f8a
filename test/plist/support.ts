import fc from 'fast-check';
import { EspalierError } from '../../core/errors.ts';
import { newWork, RESULT_LIMITS, type ReadOptions, type ReadWork, readPlist } from '../../plist/read.ts';
import { isDict, type PlistValue, Real } from '../../plist/types.ts';

export const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">';

export function xml(body: string): Buffer {
  return Buffer.from(`${HEAD}${body}</plist>`);
}

export interface Refusal {
  readonly error: EspalierError;
  readonly work: ReadWork;
}

/** The refusal and what it cost; anything but a refusal with a code of ours is the test's failure. */
export function refusal(bytes: Uint8Array, options: ReadOptions = RESULT_LIMITS): Refusal {
  const work = newWork();
  try {
    readPlist(bytes, { ...options, work });
  } catch (error) {
    if (error instanceof EspalierError) return { error, work };
    throw error;
  }
  throw new Error('The input was read, not refused');
}

export interface BplistParts {
  readonly objects: readonly (readonly number[])[];
  readonly top?: number;
  readonly offsetSize?: number;
  readonly refSize?: number;
  /** Replaces what the trailer says. */
  readonly trailer?: { readonly objects?: bigint; readonly top?: bigint; readonly tableAt?: bigint };
  readonly offsets?: readonly number[];
}

/** A `bplist00` from raw objects, so that a test can lie in any one place. */
export function bplist(parts: BplistParts): Buffer {
  const { objects, top = 0, offsetSize = 4, refSize = 1 } = parts;
  const body = Buffer.from(objects.flat());
  const offsets = parts.offsets ?? objects.map((_, index) => 8 + objects.slice(0, index).flat().length);
  const table = Buffer.concat(offsets.map((offset) => unsigned(BigInt(offset), offsetSize)));
  const trailer = Buffer.concat([
    Buffer.from([0, 0, 0, 0, 0, 0, offsetSize, refSize]),
    unsigned(parts.trailer?.objects ?? BigInt(offsets.length), 8),
    unsigned(parts.trailer?.top ?? BigInt(top), 8),
    unsigned(parts.trailer?.tableAt ?? BigInt(8 + body.length), 8),
  ]);
  return Buffer.concat([Buffer.from('bplist00'), body, table, trailer]);
}

export function unsigned(value: bigint, size: number): Buffer {
  return Buffer.from(value.toString(16).padStart(size * 2, '0'), 'hex');
}

/** `levels` arrays, each holding the next one twice: 2^levels values in a few bytes. */
export function doublingBomb(levels: number): Buffer {
  const objects = Array.from({ length: levels }, (_, level) => [0xa2, level + 1, level + 1]);
  return bplist({ objects: [...objects, [0x09]] });
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom(
    '',
    '&amp;',
    ']]>',
    '<!-- -->',
    ' \t\n',
    '\r\n\r',
    '__proto__',
    'constructor',
    '10',
    '🌳',
    '\u007f\u0085',
  ),
);
/** What XML 1.0 can carry. */
export const encodable = text.filter(
  (value) => !/(?![\t\n\r])\p{Cc}(?<![\u007f-\u009f])|\p{Surrogate}|[\ufffe\uffff]/u.test(value),
);

const integer = fc
  .oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), fc.integer().map(BigInt))
  .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));

const date = fc
  .date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
  .map((value) => new Date(Math.floor(value.getTime() / 1000) * 1000));

export function plistValues(
  keys = encodable,
  scalars: fc.Arbitrary<PlistValue> = scalarValues,
): fc.Arbitrary<PlistValue> {
  return fc.letrec<{ value: PlistValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      scalars,
      fc.array(tie('value'), { maxLength: 5 }),
      fc.array(fc.tuple(keys, tie('value')), { maxLength: 5 }).map((entries) => new Map(entries)),
    ),
  })).value;
}

export const scalarValues: fc.Arbitrary<PlistValue> = fc.oneof<fc.Arbitrary<PlistValue>[]>(
  encodable,
  integer,
  fc.boolean(),
  date,
  fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  fc.double().map((value) => new Real(value)),
);

/** One shape for values from any reader: numbers by value, data as hex, dict keys sorted. */
export function canonical(value: unknown): unknown {
  if (value instanceof Real) return canonical(value.value);
  if (typeof value === 'bigint' || typeof value === 'number') return `number ${Number(value)}`;
  if (value instanceof Date) return `date ${value.toISOString().slice(0, 19)}`;
  if (value instanceof Uint8Array) return `data ${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries: [string, unknown][] = isDict(value as PlistValue)
    ? [...(value as ReadonlyMap<string, unknown>)]
    : Object.entries(value);
  return {
    dict: entries.map(([key, inner]) => [key, canonical(inner)]).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
  };
}

import type { ErrorCode, EspalierError } from '../core/errors.ts';

/** Makes the located error, so that these functions need not know where in the document they are. */
export type Refuse = (code: ErrorCode, detail: string) => EspalierError;

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

export function inIntegerRange(value: bigint): boolean {
  return value >= INT64_MIN && value <= UINT64_MAX;
}

export function narrowInteger(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

const INTEGER = /^[\t\n\r ]*([+-]?)(?:0*(\d{1,20})|0[xX]0*([0-9a-fA-F]{1,16}))[\t\n\r ]*$/;
const SAFE_DIGITS = 15;

export function parseInteger(text: string): number | bigint | undefined {
  const match = INTEGER.exec(text);
  if (match === null) return undefined;
  const [, sign, decimal, hex] = match;
  if (decimal !== undefined && decimal.length <= SAFE_DIGITS) {
    const value = Number(decimal);
    // `-0` is the integer 0; a negative zero would come back from the writer as something else.
    return sign === '-' && value !== 0 ? -value : value;
  }
  const magnitude = BigInt(decimal ?? `0x${hex}`);
  const value = sign === '-' ? -magnitude : magnitude;
  return inIntegerRange(value) ? narrowInteger(value) : undefined;
}

const REAL = /^[\t\n\r ]*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)[\t\n\r ]*$/;
/** The spellings CoreFoundation reads. */
const NON_FINITE = /^(?:nan|([+-]?)inf(?:inity)?)$/i;

export function parseReal(text: string): number | undefined {
  const match = REAL.exec(text);
  if (match !== null) {
    const value = Number(match[1]);
    return Number.isFinite(value) ? value : undefined;
  }
  const special = NON_FINITE.exec(text);
  if (special === null) return undefined;
  if (special[1] === undefined) return Number.NaN;
  return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

export function parseDate(text: string): Date | undefined {
  if (!DATE.test(text)) return undefined;
  const date = new Date(text);
  // V8 rolls 30 February and 24:00:00 over into the next day instead of refusing them.
  if (Number.isNaN(date.getTime()) || !date.toISOString().startsWith(text.slice(0, -1))) return undefined;
  return date;
}

/** Undefined for a date whose year does not fit the four digits of the XML form. */
export function formatDate(date: Date): string | undefined {
  if (Number.isNaN(date.getTime())) return undefined;
  const iso = date.toISOString();
  return iso.length === 24 ? `${iso.slice(0, 19)}Z` : undefined;
}

const SPACE = /[\t\n\r ]+/g;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Checked first, because Node's decoder skips what is not base64 and returns whatever is left. */
export function parseData(text: string): Buffer | undefined {
  const packed = text.replace(SPACE, '');
  if (packed.length % 4 !== 0 || !BASE64.test(packed)) return undefined;
  return Buffer.from(packed, 'base64');
}

const NAMED: ReadonlyMap<string, string> = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['amp', '&'],
  ['quot', '"'],
  ['apos', "'"],
]);
const REFERENCE = /&(?:#(?:0*(\d{1,7})|x0*([0-9a-fA-F]{1,6}))|([A-Za-z_:][\w:.-]{0,63}));|&/g;

export function expandReferences(text: string, refuse: Refuse): string {
  return text.replace(REFERENCE, (_, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) {
      const character = NAMED.get(name);
      if (character === undefined)
        throw refuse('plist_entity_refused', `The entity &${name}; is not one of XML's own five`);
      return character;
    }
    const code = decimal !== undefined ? Number.parseInt(decimal, 10) : Number.parseInt(hex ?? '', 16);
    // NaN fails every comparison: a bare ampersand lands here as well.
    if (!((code > 0 && code < 0xd800) || (code > 0xdfff && code <= 0x10ffff))) {
      throw refuse('plist_malformed', 'An ampersand does not begin a valid character reference');
    }
    return String.fromCodePoint(code);
  });
}

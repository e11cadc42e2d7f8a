import { isSpace, type Refuse } from './xml-lexis.ts';

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

export function inIntegerRange(value: bigint): boolean {
  return value >= INT64_MIN && value <= UINT64_MAX;
}

export function narrowInteger(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** Far more than any number needs, spaces included; a bound on the backtracking of the two patterns. */
const LONGEST_NUMBER = 400;
const INTEGER = /^[\t\n\r ]*([+-]?)(?:0*(\d{1,20})|0[xX]0*([0-9a-fA-F]{1,16}))[\t\n\r ]*$/;
const SAFE_DIGITS = 15;

export function parseInteger(text: string): number | bigint | undefined {
  if (text.length > LONGEST_NUMBER) return undefined;
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
  if (text.length > LONGEST_NUMBER) return undefined;
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

const BASE64_ALPHABET = new Uint8Array(128);
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/') {
  BASE64_ALPHABET[character.charCodeAt(0)] = 1;
}

/** Checked first, because Node's decoder skips what is not base64 and returns whatever is left. */
export function parseData(text: string): Buffer | undefined {
  let digits = 0;
  let padding = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (isSpace(code)) continue;
    if (code === 0x3d) padding += 1;
    else if (padding > 0 || BASE64_ALPHABET[code] !== 1) return undefined;
    else digits += 1;
  }
  if ((digits + padding) % 4 !== 0 || padding > 2) return undefined;
  const data = Buffer.from(text, 'base64');
  return data.length === ((digits + padding) / 4) * 3 - padding ? data : undefined;
}

const NAMED: ReadonlyMap<string, string> = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['amp', '&'],
  ['quot', '"'],
  ['apos', "'"],
]);
const NUMERIC = /^#(?:(\d{1,12})|x([0-9a-fA-F]{1,12}))$/;
const NAME = /^[A-Za-z_:][\w:.-]*$/;
const LONGEST_REFERENCE = 64;

export function expandReferences(text: string, refuse: Refuse): string {
  let out = '';
  let from = 0;
  // By hand: `replace` with a callback costs seven times as much per reference, and a hostile text is nothing else.
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', from)) {
    const end = text.indexOf(';', at);
    const name = end === -1 || end - at > LONGEST_REFERENCE ? '' : text.slice(at + 1, end);
    out += text.slice(from, at) + (NAMED.get(name) ?? numericReference(name, refuse));
    from = end + 1;
  }
  return out + text.slice(from);
}

function numericReference(name: string, refuse: Refuse): string {
  const match = NUMERIC.exec(name);
  if (match === null) {
    if (NAME.test(name)) throw refuse('plist_entity_refused', `The entity &${name}; is not one of XML's own five`);
    throw refuse('plist_malformed', 'An ampersand does not begin a reference');
  }
  const code = match[1] === undefined ? Number.parseInt(match[2] ?? '', 16) : Number(match[1]);
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    throw refuse('plist_malformed', 'A character reference names no character');
  }
  return String.fromCodePoint(code);
}

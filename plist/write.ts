import { EspalierError } from '../core/errors.ts';
import { joinPath } from './limits.ts';
import { formatDate, inIntegerRange } from './scalars.ts';
import { Real, type Writable } from './types.ts';

const HEAD =
  '<?xml version="1.0" encoding="UTF-8"?>\n' +
  '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n' +
  '<plist version="1.0">';
const TAIL = '</plist>\n';

/** Deeper than any reader accepts; what nests further holds itself. */
const MAX_DEPTH = 512;

/**
 * No indentation, comments, CDATA or fractions of seconds (CMD-11). What XML or a device could not carry is refused
 * here, where the mistake is, instead of on the device.
 */
export function writePlist(value: Writable): string {
  return HEAD + new Writer().value(value, 0) + TAIL;
}

export function writePlistBytes(value: Writable): Buffer {
  return Buffer.from(writePlist(value), 'utf8');
}

// Searches for one bad character: `^[good]*$` with the u flag recurses and overflows the stack on a long string.
const SPECIAL = /[^\t\n -%'-;=?-~\u00a0-\ud7ff\ue000-\ufffd]/;
const UNENCODABLE = /[^\t\n\r -\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u;
const ESCAPED = /[&<>\r]/g;
const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#xD;' };

/** For element content only: quotes stay, so the result is not fit for an attribute. */
export function escapeXml(text: string): string {
  if (!SPECIAL.test(text)) return text;
  if (UNENCODABLE.test(text)) {
    throw new EspalierError('plist_unencodable', 'A control character, a lone surrogate or U+FFFE cannot stand in XML');
  }
  // A parser turns a raw CR into LF, so it has to travel as a reference.
  return text.replace(ESCAPED, (character) => ESCAPES[character] ?? character);
}

class Writer {
  readonly #path: (string | number)[] = [];

  value(value: Writable, depth: number): string {
    switch (typeof value) {
      case 'string':
        return `<string>${this.#text(value)}</string>`;
      case 'boolean':
        return value ? '<true/>' : '<false/>';
      case 'number':
        return this.#number(value);
      case 'bigint':
        if (!inIntegerRange(value)) throw this.#error('An integer must fit 64 bits');
        return `<integer>${value}</integer>`;
      case 'object':
        return this.#object(value, depth);
      default:
        throw this.#error(`A value of type ${typeof value} has no property-list form`);
    }
  }

  #number(value: number): string {
    if (!Number.isFinite(value)) throw this.#error('A number is not finite; wrap it in Real if that is meant');
    if (!Number.isInteger(value)) return `<real>${value}</real>`;
    if (!Number.isSafeInteger(value)) throw this.#error('A whole number beyond 2^53 must be a bigint or a Real');
    // Adding zero makes -0 print as 0.
    return `<integer>${value + 0}</integer>`;
  }

  #object(value: Exclude<Writable, string | number | bigint | boolean>, depth: number): string {
    if (value instanceof Real) return `<real>${realText(value.value)}</real>`;
    if (value instanceof Uint8Array) return `<data>${base64(value)}</data>`;
    if (value instanceof Date) {
      const text = formatDate(value);
      if (text === undefined) throw this.#error('A date is invalid or its year does not have four digits');
      return `<date>${text}</date>`;
    }
    if (depth >= MAX_DEPTH) throw this.#error('The value nests too deeply, or holds itself');
    if (Array.isArray(value)) return this.#array(value, depth);
    if (value instanceof Map) return this.#dict(value, depth);
    // Anything with a class of its own (a Secret, a Set) would come out as its visible fields: an empty dict.
    const prototype: unknown = value === null ? undefined : Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) throw this.#error('An object is not a plain one');
    return this.#dict(Object.entries(value), depth);
  }

  #array(items: readonly Writable[], depth: number): string {
    let out = '<array>';
    const level = this.#path.push(0) - 1;
    // By index, because `for…of` and `forEach` disagree on holes and neither reports them.
    for (let index = 0; index < items.length; index += 1) {
      this.#path[level] = index;
      out += this.value(items[index] as Writable, depth + 1);
    }
    this.#path.pop();
    return `${out}</array>`;
  }

  #dict(entries: Iterable<[string, Writable | undefined]>, depth: number): string {
    let out = '<dict>';
    const level = this.#path.push('') - 1;
    for (const [key, value] of entries) {
      if (value === undefined) continue;
      this.#path[level] = key;
      out += `<key>${this.#text(key)}</key>${this.value(value, depth + 1)}`;
    }
    this.#path.pop();
    return `${out}</dict>`;
  }

  #text(text: string): string {
    if (!SPECIAL.test(text)) return text;
    if (UNENCODABLE.test(text))
      throw this.#error('A control character, a lone surrogate or U+FFFE cannot stand in XML');
    return escapeXml(text);
  }

  #error(detail: string): EspalierError {
    const path = this.#path.slice(0, 64).reduce<string>((joined, part) => joinPath(joined, part), '');
    return new EspalierError('plist_unencodable', detail, path === '' ? {} : { place: { path } });
  }
}

/** CoreFoundation's spellings of the values that have no digits. */
function realText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value);
  return value > 0 ? '+infinity' : '-infinity';
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

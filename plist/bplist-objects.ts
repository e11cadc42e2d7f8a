import { isAscii } from 'node:buffer';
import { EspalierError } from '../core/errors.ts';
import type { ReadWork } from './limits.ts';
import { formatDate, inIntegerRange, narrowInteger } from './scalars.ts';
import { type PlistValue, Real } from './types.ts';

const HEADER = 8;
const TRAILER = 32;
/** 2001-01-01T00:00:00Z, the epoch of binary dates. */
const APPLE_EPOCH_MS = 978_307_200_000;

/** The object table of a `bplist00`: numbers to objects, every length compared with the file before it is used. */
export class BplistObjects {
  readonly #bytes: Buffer;
  readonly #work: ReadWork;
  /** Strings and data by object number, so that a shared one is decoded and paid for once. */
  readonly #decoded = new Map<number, string | Uint8Array>();
  readonly #offsetSize: number;
  readonly #tableAt: number;
  readonly #objects: number;
  readonly refSize: number;
  readonly top: number;

  constructor(bytes: Uint8Array, work: ReadWork) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#work = work;
    const at = bytes.length - TRAILER;
    if (at <= HEADER) throw bplistError('The binary property list is too short', bytes.length);
    this.#offsetSize = this.#bytes.readUInt8(at + 6);
    this.refSize = this.#bytes.readUInt8(at + 7);
    for (const size of [this.#offsetSize, this.refSize]) {
      if (size < 1 || size > 8) throw bplistError('An integer width is not between 1 and 8 bytes', at);
    }
    this.#objects = this.#unsigned(at + 8, 8);
    this.top = this.#unsigned(at + 16, 8);
    this.#tableAt = this.#unsigned(at + 24, 8);
    if (this.#tableAt <= HEADER || this.#tableAt > at) throw bplistError('The offset table lies outside the file', at);
    if (this.#objects > (at - this.#tableAt) / this.#offsetSize) {
      throw bplistError('The offset table is longer than the file', at);
    }
  }

  offset(object: number): number {
    if (object >= this.#objects) throw bplistError('A reference points past the offset table');
    const at = this.#unsigned(this.#tableAt + object * this.#offsetSize, this.#offsetSize);
    if (at < HEADER || at >= this.#tableAt) throw bplistError('An object lies outside the object area');
    return at;
  }

  marker(at: number): number {
    return this.#bytes.readUInt8(at);
  }

  ref(at: number, index: number): number {
    return this.#unsigned(at + index * this.refSize, this.refSize);
  }

  scalar(object: number, at: number): PlistValue {
    const marker = this.marker(at);
    switch (marker >> 4) {
      case 0x0:
        if (marker === 0x08 || marker === 0x09) return marker === 0x09;
        throw bplistError('A null or fill object has no XML form', at);
      case 0x1:
        return this.#integer(at, 2 ** (marker & 0x0f));
      case 0x2:
        return new Real(this.#float(at, marker & 0x0f));
      case 0x3:
        return this.#date(at, marker & 0x0f);
      case 0x4:
      case 0x5:
      case 0x6:
        return this.#payload(object, at, marker >> 4);
      case 0x8:
        throw bplistError('A UID object belongs to keyed archives, not to property lists', at);
      default:
        throw bplistError('An object has an unknown type', at);
    }
  }

  /** The length in the marker's low half, or in the integer object behind it when that half is full. */
  count(at: number): { count: number; start: number } {
    const short = this.marker(at) & 0x0f;
    if (short !== 0x0f) return { count: short, start: at + 1 };
    this.#fits(at, 1);
    const width = this.marker(at + 1);
    if (width < 0x10 || width > 0x13) throw bplistError('A length is not an integer', at);
    const size = 2 ** (width & 0x0f);
    this.#fits(at + 1, size);
    return { count: this.#unsigned(at + 2, size), start: at + 2 + size };
  }

  /** How many items of this width can follow `start` at most. */
  room(start: number, width: number): number {
    return (this.#tableAt - start) / width;
  }

  #payload(object: number, at: number, type: number): string | Uint8Array {
    const known = this.#decoded.get(object);
    if (known !== undefined) return known;
    const { count, start } = this.count(at);
    const size = type === 0x6 ? count * 2 : count;
    if (size > this.room(start, 1)) throw bplistError('A string or data object is cut off', at);
    this.#work.bytes += size;
    // Objects that do not overlap cannot sum to more than the file: without this, a million offsets into one long
    // string decode it a million times.
    if (this.#work.bytes > this.#bytes.length) throw bplistError('Objects overlap', at);
    const slice = this.#bytes.subarray(start, start + size);
    const value = type === 0x4 ? Buffer.from(slice) : text(slice, type === 0x6, at);
    this.#decoded.set(object, value);
    return value;
  }

  #integer(at: number, size: number): number | bigint {
    this.#fits(at, size);
    // Widths 1, 2 and 4 are unsigned; a negative number is always written in 8 bytes.
    if (size <= 4) return this.#unsigned(at + 1, size);
    const high = this.#bytes.readBigInt64BE(at + 1);
    if (size === 8) return narrowInteger(high);
    const value = size === 16 ? (high << 64n) | this.#bytes.readBigUInt64BE(at + 9) : undefined;
    if (value === undefined || !inIntegerRange(value)) throw bplistError('An integer is out of range', at);
    return narrowInteger(value);
  }

  #float(at: number, width: number): number {
    if (width !== 2 && width !== 3) throw bplistError('A real has an unknown width', at);
    this.#fits(at, 2 ** width);
    return width === 2 ? this.#bytes.readFloatBE(at + 1) : this.#bytes.readDoubleBE(at + 1);
  }

  #date(at: number, width: number): Date {
    if (width !== 3) throw bplistError('A date has an unknown width', at);
    const date = new Date(APPLE_EPOCH_MS + this.#float(at, width) * 1000);
    if (formatDate(date) === undefined) throw bplistError('A date is out of range', at);
    return date;
  }

  #fits(at: number, size: number): void {
    if (size > this.room(at + 1, 1)) throw bplistError('An object is cut off', at);
  }

  /** Inexact above 2^53, which is past the end of any file and so refused by whoever compares it. */
  #unsigned(at: number, size: number): number {
    if (size <= 6) return this.#bytes.readUIntBE(at, size);
    return this.#bytes.readUIntBE(at, size - 4) * 2 ** 32 + this.#bytes.readUInt32BE(at + size - 4);
  }
}

function text(slice: Buffer, wide: boolean, at: number): string {
  const decoded = wide ? Buffer.from(slice).swap16().toString('utf16le') : slice.toString('latin1');
  // Strings are well-formed Unicode without NUL whichever form they came in: no text column can hold anything else.
  if (wide ? /\p{Surrogate}/u.test(decoded) : !isAscii(slice)) throw bplistError('A string is not valid text', at);
  if (decoded.includes('\0')) throw bplistError('A NUL character stands in a string', at);
  return decoded;
}

function bplistError(detail: string, offset?: number): EspalierError {
  return new EspalierError('plist_malformed', detail, offset === undefined ? {} : { place: { offset } });
}

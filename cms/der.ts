import { EspalierError } from '../core/errors.ts';
import { TAG } from './asn1.ts';

function header(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([tag, length]);
  if (length < 0x100) return Buffer.from([tag, 0x81, length]);
  if (length < 0x10000) return Buffer.from([tag, 0x82, length >> 8, length & 0xff]);
  if (length < 0x1000000) return Buffer.from([tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff]);
  return Buffer.from([tag, 0x84, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff]);
}

function unencodable(detail: string): EspalierError {
  return new EspalierError('asn1_malformed', detail);
}

export function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  return Buffer.concat([header(tag, length), ...parts]);
}

export const seq = (...parts: readonly Uint8Array[]): Buffer => tlv(TAG.sequence, ...parts);

/** X.690 11.6: the elements of a SET OF in ascending order of their encodings; a verifier may re-encode it so. */
export const set = (...parts: readonly Uint8Array[]): Buffer => tlv(TAG.set, ...parts.toSorted(Buffer.compare));

/** A number, a bigint, or unsigned big-endian octets. */
export function int(value: number | bigint | Uint8Array): Buffer {
  if (value instanceof Uint8Array) return tlv(TAG.integer, unsigned(value));
  if (value < 0) throw unencodable('negative INTEGER');
  const hex = value.toString(16);
  return tlv(TAG.integer, unsigned(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')));
}

function unsigned(octets: Uint8Array): Uint8Array {
  let from = 0;
  while (from < octets.length - 1 && octets[from] === 0) from++;
  const minimal = octets.subarray(from);
  if (minimal.length === 0) return Buffer.from([0]);
  return minimal[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), minimal]) : minimal;
}

export function oid(dotted: string): Buffer {
  if (!/^[0-2](\.(0|[1-9]\d*))+$/.test(dotted)) throw unencodable('not a dotted OBJECT IDENTIFIER');
  const [first, second, ...rest] = dotted.split('.').map(BigInt) as [bigint, bigint, ...bigint[]];
  if (first < 2n && second > 39n) throw unencodable('not a dotted OBJECT IDENTIFIER');
  const body: number[] = [];
  for (const arc of [first * 40n + second, ...rest]) {
    const groups = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) groups.push(Number(left & 0x7fn) | 0x80);
    body.push(...groups.reverse());
  }
  return tlv(TAG.oid, Buffer.from(body));
}

export const nul = (): Buffer => Buffer.from([TAG.null, 0]);
export const bool = (value: boolean): Buffer => Buffer.from([TAG.boolean, 1, value ? 0xff : 0]);
export const octetString = (octets: Uint8Array): Buffer => tlv(TAG.octetString, octets);
export const bitString = (octets: Uint8Array): Buffer => tlv(TAG.bitString, Buffer.from([0]), octets);

/** X.690 11.2.2: trailing zero bits of a named-bit list are left out. */
export function namedBitString(bits: readonly number[]): Buffer {
  if (bits.length === 0) return tlv(TAG.bitString, Buffer.from([0]));
  const highest = Math.max(...bits);
  const octets = Buffer.alloc((highest >> 3) + 1);
  for (const bit of bits) octets[bit >> 3]! |= 0x80 >> (bit & 7);
  return tlv(TAG.bitString, Buffer.from([7 - (highest & 7)]), octets);
}

export const utf8 = (text: string): Buffer => tlv(TAG.utf8String, Buffer.from(text, 'utf8'));

export const isPrintable = (text: string): boolean => /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text);

export function printable(text: string): Buffer {
  if (!isPrintable(text)) throw unencodable('character outside PrintableString');
  return tlv(TAG.printableString, Buffer.from(text, 'latin1'));
}

export function ia5Octets(text: string): Buffer {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) throw unencodable('character outside IA5String');
  return Buffer.from(text, 'latin1');
}

export const ia5 = (text: string): Buffer => tlv(TAG.ia5String, ia5Octets(text));

const zulu = (date: Date): string => {
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) throw unencodable('date outside the years 0 to 9999');
  return `${date.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
};

export const utcTime = (date: Date): Buffer => tlv(TAG.utcTime, Buffer.from(zulu(date).slice(2), 'latin1'));
export const generalizedTime = (date: Date): Buffer => tlv(TAG.generalizedTime, Buffer.from(zulu(date), 'latin1'));

/** RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
export function time(date: Date): Buffer {
  const year = date.getUTCFullYear();
  return year >= 1950 && year < 2050 ? utcTime(date) : generalizedTime(date);
}

export const explicit = (number: number, ...parts: readonly Uint8Array[]): Buffer => tlv(0xa0 | number, ...parts);
export const implicit = (number: number, octets: Uint8Array): Buffer => tlv(0x80 | number, octets);
/** The same constructed value under an IMPLICIT context tag. */
export const implicitConstructed = (number: number, ...parts: readonly Uint8Array[]): Buffer =>
  tlv(0xa0 | number, ...parts);

import { type Asn1Element, asn1Malformed, TAG } from './asn1-element.ts';

const MAX_OID_OCTETS = 64;

/** An OCTET STRING's value, its segments joined where BER cut it (X.690 8.7.3). Also for IMPLICIT tags. */
export function octets(element: Asn1Element): Buffer {
  if (!element.constructed) return element.body;
  const parts: Buffer[] = [];
  collectSegments(element, parts);
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/** Recursion is bounded: no element is deeper than its budget's `maxDepth`. */
function collectSegments(element: Asn1Element, parts: Buffer[]): void {
  for (const segment of element.children) {
    if (segment.tag === TAG.octetString) parts.push(segment.body);
    else if (segment.tag === TAG.constructedOctetString) collectSegments(segment, parts);
    else throw asn1Malformed('segment of an OCTET STRING is none', segment.start);
  }
}

/** A BIT STRING of whole octets: keys and signatures. */
export function bitStringOctets(element: Asn1Element): Buffer {
  const body = element.body;
  if (element.tag !== TAG.bitString || body.length === 0 || body[0] !== 0) {
    throw asn1Malformed('not a BIT STRING of whole octets', element.start);
  }
  return body.subarray(1);
}

/** A named-bit BIT STRING as its set bit numbers. */
export function namedBits(element: Asn1Element): number[] {
  const body = element.body;
  if (element.tag !== TAG.bitString || body.length === 0 || body.length > 5 || body[0]! > 7) {
    throw asn1Malformed('not a named BIT STRING', element.start);
  }
  const bits: number[] = [];
  for (let bit = 0; bit < (body.length - 1) * 8; bit++) {
    if ((body[1 + (bit >> 3)]! & (0x80 >> (bit & 7))) !== 0) bits.push(bit);
  }
  return bits;
}

/** An INTEGER's octets as encoded. X.690 8.3.2 (BER too): never longer than needed. */
export function integerOctets(element: Asn1Element): Buffer {
  const body = element.body;
  const padded = body.length > 1 && ((body[0] === 0 && body[1]! < 0x80) || (body[0] === 0xff && body[1]! >= 0x80));
  if (element.tag !== TAG.integer || body.length === 0 || padded) throw asn1Malformed('not an INTEGER', element.start);
  return body;
}

/** A small non-negative INTEGER: versions, path lengths, salt lengths. */
export function smallInteger(element: Asn1Element): number {
  const body = integerOctets(element);
  if (body.length > 4 || body[0]! >= 0x80) throw asn1Malformed('INTEGER out of range', element.start);
  return body.readUIntBE(0, body.length);
}

export function boolean(element: Asn1Element): boolean {
  if (element.tag !== TAG.boolean || element.body.length !== 1) throw asn1Malformed('not a BOOLEAN', element.start);
  return element.body[0] !== 0;
}

/** Dotted form. Arcs above 2^53 (UUID-based OIDs under 2.25 have 128 bits) go through BigInt, so none collide. */
export function objectIdentifier(element: Asn1Element): string {
  const body = element.body;
  const last = body.length - 1;
  if (element.tag !== TAG.oid || last < 0 || body.length > MAX_OID_OCTETS || body[last]! >= 0x80) {
    throw asn1Malformed('not an OBJECT IDENTIFIER', element.start);
  }
  let dotted = '';
  for (let i = 0; i <= last; i++) {
    if (body[i] === 0x80) throw asn1Malformed('padded OBJECT IDENTIFIER arc', element.start);
    let arc = 0;
    let wide: bigint | undefined;
    for (; body[i]! >= 0x80; i++) {
      arc = arc * 128 + (body[i]! & 0x7f);
      if (wide !== undefined || arc > 2 ** 45)
        wide = wide === undefined ? BigInt(arc) : wide * 128n + BigInt(body[i]! & 0x7f);
    }
    const value = wide === undefined ? arc * 128 + body[i]! : wide * 128n + BigInt(body[i]!);
    if (dotted !== '') dotted += `.${value}`;
    else if (value < 80) dotted = value < 40 ? `0.${value}` : `1.${Number(value) - 40}`;
    else dotted = `2.${typeof value === 'bigint' ? value - 80n : value - 80}`;
  }
  return dotted;
}

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/** RFC 5280 4.1.2.5: seconds always, Zulu always; two-digit years below 50 are 20xx. */
export function time(element: Asn1Element): Date {
  const text = element.body.toString('latin1', 0, 16);
  const utc = element.tag === TAG.utcTime;
  const parts = utc ? UTC_TIME.exec(text) : element.tag === TAG.generalizedTime ? GENERALIZED_TIME.exec(text) : null;
  if (parts === null || element.body.length > 15)
    throw asn1Malformed('not a time in the form RFC 5280 asks for', element.start);
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = new Date(0);
  date.setUTCFullYear(utc ? year + (year < 50 ? 2000 : 1900) : year, month - 1, day);
  date.setUTCHours(hour, minute, second, 0);
  if (date.getUTCDate() !== day || date.getUTCMonth() !== month - 1 || hour > 23 || minute > 59 || second > 59) {
    throw asn1Malformed('no such date', element.start);
  }
  return date;
}

import { EspalierError } from '../core/errors.ts';
import { type Asn1Element, type Asn1Limits, Fields, objectIdentifier, readAsn1, TAG } from './asn1.ts';
import { ia5, isPrintable, oid, printable, seq, set, utf8 } from './der.ts';
import { OID } from './oids.ts';

/** One attribute: a short name of RFC 4514 section 3 (and a few more), or a dotted OID for any other. */
export interface NameAttribute {
  readonly type: string;
  readonly value: string;
}

/** A distinguished name in the order of its encoding. */
export type Name = readonly NameAttribute[];

const MAX_NAME_ATTRIBUTES = 64;

const OID_BY_TYPE: ReadonlyMap<string, string> = new Map([
  ['CN', OID.commonName],
  ['O', OID.organizationName],
  ['OU', OID.organizationalUnitName],
  ['C', OID.countryName],
  ['L', OID.localityName],
  ['ST', OID.stateOrProvinceName],
  ['UID', OID.userId],
  ['DC', OID.domainComponent],
  ['SN', OID.surname],
  ['serialNumber', OID.serialNumber],
  ['emailAddress', OID.emailAddress],
]);
const TYPE_BY_OID: ReadonlyMap<string, string> = new Map([...OID_BY_TYPE].map(([type, dotted]) => [dotted, type]));

/** RFC 5280 appendix A.1 fixes the string type of these; all others are UTF8String. */
function encodeValue(dotted: string, value: string): Buffer {
  if (dotted === OID.countryName || dotted === OID.serialNumber)
    return isPrintable(value) ? printable(value) : utf8(value);
  if (dotted === OID.domainComponent || dotted === OID.emailAddress) return ia5(value);
  return utf8(value);
}

export function encodeName(name: Name): Buffer {
  return seq(
    ...name.map(({ type, value }) => {
      const dotted = OID_BY_TYPE.get(type) ?? type;
      return set(seq(oid(dotted), encodeValue(dotted, value)));
    }),
  );
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeUtf8(body: Buffer, offset: number): string {
  try {
    return UTF8.decode(body);
  } catch {
    throw new EspalierError('asn1_malformed', 'UTF8String is not UTF-8', { place: { offset } });
  }
}

/** Any string type a name, a challenge or a general name may carry; undefined when the element is no string. */
export function decodeString(element: Asn1Element): string | undefined {
  switch (element.tag) {
    case TAG.utf8String:
      return decodeUtf8(element.body, element.start);
    case TAG.printableString:
    case TAG.ia5String:
    case TAG.numericString:
    case TAG.visibleString:
    case TAG.t61String:
      return element.body.toString('latin1');
    case TAG.bmpString: {
      if (element.body.length % 2 !== 0) return undefined;
      return Buffer.from(element.body).swap16().toString('utf16le');
    }
    default:
      return undefined;
  }
}

/** Read a Name from an element already at hand. A value that is no string is shown as `#` and its hex (RFC 4514 2.4). */
export function readName(element: Asn1Element): Name {
  const attributes: NameAttribute[] = [];
  for (const rdn of new Fields(element, TAG.sequence, 'asn1_malformed', 'Name').all()) {
    for (const pair of new Fields(rdn, TAG.set, 'asn1_malformed', 'RelativeDistinguishedName').all()) {
      const fields = new Fields(pair, TAG.sequence, 'asn1_malformed', 'AttributeTypeAndValue');
      const dotted = objectIdentifier(fields.next(TAG.oid));
      const value = fields.next();
      fields.end();
      if (attributes.length === MAX_NAME_ATTRIBUTES) {
        throw new EspalierError('asn1_malformed', `Name with more than ${MAX_NAME_ATTRIBUTES} attributes`);
      }
      attributes.push({
        type: TYPE_BY_OID.get(dotted) ?? dotted,
        value: decodeString(value) ?? `#${value.raw.toString('hex')}`,
      });
    }
  }
  return attributes;
}

export const decodeName = (der: Uint8Array, limits?: Asn1Limits): Name => readName(readAsn1(der, limits));

/** RFC 4514: last attribute first; control characters as hex pairs, so that a name cannot break a log line. */
export function nameToString(name: Name): string {
  return name
    .map(({ type, value }) => `${type}=${escapeValue(value)}`)
    .toReversed()
    .join(',');
}

function escapeValue(value: string): string {
  return value
    .replace(/[\\,+"<>;=]/g, '\\$&')
    .replace(/^[ #]| $/g, '\\$&')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) =>
      [...Buffer.from(character, 'utf8')].map((octet) => `\\${octet.toString(16).padStart(2, '0')}`).join(''),
    );
}

/** The first value of a type, if any. */
export const nameValue = (name: Name, type: string): string | undefined =>
  name.find((attribute) => attribute.type === type)?.value;

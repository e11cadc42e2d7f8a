import { hash, timingSafeEqual } from 'node:crypto';
import { type Asn1Element, Fields, objectIdentifier, readAsn1, TAG } from './asn1.ts';
import { cmsMalformed, signatureInvalid } from './content-info.ts';
import { tlv } from './der.ts';
import { OID } from './oids.ts';
import type { Digest } from './signature-algorithm.ts';

const MAX_ATTRIBUTES = 32;
const MAX_ATTRIBUTE_VALUES = 16;

/** Attribute type → the DER of its values. */
export type SignedAttributes = ReadonlyMap<string, readonly Buffer[]>;

/** RFC 5652 5.4: what is hashed is the DER encoding, also when an indefinite length was sent. */
function definite(element: Asn1Element): Buffer {
  if (!element.constructed) return element.raw;
  return tlv(element.tag, ...element.children.map(definite));
}

const hasIndefinite = (element: Asn1Element): boolean =>
  element.indefinite || (element.constructed && element.children.some(hasIndefinite));

/** The attributes as signed: with the SET OF tag in place of the IMPLICIT [0] (RFC 5652 5.4). */
export function signedAttributesDer(field: Asn1Element): Buffer {
  const der = Buffer.from(hasIndefinite(field) ? definite(field) : field.raw);
  der[0] = TAG.set;
  return der;
}

export function readSignedAttributes(field: Asn1Element): SignedAttributes {
  const attributes = new Map<string, readonly Buffer[]>();
  const items = field.children;
  if (items.length === 0 || items.length > MAX_ATTRIBUTES) throw cmsMalformed('number of signed attributes', field);
  for (const item of items) {
    const fields = new Fields(item, TAG.sequence, 'cms_malformed', 'Attribute');
    const dotted = objectIdentifier(fields.next(TAG.oid));
    const values = new Fields(fields.next(), TAG.set, 'cms_malformed', 'Attribute values').all();
    fields.end();
    if (values.length === 0 || values.length > MAX_ATTRIBUTE_VALUES)
      throw cmsMalformed('number of attribute values', item);
    // RFC 5652 5.3: no two instances of one attribute; readers would disagree on which one counts.
    if (attributes.has(dotted)) throw cmsMalformed(`signed attribute ${dotted} twice`, item);
    attributes.set(
      dotted,
      values.map((value) => value.raw),
    );
  }
  return attributes;
}

function singleValue(attributes: SignedAttributes, dotted: string, name: string): Asn1Element {
  const [value, extra] = attributes.get(dotted) ?? [];
  if (value === undefined || extra !== undefined) throw cmsMalformed(`${name} attribute without exactly one value`);
  return readAsn1(value);
}

/**
 * Without attributes the signature is over the content. Content that itself looks like signed attributes may be
 * another message with its attributes stripped and shown as content, so it proves nothing.
 */
export function looksLikeSignedAttributes(content: Buffer): boolean {
  if (content[0] !== TAG.set) return false;
  try {
    return readAsn1(content).children.every((child) => child.tag === TAG.sequence);
  } catch {
    return false;
  }
}

export function checkSignedAttributes(
  attributes: SignedAttributes,
  contentType: string,
  digestAlgorithm: Digest,
  content: Buffer,
): void {
  // RFC 5652 11.1: without this a signature over one type could be shown as one over another.
  if (objectIdentifier(singleValue(attributes, OID.contentType, 'contentType')) !== contentType) {
    throw signatureInvalid('the contentType attribute is not the type of the content');
  }
  const messageDigest = singleValue(attributes, OID.messageDigest, 'messageDigest');
  if (messageDigest.tag !== TAG.octetString) throw cmsMalformed('messageDigest is not an OCTET STRING');
  const expected = hash(digestAlgorithm, content, 'buffer');
  if (messageDigest.body.length !== expected.length || !timingSafeEqual(messageDigest.body, expected)) {
    throw signatureInvalid('the content is not what was signed');
  }
}

import { EspalierError } from '../core/errors.ts';
import { type Asn1Element, Fields, integerOctets, objectIdentifier, octets, readAsn1, TAG } from './asn1.ts';
import type { Certificate } from './certificate.ts';
import { explicit, oid, seq } from './der.ts';
import { OID } from './oids.ts';

export function cmsMalformed(detail: string, element?: Asn1Element): EspalierError {
  return new EspalierError('cms_malformed', detail, element === undefined ? {} : { place: { offset: element.start } });
}

export function signatureInvalid(detail: string): EspalierError {
  return new EspalierError('cms_signature_invalid', detail);
}

/** RFC 5652 3: the inner element of a ContentInfo of the wanted type. */
export function readContentInfo(element: Asn1Element, contentType: string, what: string): Asn1Element {
  const fields = new Fields(element, TAG.sequence, 'cms_malformed', `ContentInfo of ${what}`);
  const found = objectIdentifier(fields.next(TAG.oid));
  // The wrong type is a shape fault like any other: the walk stops before anything inside is read.
  const content = fields.next(found === contentType ? 0xa0 : -1);
  fields.end();
  return content.only;
}

/** Whether the ContentInfo holds encrypted content (RFC 5652 6, 8); what cannot be read as one does not. */
export function isEncryptedContent(ber: Uint8Array, maxNodes: number): boolean {
  try {
    const fields = new Fields(readAsn1(ber, { maxNodes }), TAG.sequence, 'cms_malformed', 'ContentInfo');
    const type = objectIdentifier(fields.next(TAG.oid));
    return type === OID.envelopedData || type === OID.encryptedData;
  } catch (error) {
    if (error instanceof EspalierError) return false;
    throw error;
  }
}

export const contentInfo = (contentType: string, content: Uint8Array): Buffer =>
  seq(oid(contentType), explicit(0, content));

/** How a signer or a recipient names its certificate (RFC 5652 5.3, 6.2.1). */
export type CertificateReference =
  | { readonly kind: 'issuer-and-serial'; readonly issuerDer: Buffer; readonly serial: string }
  | { readonly kind: 'subject-key-identifier'; readonly subjectKeyId: Buffer };

export function readCertificateReference(fields: Fields): CertificateReference {
  const keyId = fields.optional(0x80, 0xa0);
  if (keyId !== undefined) return { kind: 'subject-key-identifier', subjectKeyId: octets(keyId) };
  const pair = new Fields(fields.next(TAG.sequence), TAG.sequence, 'cms_malformed', 'IssuerAndSerialNumber');
  const issuerDer = pair.next(TAG.sequence).raw;
  const serial = integerOctets(pair.next(TAG.integer)).toString('hex');
  pair.end();
  return { kind: 'issuer-and-serial', issuerDer, serial };
}

export function isReferredTo(reference: CertificateReference, certificate: Certificate): boolean {
  if (reference.kind === 'subject-key-identifier') {
    return certificate.subjectKeyId?.equals(reference.subjectKeyId) ?? false;
  }
  return certificate.serial === reference.serial && certificate.issuerDer.equals(reference.issuerDer);
}

/** The IssuerAndSerialNumber of a certificate. */
export const issuerAndSerial = (certificate: Certificate): Buffer =>
  seq(
    certificate.issuerDer,
    Buffer.from([TAG.integer, certificate.serial.length / 2]),
    Buffer.from(certificate.serial, 'hex'),
  );

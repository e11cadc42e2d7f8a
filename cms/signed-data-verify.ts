import { hash, timingSafeEqual } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import { Asn1Budget, type Asn1Element, Fields, objectIdentifier, octets, readAsn1, smallInteger, TAG } from './asn1.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import type { CertificateCache } from './certificate-cache.ts';
import { isReferredTo, readCertificateReference, readContentInfo } from './content-info.ts';
import { tlv } from './der.ts';
import { OID } from './oids.ts';
import { type Digest, readDigestAlgorithm, readSignatureAlgorithm, verifySignature } from './signature-algorithm.ts';

/** A leaf, its intermediates and a root, twice over. */
export const DEFAULT_MAX_CERTIFICATES = 16;
const MAX_ATTRIBUTES = 32;
const MAX_ATTRIBUTE_VALUES = 16;
/** RFC 5652 5.1: 1, 3, 4 and 5 exist. */
const MAX_VERSION = 5;

export interface VerifyOptions {
  /** The content the signature is about when it is not inside: an HTTP body. */
  readonly detachedContent?: Uint8Array;
  /** Only where old SCEP clients must be served. */
  readonly allowSha1?: boolean;
  readonly maxCertificates?: number;
  /** A signed profile of 32 MB in 1 KB segments needs more than the default. */
  readonly maxNodes?: number;
  readonly cache?: CertificateCache;
  /** For callers who count the work; takes the place of `maxNodes`. */
  readonly budget?: Asn1Budget;
}

export interface VerifiedSignedData {
  readonly content: Buffer;
  readonly contentType: string;
  readonly signer: Certificate;
  /** All certificates in the message, in its order. */
  readonly certificates: readonly Certificate[];
  /** Attribute type → the DER of its values. Empty when the signature is over the content itself. */
  readonly signedAttributes: ReadonlyMap<string, readonly Buffer[]>;
  readonly digestAlgorithm: Digest;
}

function malformed(detail: string, element?: Asn1Element): EspalierError {
  return new EspalierError('cms_malformed', detail, element === undefined ? {} : { place: { offset: element.start } });
}

function invalid(detail: string): EspalierError {
  return new EspalierError('cms_signature_invalid', detail);
}

interface SignedDataParts {
  readonly contentType: string;
  readonly eContent: Buffer | undefined;
  readonly certificates: readonly Certificate[];
  readonly signerInfos: readonly Asn1Element[];
}

function readSignedData(ber: Uint8Array, budget: Asn1Budget, options: VerifyOptions): SignedDataParts {
  const signedData = readContentInfo(readAsn1(ber, budget), OID.signedData, 'SignedData');
  const fields = new Fields(signedData, TAG.sequence, 'cms_malformed', 'SignedData');
  const version = fields.next(TAG.integer);
  if (smallInteger(version) > MAX_VERSION) throw malformed('unknown SignedData version', version);
  fields.next(TAG.set);
  const encapsulated = new Fields(fields.next(), TAG.sequence, 'cms_malformed', 'EncapsulatedContentInfo');
  const contentType = objectIdentifier(encapsulated.next(TAG.oid));
  const eContent = encapsulated.optional(0xa0)?.only;
  encapsulated.end();
  if (eContent !== undefined && (eContent.tag & ~0x20) !== TAG.octetString) {
    throw malformed('eContent is not an OCTET STRING', eContent);
  }
  const certificateSet = fields.optional(0xa0)?.children ?? [];
  fields.optional(0xa1);
  const signerInfos = new Fields(fields.next(), TAG.set, 'cms_malformed', 'SignerInfos').all();
  fields.end();

  const maxCertificates = options.maxCertificates ?? DEFAULT_MAX_CERTIFICATES;
  if (certificateSet.length > maxCertificates) throw malformed(`more than ${maxCertificates} certificates`);
  const read = options.cache?.get ?? parseCertificate;
  return {
    contentType,
    eContent: eContent === undefined ? undefined : octets(eContent),
    // RFC 5652 10.2.2: the other choices (attribute certificates, PKCS#6) are obsolete and name no signer.
    certificates: certificateSet.filter((choice) => choice.tag === TAG.sequence).map((choice) => read(choice.raw)),
    signerInfos,
  };
}

/** A certificates-only message: GetCACert, an issued certificate in a CertRep. Signatures are not looked at. */
export function readCertificates(
  ber: Uint8Array,
  options: Pick<VerifyOptions, 'maxCertificates' | 'cache'> = {},
): Certificate[] {
  return [...readSignedData(ber, new Asn1Budget(), options).certificates];
}

/**
 * SIG-06: a signature meant to cover the request body may also bring content along. Accepting another content than the
 * body would let a signature over anything vouch for it.
 */
function chooseContent(embedded: Buffer | undefined, detached: Uint8Array | undefined): Buffer {
  if (detached === undefined) {
    if (embedded === undefined) throw malformed('the message has no content and none was given beside it');
    return embedded;
  }
  const content = Buffer.isBuffer(detached)
    ? detached
    : Buffer.from(detached.buffer, detached.byteOffset, detached.byteLength);
  if (embedded !== undefined && !embedded.equals(content)) {
    throw invalid('the content inside the message is not the content it should sign');
  }
  return content;
}

function findSigner(certificates: readonly Certificate[], reference: Parameters<typeof isReferredTo>[0]): Certificate {
  let signer: Certificate | undefined;
  for (const certificate of certificates) {
    if (!isReferredTo(reference, certificate)) continue;
    // Two different certificates under one name: whichever is taken, somebody expects the other.
    if (signer !== undefined && signer.sha256 !== certificate.sha256) throw malformed('the signer is ambiguous');
    signer = certificate;
  }
  if (signer === undefined) throw malformed("the signer's certificate is not in the message");
  return signer;
}

/** RFC 5652 5.4: what is hashed is the DER encoding, also when an indefinite length was sent. */
function definite(element: Asn1Element): Buffer {
  if (!element.constructed) return element.raw;
  return tlv(element.tag, ...element.children.map(definite));
}

const hasIndefinite = (element: Asn1Element): boolean =>
  element.indefinite || (element.constructed && element.children.some(hasIndefinite));

/** The attributes as signed: with the SET OF tag in place of the IMPLICIT [0] (RFC 5652 5.4). */
function signedAttributesDer(field: Asn1Element): Buffer {
  const der = Buffer.from(hasIndefinite(field) ? definite(field) : field.raw);
  der[0] = TAG.set;
  return der;
}

function readAttributes(field: Asn1Element): ReadonlyMap<string, readonly Buffer[]> {
  const attributes = new Map<string, readonly Buffer[]>();
  const items = field.children;
  if (items.length === 0 || items.length > MAX_ATTRIBUTES) throw malformed('number of signed attributes', field);
  for (const item of items) {
    const fields = new Fields(item, TAG.sequence, 'cms_malformed', 'Attribute');
    const dotted = objectIdentifier(fields.next(TAG.oid));
    const values = new Fields(fields.next(), TAG.set, 'cms_malformed', 'Attribute values').all();
    fields.end();
    if (values.length === 0 || values.length > MAX_ATTRIBUTE_VALUES)
      throw malformed('number of attribute values', item);
    // RFC 5652 5.3: no two instances of one attribute; readers would disagree on which one counts.
    if (attributes.has(dotted)) throw malformed(`signed attribute ${dotted} twice`, item);
    attributes.set(
      dotted,
      values.map((value) => value.raw),
    );
  }
  return attributes;
}

function singleValue(attributes: ReadonlyMap<string, readonly Buffer[]>, dotted: string, name: string): Asn1Element {
  const [value, extra] = attributes.get(dotted) ?? [];
  if (value === undefined || extra !== undefined) throw malformed(`${name} attribute without exactly one value`);
  return readAsn1(value);
}

/**
 * Without attributes the signature is over the content. Content that itself looks like signed attributes may be
 * another message with its attributes stripped and shown as content, so it proves nothing.
 */
function looksLikeSignedAttributes(content: Buffer): boolean {
  if (content[0] !== TAG.set) return false;
  try {
    return readAsn1(content).children.every((child) => child.tag === TAG.sequence);
  } catch {
    return false;
  }
}

export function verifySignedData(ber: Uint8Array, options: VerifyOptions = {}): VerifiedSignedData {
  const budget = options.budget ?? new Asn1Budget(options.maxNodes === undefined ? {} : { maxNodes: options.maxNodes });
  const parts = readSignedData(ber, budget, options);
  const [signerInfo, another] = parts.signerInfos;
  if (signerInfo === undefined) throw malformed('nobody signed the message');
  if (another !== undefined) throw malformed('more than one signer');

  const fields = new Fields(signerInfo, TAG.sequence, 'cms_malformed', 'SignerInfo');
  const version = fields.next(TAG.integer);
  if (smallInteger(version) > MAX_VERSION) throw malformed('unknown SignerInfo version', version);
  const reference = readCertificateReference(fields);
  const digestAlgorithm = readDigestAlgorithm(fields.next(TAG.sequence));
  const attributesField = fields.optional(0xa0);
  const scheme = readSignatureAlgorithm(fields.next(TAG.sequence));
  const signature = octets(fields.next(TAG.octetString));
  fields.optional(0xa1);
  fields.end();

  if (digestAlgorithm === 'sha1' && options.allowSha1 !== true) {
    throw new EspalierError('cms_algorithm_refused', 'SHA-1 signatures are not accepted here');
  }
  // RFC 8933: content and attributes under the same digest, else the weaker of the two decides.
  if (scheme.digest !== undefined && scheme.digest !== digestAlgorithm) {
    throw new EspalierError('cms_algorithm_refused', 'two different digest algorithms in one signature');
  }

  const signer = findSigner(parts.certificates, reference);
  const content = chooseContent(parts.eContent, options.detachedContent);
  let signedAttributes: ReadonlyMap<string, readonly Buffer[]> = new Map();
  let signedBytes: Buffer = content;
  if (attributesField !== undefined) {
    signedAttributes = readAttributes(attributesField);
    checkAttributes(signedAttributes, parts.contentType, digestAlgorithm, content);
    signedBytes = signedAttributesDer(attributesField);
  } else if (parts.contentType !== OID.data) {
    // RFC 5652 5.3: attributes MUST be present then; the type would be unsigned otherwise.
    throw malformed('content of another type than data signed without attributes');
  } else if (looksLikeSignedAttributes(content)) {
    throw invalid('the signed content is a set of attributes');
  }

  if (!verifySignature(scheme, digestAlgorithm, signer.publicKey(), signedBytes, signature)) {
    throw invalid('the signature does not fit the content');
  }
  options.cache?.add(signer);
  return {
    content,
    contentType: parts.contentType,
    signer,
    certificates: parts.certificates,
    signedAttributes,
    digestAlgorithm,
  };
}

function checkAttributes(
  attributes: ReadonlyMap<string, readonly Buffer[]>,
  contentType: string,
  digestAlgorithm: Digest,
  content: Buffer,
): void {
  // RFC 5652 11.1: without this a signature over one type could be shown as one over another.
  if (objectIdentifier(singleValue(attributes, OID.contentType, 'contentType')) !== contentType) {
    throw invalid('the contentType attribute is not the type of the content');
  }
  const messageDigest = singleValue(attributes, OID.messageDigest, 'messageDigest');
  if (messageDigest.tag !== TAG.octetString) throw malformed('messageDigest is not an OCTET STRING');
  const expected = hash(digestAlgorithm, content, 'buffer');
  if (messageDigest.body.length !== expected.length || !timingSafeEqual(messageDigest.body, expected)) {
    throw invalid('the content is not what was signed');
  }
}

import { EspalierError } from '../core/errors.ts';
import { Asn1Budget, type Asn1Element, Fields, objectIdentifier, octets, readAsn1, smallInteger, TAG } from './asn1.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import type { CertificateCache } from './certificate-cache.ts';
import {
  cmsMalformed,
  isReferredTo,
  readCertificateReference,
  readContentInfo,
  signatureInvalid,
} from './content-info.ts';
import { OID } from './oids.ts';
import { type Digest, readDigestAlgorithm, readSignatureAlgorithm, verifySignature } from './signature-algorithm.ts';
import {
  checkSignedAttributes,
  looksLikeSignedAttributes,
  readSignedAttributes,
  type SignedAttributes,
  signedAttributesDer,
} from './signed-attributes.ts';

/** A leaf, its intermediates and a root, twice over. */
export const DEFAULT_MAX_CERTIFICATES = 16;
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
  readonly signedAttributes: SignedAttributes;
  readonly digestAlgorithm: Digest;
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
  if (smallInteger(version) > MAX_VERSION) throw cmsMalformed('unknown SignedData version', version);
  fields.next(TAG.set);
  const encapsulated = new Fields(fields.next(), TAG.sequence, 'cms_malformed', 'EncapsulatedContentInfo');
  const contentType = objectIdentifier(encapsulated.next(TAG.oid));
  const eContent = encapsulated.optional(0xa0)?.only;
  encapsulated.end();
  if (eContent !== undefined && (eContent.tag & ~0x20) !== TAG.octetString) {
    throw cmsMalformed('eContent is not an OCTET STRING', eContent);
  }
  const certificateSet = fields.optional(0xa0)?.children ?? [];
  fields.optional(0xa1);
  const signerInfos = new Fields(fields.next(), TAG.set, 'cms_malformed', 'SignerInfos').all();
  fields.end();

  const maxCertificates = options.maxCertificates ?? DEFAULT_MAX_CERTIFICATES;
  if (certificateSet.length > maxCertificates) throw cmsMalformed(`more than ${maxCertificates} certificates`);
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
    if (embedded === undefined) throw cmsMalformed('the message has no content and none was given beside it');
    return embedded;
  }
  const content = Buffer.isBuffer(detached)
    ? detached
    : Buffer.from(detached.buffer, detached.byteOffset, detached.byteLength);
  if (embedded !== undefined && !embedded.equals(content)) {
    throw signatureInvalid('the content inside the message is not the content it should sign');
  }
  return content;
}

function findSigner(certificates: readonly Certificate[], reference: Parameters<typeof isReferredTo>[0]): Certificate {
  let signer: Certificate | undefined;
  for (const certificate of certificates) {
    if (!isReferredTo(reference, certificate)) continue;
    // Two different certificates under one name: whichever is taken, somebody expects the other.
    if (signer !== undefined && signer.sha256 !== certificate.sha256) throw cmsMalformed('the signer is ambiguous');
    signer = certificate;
  }
  if (signer === undefined) throw cmsMalformed("the signer's certificate is not in the message");
  return signer;
}

export function verifySignedData(ber: Uint8Array, options: VerifyOptions = {}): VerifiedSignedData {
  const budget = options.budget ?? new Asn1Budget(options.maxNodes === undefined ? {} : { maxNodes: options.maxNodes });
  const parts = readSignedData(ber, budget, options);
  const [signerInfo, another] = parts.signerInfos;
  if (signerInfo === undefined) throw cmsMalformed('nobody signed the message');
  if (another !== undefined) throw cmsMalformed('more than one signer');

  const fields = new Fields(signerInfo, TAG.sequence, 'cms_malformed', 'SignerInfo');
  const version = fields.next(TAG.integer);
  if (smallInteger(version) > MAX_VERSION) throw cmsMalformed('unknown SignerInfo version', version);
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
  let signedAttributes: SignedAttributes = new Map();
  let signedBytes: Buffer = content;
  if (attributesField !== undefined) {
    signedAttributes = readSignedAttributes(attributesField);
    checkSignedAttributes(signedAttributes, parts.contentType, digestAlgorithm, content);
    signedBytes = signedAttributesDer(attributesField);
  } else if (parts.contentType !== OID.data) {
    // RFC 5652 5.3: attributes MUST be present then; the type would be unsigned otherwise.
    throw cmsMalformed('content of another type than data signed without attributes');
  } else if (looksLikeSignedAttributes(content)) {
    throw signatureInvalid('the signed content is a set of attributes');
  }

  if (!verifySignature(scheme, digestAlgorithm, signer.publicKey(), signedBytes, signature)) {
    throw signatureInvalid('the signature does not fit the content');
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

import { constants, type KeyObject, sign, verify } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import { type Asn1Element, Fields, objectIdentifier, smallInteger, TAG } from './asn1.ts';
import { nul, oid, seq } from './der.ts';
import { OID } from './oids.ts';

export type Digest = 'sha1' | 'sha256' | 'sha384' | 'sha512';

const DIGEST_BY_OID: ReadonlyMap<string, Digest> = new Map([
  [OID.sha1, 'sha1'],
  [OID.sha256, 'sha256'],
  [OID.sha384, 'sha384'],
  [OID.sha512, 'sha512'],
]);

/** RFC 8017 A.2.3, RFC 5754: how a signature was made. No digest means the message says it elsewhere. */
export interface SignatureScheme {
  readonly kind: 'rsa' | 'rsa-pss' | 'ecdsa';
  readonly digest: Digest | undefined;
  readonly saltLength?: number;
}

const SCHEME_BY_OID: ReadonlyMap<string, SignatureScheme> = new Map([
  [OID.rsaEncryption, { kind: 'rsa', digest: undefined }],
  [OID.sha1WithRSA, { kind: 'rsa', digest: 'sha1' }],
  [OID.sha256WithRSA, { kind: 'rsa', digest: 'sha256' }],
  [OID.sha384WithRSA, { kind: 'rsa', digest: 'sha384' }],
  [OID.sha512WithRSA, { kind: 'rsa', digest: 'sha512' }],
  // Some signers name the key's type where RFC 5753 wants the algorithm; the digest field says the rest.
  [OID.ecPublicKey, { kind: 'ecdsa', digest: undefined }],
  [OID.ecdsaWithSHA1, { kind: 'ecdsa', digest: 'sha1' }],
  [OID.ecdsaWithSHA256, { kind: 'ecdsa', digest: 'sha256' }],
  [OID.ecdsaWithSHA384, { kind: 'ecdsa', digest: 'sha384' }],
  [OID.ecdsaWithSHA512, { kind: 'ecdsa', digest: 'sha512' }],
]);

/** RFC 8017 8.1: a longer salt than the largest digest here serves nobody. */
const MAX_SALT_LENGTH = 64;
function refused(detail: string): EspalierError {
  return new EspalierError('cms_algorithm_refused', detail);
}

export function readDigestAlgorithm(element: Asn1Element): Digest {
  const fields = new Fields(element, TAG.sequence, 'cms_malformed', 'AlgorithmIdentifier');
  const dotted = objectIdentifier(fields.next(TAG.oid));
  const parameters = fields.optional(TAG.null);
  fields.end();
  if (parameters !== undefined && parameters.body.length !== 0) throw refused('digest algorithm with parameters');
  const digest = DIGEST_BY_OID.get(dotted);
  if (digest === undefined) throw refused(`digest algorithm ${dotted} is not accepted`);
  return digest;
}

export function readSignatureAlgorithm(element: Asn1Element): SignatureScheme {
  const fields = new Fields(element, TAG.sequence, 'cms_malformed', 'AlgorithmIdentifier');
  const dotted = objectIdentifier(fields.next(TAG.oid));
  if (dotted === OID.rsassaPss) {
    const scheme = readPssParameters(fields.next(TAG.sequence));
    fields.end();
    return scheme;
  }
  const scheme = SCHEME_BY_OID.get(dotted);
  if (scheme === undefined) throw refused(`signature algorithm ${dotted} is not accepted`);
  // RFC 3370 3.2 NULL, RFC 5758 3.2 nothing; both forms are met with both.
  const parameters = fields.optional(TAG.null);
  fields.end();
  if (parameters !== undefined && parameters.body.length !== 0) throw refused('signature algorithm with parameters');
  return scheme;
}

/** RFC 4055 3.1. MGF1 over another digest than the message's is allowed there, but nobody makes it. */
function readPssParameters(element: Asn1Element): SignatureScheme {
  const fields = new Fields(element, TAG.sequence, 'cms_malformed', 'RSASSA-PSS-params');
  const hash = fields.optional(0xa0);
  const maskGeneration = fields.optional(0xa1);
  const salt = fields.optional(0xa2);
  const trailer = fields.optional(0xa3);
  fields.end();
  const digest = hash === undefined ? 'sha1' : readDigestAlgorithm(hash.only);
  const saltLength = salt === undefined ? 20 : smallInteger(salt.only);
  if (readMaskDigest(maskGeneration) !== digest || saltLength > MAX_SALT_LENGTH) throw refused('RSASSA-PSS parameters');
  if (trailer !== undefined && smallInteger(trailer.only) !== 1) throw refused('RSASSA-PSS trailer');
  return { kind: 'rsa-pss', digest, saltLength };
}

/** The digest of an EXPLICIT maskGenAlgorithm, of PSS and OAEP alike; absent means MGF1 with SHA-1. */
export function readMaskDigest(element: Asn1Element | undefined): Digest {
  if (element === undefined) return 'sha1';
  const fields = new Fields(element.only, TAG.sequence, 'cms_malformed', 'MaskGenAlgorithm');
  if (objectIdentifier(fields.next(TAG.oid)) !== OID.mgf1) throw refused('mask generation other than MGF1');
  const digest = readDigestAlgorithm(fields.next(TAG.sequence));
  fields.end();
  return digest;
}

/** The key's type must be the algorithm's: else a key could be used under rules it was not made for. */
export function verifySignature(
  scheme: SignatureScheme,
  digest: Digest,
  key: KeyObject,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const type = key.asymmetricKeyType;
  const fits = type === KEY_TYPE[scheme.kind] || (scheme.kind === 'rsa-pss' && type === 'rsa');
  if (!fits) return false;
  const saltLength = scheme.saltLength;
  const verifier = saltLength === undefined ? key : { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
  try {
    return verify(digest, data, verifier, signature);
  } catch {
    // OpenSSL throws where parameters and key do not fit together: a salt longer than the modulus, a restricted PSS key.
    return false;
  }
}

const KEY_TYPE = { rsa: 'rsa', 'rsa-pss': 'rsa-pss', ecdsa: 'ec' } as const;

export type SignatureAlgorithmName = 'sha256WithRSA' | 'ecdsaWithSHA256';

/** RFC 4055 5 wants NULL parameters for RSA, RFC 5758 3.2 none for ECDSA. */
export function signatureAlgorithmDer(name: SignatureAlgorithmName): Buffer {
  return name === 'sha256WithRSA' ? seq(oid(OID.sha256WithRSA), nul()) : seq(oid(OID.ecdsaWithSHA256));
}

export function signatureAlgorithmFor(key: KeyObject): SignatureAlgorithmName {
  if (key.asymmetricKeyType === 'rsa') return 'sha256WithRSA';
  if (key.asymmetricKeyType === 'ec') return 'ecdsaWithSHA256';
  throw refused(`cannot sign with a key of type ${key.asymmetricKeyType}`);
}

export const signSha256 = (data: Uint8Array, key: KeyObject): Buffer => sign('sha256', data, key);

import { hash, type KeyObject, sign } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import { parseCertificate } from './certificate.ts';
import { contentInfo, issuerAndSerial } from './content-info.ts';
import { explicit, implicitConstructed, int, nul, octetString, oid, seq, set, time } from './der.ts';
import { OID } from './oids.ts';
import type { Digest } from './signature-algorithm.ts';

/** SHA-1 is for answering clients that know nothing else; nothing chooses it by itself. */
export type SigningDigest = Digest;

export interface SignedAttribute {
  readonly oid: string;
  /** The DER of the attribute's one value. */
  readonly value: Uint8Array;
}

export interface SignedDataInput {
  readonly content: Uint8Array;
  /** Leave the content out of the message. */
  readonly detached?: boolean;
  readonly signer: { readonly certificateDer: Uint8Array; readonly key: KeyObject };
  /** Beside the signer's own, which is always included first. */
  readonly certificates?: readonly Uint8Array[];
  readonly extraSignedAttributes?: readonly SignedAttribute[];
  /** Default true. */
  readonly signedAttributes?: boolean;
  readonly digest?: SigningDigest;
  readonly signingTime?: Date;
  readonly contentType?: string;
}

const DIGEST_ALGORITHM: Readonly<Record<SigningDigest, Buffer>> = {
  sha1: seq(oid(OID.sha1), nul()),
  // RFC 5754 2: generated without parameters.
  sha256: seq(oid(OID.sha256)),
  sha384: seq(oid(OID.sha384)),
  sha512: seq(oid(OID.sha512)),
};

const ECDSA: Readonly<Record<SigningDigest, string>> = {
  sha1: OID.ecdsaWithSHA1,
  sha256: OID.ecdsaWithSHA256,
  sha384: OID.ecdsaWithSHA384,
  sha512: OID.ecdsaWithSHA512,
};

function signatureAlgorithm(key: KeyObject, digest: SigningDigest): Buffer {
  // RFC 3370 3.2: rsaEncryption is what every implementation accepts, and what openssl and Apple write.
  if (key.asymmetricKeyType === 'rsa') return seq(oid(OID.rsaEncryption), nul());
  if (key.asymmetricKeyType === 'ec') return seq(oid(ECDSA[digest]));
  throw new EspalierError('cms_algorithm_refused', `cannot sign with a key of type ${key.asymmetricKeyType}`);
}

function attributeSet(input: SignedDataInput, contentType: string, digest: SigningDigest): Buffer {
  const attribute = (type: string, value: Uint8Array): Buffer => seq(oid(type), set(value));
  const types = [
    OID.contentType,
    OID.messageDigest,
    OID.signingTime,
    ...(input.extraSignedAttributes ?? []).map((extra) => extra.oid),
  ];
  if (new Set(types).size !== types.length) throw new EspalierError('cms_malformed', 'a signed attribute twice');
  return set(
    attribute(OID.contentType, oid(contentType)),
    attribute(OID.messageDigest, octetString(hash(digest, input.content, 'buffer'))),
    ...(input.signingTime === undefined ? [] : [attribute(OID.signingTime, time(input.signingTime))]),
    ...(input.extraSignedAttributes ?? []).map((extra) => attribute(extra.oid, extra.value)),
  );
}

/** What to sign, and how to finish: for callers who sign on another thread. */
export interface PreparedSignedData {
  readonly toBeSigned: Buffer;
  readonly digest: SigningDigest;
  finish(signature: Uint8Array): Buffer;
}

export function prepareSignedData(input: SignedDataInput): PreparedSignedData {
  const digest = input.digest ?? 'sha256';
  const contentType = input.contentType ?? OID.data;
  const withAttributes = input.signedAttributes ?? true;
  if (
    !withAttributes &&
    (input.extraSignedAttributes !== undefined || input.signingTime !== undefined || contentType !== OID.data)
  ) {
    throw new EspalierError('cms_malformed', 'signed attributes left out and asked for at once');
  }
  const attributes = withAttributes ? attributeSet(input, contentType, digest) : undefined;

  const finish = (signature: Uint8Array): Buffer => {
    const certificates = [input.signer.certificateDer, ...(input.certificates ?? [])];
    const distinct = certificates.filter(
      (der, i) => certificates.findIndex((other) => Buffer.compare(der, other) === 0) === i,
    );
    const signerInfo = seq(
      int(1),
      issuerAndSerial(parseCertificate(input.signer.certificateDer)),
      DIGEST_ALGORITHM[digest],
      ...(attributes === undefined ? [] : [retag(attributes)]),
      signatureAlgorithm(input.signer.key, digest),
      octetString(signature),
    );
    return contentInfo(
      OID.signedData,
      seq(
        // RFC 5652 5.1.
        int(contentType === OID.data ? 1 : 3),
        set(DIGEST_ALGORITHM[digest]),
        seq(oid(contentType), ...(input.detached === true ? [] : [explicit(0, octetString(input.content))])),
        implicitConstructed(0, ...distinct),
        set(signerInfo),
      ),
    );
  };
  return { toBeSigned: attributes ?? Buffer.from(input.content), digest, finish };
}

/** The SET OF that was hashed, as the IMPLICIT [0] that is sent. */
function retag(attributes: Buffer): Buffer {
  const sent = Buffer.from(attributes);
  sent[0] = 0xa0;
  return sent;
}

export function buildSignedData(input: SignedDataInput): Buffer {
  const prepared = prepareSignedData(input);
  return prepared.finish(sign(prepared.digest, prepared.toBeSigned, input.signer.key));
}

/**
 * A certificates-only SignedData (RFC 8894 3.4, RFC 5652 5.2). The order is kept although a SET OF has none in DER:
 * SCEP clients take the first certificate as theirs.
 */
export function buildDegenerate(certificates: readonly Uint8Array[]): Buffer {
  return contentInfo(
    OID.signedData,
    seq(int(1), set(), seq(oid(OID.data)), implicitConstructed(0, ...certificates), set()),
  );
}

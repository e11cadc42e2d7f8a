import { type Asn1Element, Fields, readAsn1, TAG } from '../cms/asn1.ts';
import { octetString, printable, seq } from '../cms/der.ts';
import { decryptEnvelopedData, encryptEnvelopedData } from '../cms/enveloped-data.ts';
import { decodeString, encodeName, type Name } from '../cms/names.ts';
import { OID } from '../cms/oids.ts';
import { buildCertificationRequest } from '../cms/pkcs10.ts';
import { buildSignedData, readCertificates, type VerifiedSignedData, verifySignedData } from '../cms/signed-data.ts';
import {
  buildTbsCertificate,
  type Certificate,
  type KeyUsage,
  parseCertificate,
  signCertificate,
} from '../cms/x509.ts';
import type { KeyPair } from './key-pool.ts';
import { readOr, refusal } from './refusal.ts';

/** RFC 8894 3.2.1.2. */
const MESSAGE_TYPE = { certRep: '3', pkcsReq: '19', certPoll: '20' } as const;

export type RequestCipher = 'aes128-cbc' | 'des-ede3-cbc';

/** One enrolment at one CA: what all its messages have in common. */
export interface ScepTransaction {
  readonly transactionId: string;
  readonly subject: Name;
  readonly keyPair: KeyPair;
  /** Over the same key; signs the requests and receives the answers (RFC 8894 2.3). */
  readonly selfSigned: Certificate;
  /** Who the envelope is for. */
  readonly recipient: Certificate;
  readonly cipher: RequestCipher;
  readonly random: (octets: number) => Buffer;
}

const YEAR = 365 * 24 * 60 * 60 * 1000;
const KEY_USAGES: ReadonlyMap<number, readonly KeyUsage[]> = new Map([
  [1, ['digitalSignature']],
  [4, ['keyEncipherment']],
  [5, ['digitalSignature', 'keyEncipherment']],
]);

export function selfSign(subject: Name, keyPair: KeyPair, serial: Uint8Array, now: Date): Certificate {
  const tbs = buildTbsCertificate({
    serial,
    issuer: encodeName(subject),
    subject,
    notBefore: new Date(now.getTime() - 60_000),
    notAfter: new Date(now.getTime() + YEAR),
    spkiDer: keyPair.publicKey.export({ format: 'der', type: 'spki' }),
    extensions: { keyUsage: ['digitalSignature', 'keyEncipherment'] },
    signatureAlgorithm: 'sha256WithRSA',
  });
  return parseCertificate(signCertificate(tbs, keyPair.privateKey));
}

export function buildPkcsReq(
  scep: ScepTransaction,
  request: { readonly challenge: string | undefined; readonly keyUsage: number },
  senderNonce: Buffer,
): Buffer {
  const keyUsage = KEY_USAGES.get(request.keyUsage);
  const csr = buildCertificationRequest({
    subject: scep.subject,
    keyPair: scep.keyPair,
    ...(request.challenge === undefined ? {} : { challengePassword: request.challenge }),
    ...(keyUsage === undefined ? {} : { extensions: { keyUsage } }),
  });
  return buildPkiMessage(scep, MESSAGE_TYPE.pkcsReq, csr, senderNonce);
}

/** RFC 8894 3.3.3: IssuerAndSubject, for a request that waits for a decision. */
export function buildCertPoll(scep: ScepTransaction, issuer: Certificate, senderNonce: Buffer): Buffer {
  const content = seq(issuer.subjectDer, encodeName(scep.subject));
  return buildPkiMessage(scep, MESSAGE_TYPE.certPoll, content, senderNonce);
}

function buildPkiMessage(scep: ScepTransaction, messageType: string, content: Buffer, senderNonce: Buffer): Buffer {
  const envelope = encryptEnvelopedData({
    content,
    recipientCertificateDer: scep.recipient.der,
    cipher: scep.cipher,
    random: scep.random,
  });
  return buildSignedData({
    content: envelope,
    signer: { certificateDer: scep.selfSigned.der, key: scep.keyPair.privateKey },
    digest: 'sha256',
    extraSignedAttributes: [
      { oid: OID.scepMessageType, value: printable(messageType) },
      { oid: OID.scepTransactionId, value: printable(scep.transactionId) },
      { oid: OID.scepSenderNonce, value: octetString(senderNonce) },
    ],
  });
}

export type CertRep =
  | { readonly status: 'success'; readonly certificates: readonly Certificate[] }
  | { readonly status: 'pending' }
  | { readonly status: 'failure'; readonly failInfo: string };

const invalid = (rule: string, why: string, cause?: unknown) =>
  refusal(rule, 'MCSCEP', 22013, `The SCEP server's answer is not valid: ${why}`, cause);

/** `signers`: what GetCACert named. Everything a Mac checks before it looks at the certificate itself. */
export function readCertRep(
  bytes: Uint8Array,
  scep: ScepTransaction,
  senderNonce: Buffer,
  signers: readonly Certificate[],
): CertRep {
  requireSortedAttributes(bytes);
  const message = readOr(
    () => verifySignedData(bytes),
    (detail, cause) => invalid('MAC-33', detail, cause),
  );
  if (!signers.some((certificate) => certificate.sha256 === message.signer.sha256)) {
    throw invalid('MAC-33', 'it is signed by none of the certificates GetCACert named');
  }
  if (stringAttribute(message, OID.scepMessageType) !== MESSAGE_TYPE.certRep) {
    throw invalid('MAC-34', 'its messageType is not CertRep');
  }
  if (stringAttribute(message, OID.scepTransactionId) !== scep.transactionId) {
    throw invalid('MAC-34', 'its transactionID is not that of the request');
  }
  if (octetAttribute(message, OID.scepRecipientNonce)?.equals(senderNonce) !== true) {
    throw invalid('MAC-34', "its recipientNonce is not the request's senderNonce");
  }
  switch (stringAttribute(message, OID.scepPkiStatus)) {
    case '0':
      return { status: 'success', certificates: openEnvelope(message.content, scep) };
    case '2':
      return { status: 'failure', failInfo: stringAttribute(message, OID.scepFailInfo) ?? 'none' };
    case '3':
      return { status: 'pending' };
    default:
      throw invalid('MAC-34', 'its pkiStatus is unknown');
  }
}

/** A Mac opens AES and triple DES; single DES was left behind with SHA-1 (SCE-15). */
function openEnvelope(content: Buffer, scep: ScepTransaction): Certificate[] {
  const opened = readOr(
    () =>
      decryptEnvelopedData(content, {
        recipients: [{ certificate: scep.selfSigned, key: scep.keyPair.privateKey }],
        allowTripleDes: true,
      }),
    (detail, cause) => invalid('MAC-36', detail, cause),
  );
  return readOr(
    () => readCertificates(opened.content),
    (detail, cause) => invalid('MAC-37', `the issued certificate cannot be read: ${detail}`, cause),
  );
}

/**
 * SCE-07: a verifier re-encodes the attributes as a DER SET OF before it hashes them, so an unsorted set has another
 * digest for it than for who signed. This is looked at before the signature, which our own reader would let pass.
 */
function requireSortedAttributes(bytes: Uint8Array): void {
  const attributes = readOr(
    () => signedAttributesOf(bytes),
    (detail, cause) => invalid('MAC-33', detail, cause),
  );
  const encodings = attributes.children.map((attribute) => attribute.raw);
  const sorted = encodings.toSorted(Buffer.compare);
  if (attributes.indefinite || encodings.some((encoding, index) => !encoding.equals(sorted[index] ?? encoding))) {
    throw invalid('MAC-35', 'its signed attributes are not a DER SET OF');
  }
}

function signedAttributesOf(bytes: Uint8Array): Asn1Element {
  const fields = (element: Asn1Element, what: string) => new Fields(element, TAG.sequence, 'cms_malformed', what);
  const contentInfo = fields(readAsn1(bytes), 'ContentInfo');
  contentInfo.next(TAG.oid);
  const signerInfos = fields(contentInfo.next(0xa0).only, 'SignedData').all().at(-1);
  if (signerInfos?.tag !== TAG.set) throw invalid('MAC-33', 'nobody signed it');
  const signerInfo = fields(signerInfos.only, 'SignerInfo');
  signerInfo.next(TAG.integer);
  signerInfo.next();
  signerInfo.next(TAG.sequence);
  return signerInfo.next(0xa0);
}

function octetAttribute(message: VerifiedSignedData, type: string): Buffer | undefined {
  const [value] = message.signedAttributes.get(type) ?? [];
  return value === undefined ? undefined : readAsn1(value).body;
}

function stringAttribute(message: VerifiedSignedData, type: string): string | undefined {
  const [value] = message.signedAttributes.get(type) ?? [];
  return value === undefined ? undefined : decodeString(readAsn1(value));
}

/** RFC 8894 3.2.1.4. */
export const FAIL_INFO: ReadonlyMap<string, string> = new Map([
  ['0', 'badAlg'],
  ['1', 'badMessageCheck'],
  ['2', 'badRequest'],
  ['3', 'badTime'],
  ['4', 'badCertId'],
]);

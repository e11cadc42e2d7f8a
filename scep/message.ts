import type { KeyObject } from 'node:crypto';
import { readAsn1, TAG } from '../cms/asn1.ts';
import { type ContentCipher, decryptEnvelopedData } from '../cms/enveloped-data.ts';
import { decodeString } from '../cms/names.ts';
import { OID } from '../cms/oids.ts';
import { type CertificationRequest, parseCertificationRequest } from '../cms/pkcs10.ts';
import { type Digest, verifySignedData } from '../cms/signed-data.ts';
import type { Certificate } from '../cms/x509.ts';
import { EspalierError } from '../core/errors.ts';
import type { Refusal } from './types.ts';

/** RFC 8894 3.2.1.1 asks for uniqueness only; clients send 32 to 64 characters. */
const MAX_TRANSACTION_ID_LENGTH = 255;
/** RFC 8894 3.2.1.5 says 16 octets. Longer ones are echoed too, within reason. */
const MAX_NONCE_OCTETS = 64;

/** The outer message: its signature fits, nothing more is known. */
export interface PkiMessage {
  readonly messageType: number;
  readonly transactionId: string;
  readonly senderNonce: Buffer;
  /** The certificate whose key signed: often one the client made a moment ago, so by itself it proves nothing. */
  readonly signer: Certificate;
  readonly digest: Digest;
  /** The EnvelopedData. */
  readonly envelope: Buffer;
}

function malformed(detail: string): EspalierError {
  return new EspalierError('scep_message_malformed', detail);
}

/**
 * RFC 8894 3.1 and 3.2. SHA-1 is let in because Debian's scepclient signs with nothing else.
 * @throws scep_message_malformed, cms_*, asn1_*, certificate_malformed: there is no message one could answer.
 */
export function readPkiMessage(ber: Uint8Array): PkiMessage {
  const signed = verifySignedData(ber, { allowSha1: true });
  const attribute = (oid: string, name: string) => {
    const [value, extra] = signed.signedAttributes.get(oid) ?? [];
    if (value === undefined || extra !== undefined) throw malformed(`${name} attribute without exactly one value`);
    return readAsn1(value);
  };
  const nonce = attribute(OID.scepSenderNonce, 'senderNonce');
  if (nonce.tag !== TAG.octetString || nonce.body.length === 0 || nonce.body.length > MAX_NONCE_OCTETS) {
    throw malformed(`senderNonce is not an OCTET STRING of 1 to ${MAX_NONCE_OCTETS} octets`);
  }
  const messageType = decodeString(attribute(OID.scepMessageType, 'messageType')) ?? '';
  if (!/^\d{1,3}$/.test(messageType)) throw malformed('messageType is not a number in decimal digits');
  const transactionId = decodeString(attribute(OID.scepTransactionId, 'transactionID')) ?? '';
  if (!/^[\x20-\x7e]+$/.test(transactionId) || transactionId.length > MAX_TRANSACTION_ID_LENGTH) {
    throw malformed(`transactionID is not 1 to ${MAX_TRANSACTION_ID_LENGTH} printable characters`);
  }
  return {
    messageType: Number(messageType),
    transactionId,
    senderNonce: Buffer.from(nonce.body),
    signer: signed.signer,
    digest: signed.digestAlgorithm,
    envelope: signed.content,
  };
}

export interface OpenedRequest {
  readonly csr: CertificationRequest;
  /** The cipher the client encrypted with: the answer's is no weaker. */
  readonly cipher: ContentCipher;
}

/** H-25: a wrong padding, another recipient, garbage inside and a broken CSR are one answer. */
const UNREADABLE: Refusal = { failInfo: 'badMessageCheck', reason: 'the request inside cannot be read' };

/** Decrypt a request with the RA's key and read the signed PKCS#10 in it. Never throws for what a client sent. */
export function openRequest(
  message: PkiMessage,
  ra: { readonly certificate: Certificate; readonly key: KeyObject },
): OpenedRequest | Refusal {
  try {
    const opened = decryptEnvelopedData(message.envelope, { recipients: [ra], allowDes: true, allowTripleDes: true });
    const csr = parseCertificationRequest(opened.content);
    return csr.verify({ allowSha1: true }) ? { csr, cipher: opened.cipher } : UNREADABLE;
  } catch (error) {
    if (error instanceof EspalierError) return UNREADABLE;
    throw error;
  }
}

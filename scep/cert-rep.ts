import { type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { isPrintable, octetString, printable, utf8 } from '../cms/der.ts';
import { type ContentCipher, encryptEnvelopedData } from '../cms/enveloped-data.ts';
import { OID } from '../cms/oids.ts';
import { buildDegenerate, type Digest, prepareSignedData } from '../cms/signed-data.ts';
import type { Random } from '../core/clock.ts';
import type { PkiMessage } from './message.ts';
import { FAIL_INFO, type FailInfo, MESSAGE_TYPE } from './types.ts';

/** On a thread of libuv's pool: the loop goes on while RSA works. */
const signOnThread = promisify(sign);

const NONCE_OCTETS = 16;

/** RFC 8894 3.2.1.3. */
const PKI_STATUS = { success: '0', failure: '2' } as const;

/** No weaker than the client's, and never single DES: macOS refuses it (SCE-15). AES only for who can read AES (SCE-07). */
const ANSWER_CIPHER = {
  'aes128-cbc': 'aes128-cbc',
  'aes192-cbc': 'aes256-cbc',
  'aes256-cbc': 'aes256-cbc',
  'des-ede3-cbc': 'des-ede3-cbc',
  'des-cbc': 'des-ede3-cbc',
} as const satisfies Record<ContentCipher, ContentCipher>;

/** A client that signs with SHA-1 still reads SHA-256: Debian's scepclient does. */
const ANSWER_DIGEST = {
  sha1: 'sha256',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
} as const satisfies Record<Digest, Digest>;

export interface Responder {
  readonly certificateDer: Buffer;
  readonly key: KeyObject;
  readonly random: Random;
}

export type CertRepResult =
  | { readonly status: 'success'; readonly certificate: Buffer; readonly cipher: ContentCipher }
  | { readonly status: 'failure'; readonly failInfo: FailInfo };

/** RFC 8894 3.3.2: the answer to a PKCSReq or RenewalReq, signed by the RA. */
export async function buildCertRep(request: PkiMessage, result: CertRepResult, ra: Responder): Promise<Buffer> {
  const text = (oid: string, value: string) => ({ oid, value: isPrintable(value) ? printable(value) : utf8(value) });
  const failInfo = result.status === 'failure' ? [text(OID.scepFailInfo, String(FAIL_INFO[result.failInfo]))] : [];
  const prepared = prepareSignedData({
    // RFC 8894 3.3.2.2: a failure carries no pkcsPKIEnvelope.
    content: result.status === 'success' ? envelope(request, result, ra.random) : Buffer.alloc(0),
    detached: result.status === 'failure',
    signer: ra,
    digest: ANSWER_DIGEST[request.digest],
    extraSignedAttributes: [
      text(OID.scepMessageType, String(MESSAGE_TYPE.CertRep)),
      text(OID.scepPkiStatus, PKI_STATUS[result.status]),
      ...failInfo,
      text(OID.scepTransactionId, request.transactionId),
      { oid: OID.scepSenderNonce, value: octetString(ra.random.bytes(NONCE_OCTETS)) },
      { oid: OID.scepRecipientNonce, value: octetString(request.senderNonce) },
    ],
  });
  return prepared.finish(await signOnThread(prepared.digest, prepared.toBeSigned, ra.key));
}

/** To the key that signed the request; the certificate the client asked for comes first, and alone. */
function envelope(
  request: PkiMessage,
  result: { readonly certificate: Buffer; readonly cipher: ContentCipher },
  random: Random,
): Buffer {
  return encryptEnvelopedData({
    content: buildDegenerate([result.certificate]),
    recipientCertificateDer: request.signer.der,
    cipher: ANSWER_CIPHER[result.cipher],
    random: (octets) => random.bytes(octets),
  });
}

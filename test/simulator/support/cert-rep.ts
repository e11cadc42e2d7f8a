import { constants, createCipheriv, createHash, createPublicKey, publicEncrypt, randomBytes, sign } from 'node:crypto';
import { readAsn1 } from '../../../cms/asn1.ts';
import { contentInfo, issuerAndSerial } from '../../../cms/content-info.ts';
import {
  explicit,
  implicit,
  implicitConstructed,
  int,
  nul,
  octetString,
  oid,
  printable,
  seq,
  set,
  tlv,
} from '../../../cms/der.ts';
import { decryptEnvelopedData, encryptEnvelopedData } from '../../../cms/enveloped-data.ts';
import { decodeString, type Name } from '../../../cms/names.ts';
import { OID } from '../../../cms/oids.ts';
import { parseCertificationRequest } from '../../../cms/pkcs10.ts';
import { buildDegenerate, verifySignedData } from '../../../cms/signed-data.ts';
import type { Certificate } from '../../../cms/x509.ts';
import { type Authority, issue, newKey } from './pki.ts';

/** What a tiny CA does wrong. Everything left out is right. */
export interface CertRepFaults {
  readonly pkiStatus?: '0' | '2' | '3';
  readonly failInfo?: string;
  readonly unsortedAttributes?: boolean;
  readonly singleDes?: boolean;
  readonly transactionId?: string;
  readonly recipientNonce?: Buffer;
  /** Signed by a CA that GetCACert does not name. */
  readonly signer?: Authority;
  readonly subject?: Name;
  /** The certificate is about a key the client does not have. */
  readonly foreignKey?: boolean;
  readonly issuer?: Authority;
}

/** Answer a PKCSReq or CertPoll: our own DER where the room's builders would refuse to be wrong. */
export function answerPkiOperation(message: Buffer, ca: Authority, faults: CertRepFaults): Buffer {
  const request = verifySignedData(message);
  const attribute = (type: string) => readAsn1(request.signedAttributes.get(type)?.[0] ?? Buffer.of(5, 0));
  const transactionId = decodeString(attribute(OID.scepTransactionId)) ?? '';
  const senderNonce = attribute(OID.scepSenderNonce).body;
  const status = faults.pkiStatus ?? '0';
  const content =
    status === '0' ? envelope(issueFor(request.content, ca, faults), request.signer, faults) : Buffer.alloc(0);
  const attributes = [
    [OID.contentType, oid(OID.data)],
    [OID.messageDigest, octetString(createHash('sha256').update(content).digest())],
    [OID.scepMessageType, printable('3')],
    [OID.scepTransactionId, printable(faults.transactionId ?? transactionId)],
    [OID.scepRecipientNonce, octetString(faults.recipientNonce ?? senderNonce)],
    [OID.scepSenderNonce, octetString(randomBytes(16))],
    [OID.scepPkiStatus, printable(status)],
    ...(status === '2' ? ([[OID.scepFailInfo, printable(faults.failInfo ?? '2')]] as const) : []),
  ].map(([type, value]) => seq(oid(type as string), set(value as Buffer)));
  const sorted = attributes.toSorted(Buffer.compare);
  const body = Buffer.concat(faults.unsortedAttributes === true ? sorted.toReversed() : sorted);
  const signer = faults.signer ?? ca;
  return contentInfo(
    OID.signedData,
    seq(
      int(1),
      set(seq(oid(OID.sha256))),
      seq(oid(OID.data), explicit(0, octetString(content))),
      implicitConstructed(0, signer.certificate.der),
      set(
        seq(
          int(1),
          issuerAndSerial(signer.certificate),
          seq(oid(OID.sha256)),
          tlv(0xa0, body),
          seq(oid(OID.rsaEncryption), nul()),
          octetString(sign('sha256', tlv(0x31, body), signer.key)),
        ),
      ),
    ),
  );
}

function issueFor(enveloped: Buffer, ca: Authority, faults: CertRepFaults): Certificate {
  const recipients = [{ certificate: ca.certificate, key: ca.key }];
  const opened = decryptEnvelopedData(enveloped, { recipients, allowTripleDes: true });
  const csr = parseCertificationRequest(opened.content);
  return issue(faults.issuer ?? ca, {
    subject: faults.subject ?? csr.subject,
    publicKey: faults.foreignKey === true ? createPublicKey(newKey('rsa')) : csr.publicKey(),
    extensions: { keyUsage: ['digitalSignature', 'keyEncipherment'], extendedKeyUsage: [OID.clientAuth] },
  });
}

function envelope(issued: Certificate, recipient: Certificate, faults: CertRepFaults): Buffer {
  const content = buildDegenerate([issued.der]);
  if (faults.singleDes === true) return desEnvelope(content, recipient);
  return encryptEnvelopedData({
    content,
    recipientCertificateDer: recipient.der,
    cipher: 'aes128-cbc',
    random: randomBytes,
  });
}

function desEnvelope(content: Buffer, recipient: Certificate): Buffer {
  const key = randomBytes(8);
  const iv = randomBytes(8);
  const cipher = createCipheriv('des-ede3-cbc', Buffer.concat([key, key, key]), iv);
  const encrypted = Buffer.concat([cipher.update(content), cipher.final()]);
  const encryptedKey = publicEncrypt({ key: recipient.publicKey(), padding: constants.RSA_PKCS1_PADDING }, key);
  return contentInfo(
    OID.envelopedData,
    seq(
      int(0),
      set(seq(int(0), issuerAndSerial(recipient), seq(oid(OID.rsaEncryption), nul()), octetString(encryptedKey))),
      seq(oid(OID.data), seq(oid(OID.desCbc), octetString(iv)), implicit(0, encrypted)),
    ),
  );
}

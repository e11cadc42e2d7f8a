import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import { type Asn1Element, Fields, objectIdentifier, octets, readAsn1, smallInteger, TAG } from './asn1.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import {
  contentInfo,
  isReferredTo,
  issuerAndSerial,
  readCertificateReference,
  readContentInfo,
} from './content-info.ts';
import { implicit, int, nul, octetString, oid, seq, set } from './der.ts';
import { decryptKey, encryptKey, readKeyTransport } from './key-transport.ts';
import { OID } from './oids.ts';

const MAX_RECIPIENTS = 32;

interface CipherFacts {
  readonly oid: string;
  readonly keyOctets: number;
  readonly blockOctets: number;
}

const CIPHERS = {
  'aes128-cbc': { oid: OID.aes128Cbc, keyOctets: 16, blockOctets: 16 },
  'aes192-cbc': { oid: OID.aes192Cbc, keyOctets: 24, blockOctets: 16 },
  'aes256-cbc': { oid: OID.aes256Cbc, keyOctets: 32, blockOctets: 16 },
  'des-ede3-cbc': { oid: OID.desEde3Cbc, keyOctets: 24, blockOctets: 8 },
  'des-cbc': { oid: OID.desCbc, keyOctets: 8, blockOctets: 8 },
} as const satisfies Record<string, CipherFacts>;

export type ContentCipher = keyof typeof CIPHERS;

const NODE_CIPHER: Readonly<Record<ContentCipher, string>> = {
  'aes128-cbc': 'aes-128-cbc',
  'aes192-cbc': 'aes-192-cbc',
  'aes256-cbc': 'aes-256-cbc',
  'des-ede3-cbc': 'des-ede3-cbc',
  // OpenSSL 3 has single DES in its legacy provider only; triple DES with one key three times is single DES.
  'des-cbc': 'des-ede3-cbc',
};

export interface EncryptInput {
  readonly content: Uint8Array;
  readonly recipientCertificateDer: Uint8Array;
  readonly cipher: 'aes128-cbc' | 'aes256-cbc' | 'des-ede3-cbc';
  readonly random: (octets: number) => Uint8Array;
}

export function encryptEnvelopedData(input: EncryptInput): Buffer {
  const recipient = parseCertificate(input.recipientCertificateDer);
  const facts = CIPHERS[input.cipher];
  const key = input.random(facts.keyOctets);
  const iv = input.random(facts.blockOctets);
  const encryptedKey = encryptKey(key, recipient.publicKey(), input.random);
  const cipher = createCipheriv(NODE_CIPHER[input.cipher], key, iv);
  const encrypted = Buffer.concat([cipher.update(input.content), cipher.final()]);
  return contentInfo(
    OID.envelopedData,
    seq(
      // RFC 5652 6.1: 0 when every recipient is named by issuer and serial.
      int(0),
      set(seq(int(0), issuerAndSerial(recipient), seq(oid(OID.rsaEncryption), nul()), octetString(encryptedKey))),
      seq(oid(OID.data), seq(oid(facts.oid), octetString(iv)), implicit(0, encrypted)),
    ),
  );
}

export interface DecryptOptions {
  readonly recipients: readonly { readonly certificate: Certificate; readonly key: KeyObject }[];
  /** Single DES: only old SCEP clients, which ignore what the server says it can do. */
  readonly allowDes?: boolean;
  /** Triple DES: old SCEP clients, and macOS when it wraps a FileVault recovery key. */
  readonly allowTripleDes?: boolean;
  readonly maxNodes?: number;
}

export interface DecryptedEnvelopedData {
  readonly content: Buffer;
  readonly cipher: ContentCipher;
  /** The certificate whose key opened it. */
  readonly recipient: Certificate;
}

function refused(detail: string): EspalierError {
  return new EspalierError('cms_algorithm_refused', detail);
}

function readCipher(element: Asn1Element, options: DecryptOptions): { cipher: ContentCipher; iv: Buffer } {
  const fields = new Fields(element, TAG.sequence, 'cms_malformed', 'ContentEncryptionAlgorithmIdentifier');
  const dotted = objectIdentifier(fields.next(TAG.oid));
  const entry = Object.entries(CIPHERS).find(([, facts]) => facts.oid === dotted);
  if (entry === undefined) throw refused(`content encryption ${dotted} is not accepted`);
  const cipher = entry[0] as ContentCipher;
  if (cipher === 'des-cbc' && options.allowDes !== true) throw refused('single DES is not accepted here');
  if (cipher === 'des-ede3-cbc' && options.allowTripleDes !== true) throw refused('triple DES is not accepted here');
  const iv = fields.next(TAG.octetString).body;
  fields.end();
  if (iv.length !== CIPHERS[cipher].blockOctets)
    throw new EspalierError('cms_malformed', 'initialisation vector length');
  return { cipher, iv };
}

/**
 * One error, `cms_decrypt_failed`, for a wrong key, a wrong padding and damaged content alike. With probability 1/256
 * a wrong key yields garbage instead: callers answer unreadable content as they answer that error.
 */
export function decryptEnvelopedData(ber: Uint8Array, options: DecryptOptions): DecryptedEnvelopedData {
  const limits = options.maxNodes === undefined ? {} : { maxNodes: options.maxNodes };
  const enveloped = readContentInfo(readAsn1(ber, limits), OID.envelopedData, 'EnvelopedData');
  const fields = new Fields(enveloped, TAG.sequence, 'cms_malformed', 'EnvelopedData');
  smallInteger(fields.next(TAG.integer));
  fields.optional(0xa0);
  const recipientInfos = new Fields(fields.next(), TAG.set, 'cms_malformed', 'RecipientInfos').all();
  const contentFields = new Fields(fields.next(), TAG.sequence, 'cms_malformed', 'EncryptedContentInfo');
  fields.optional(0xa1);
  fields.end();
  if (recipientInfos.length > MAX_RECIPIENTS) {
    throw new EspalierError('cms_malformed', `more than ${MAX_RECIPIENTS} recipients`);
  }
  contentFields.next(TAG.oid);
  const { cipher, iv } = readCipher(contentFields.next(TAG.sequence), options);
  const encryptedContent = contentFields.optional(0x80, 0xa0);
  contentFields.end();
  if (encryptedContent === undefined) throw new EspalierError('cms_malformed', 'the encrypted content is missing');

  const encrypted = octets(encryptedContent);
  const addressed = findRecipient(recipientInfos, options);
  const facts = CIPHERS[cipher];
  const contentKey = decryptKey(addressed.encryptedKey, addressed.transport, addressed.key, facts.keyOctets);
  const fullKey = cipher === 'des-cbc' ? Buffer.concat([contentKey, contentKey, contentKey]) : contentKey;
  try {
    const decipher = createDecipheriv(NODE_CIPHER[cipher], fullKey, iv);
    const content = Buffer.concat([decipher.update(encrypted), decipher.final()]);
    return { content, cipher, recipient: addressed.certificate };
  } catch {
    // Neither cause nor detail: which of the faults it was is what an oracle is made of.
    throw new EspalierError('cms_decrypt_failed', 'the message cannot be decrypted');
  }
}

function findRecipient(recipientInfos: readonly Asn1Element[], options: DecryptOptions) {
  for (const info of recipientInfos) {
    // RFC 5652 6.2: the tagged choices are key agreement, KEK and password recipients.
    if (info.tag !== TAG.sequence) continue;
    const fields = new Fields(info, TAG.sequence, 'cms_malformed', 'KeyTransRecipientInfo');
    smallInteger(fields.next(TAG.integer));
    const reference = readCertificateReference(fields);
    const algorithm = fields.next(TAG.sequence);
    const encryptedKey = octets(fields.next(TAG.octetString));
    fields.end();
    const ours = options.recipients.find(({ certificate }) => isReferredTo(reference, certificate));
    if (ours !== undefined) return { ...ours, encryptedKey, transport: readKeyTransport(algorithm) };
  }
  throw new EspalierError('cms_no_recipient', 'the message is encrypted for none of our certificates');
}

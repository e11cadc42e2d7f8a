import { constants, createHash, createHmac, type KeyObject, privateDecrypt, publicEncrypt } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import { type Asn1Element, Fields, objectIdentifier, TAG } from './asn1.ts';
import { OID } from './oids.ts';
import { type Digest, readDigestAlgorithm, readMaskDigest } from './signature-algorithm.ts';

/** RFC 8017 7.2.1: 00 02, at least eight non-zero octets, 00. */
const PKCS1_OVERHEAD = 11;
/** Each draw leaves 1/256 to be drawn again: random octets need two or three, a broken source all. */
const MAX_PADDING_DRAWS = 64;

export type KeyTransport = { readonly kind: 'pkcs1' } | { readonly kind: 'oaep'; readonly digest: Digest };

export function readKeyTransport(element: Asn1Element): KeyTransport {
  const fields = new Fields(element, TAG.sequence, 'cms_malformed', 'KeyEncryptionAlgorithmIdentifier');
  const dotted = objectIdentifier(fields.next(TAG.oid));
  if (dotted === OID.rsaEncryption) return { kind: 'pkcs1' };
  if (dotted !== OID.rsaesOaep) {
    throw new EspalierError('cms_algorithm_refused', `key encryption algorithm ${dotted} is not accepted`);
  }
  // RFC 4055 4.1.
  const parameters = fields.optional(TAG.sequence);
  fields.end();
  if (parameters === undefined) return { kind: 'oaep', digest: 'sha1' };
  const oaep = new Fields(parameters, TAG.sequence, 'cms_malformed', 'RSAES-OAEP-params');
  const hash = oaep.optional(0xa0);
  const mask = readMaskDigest(oaep.optional(0xa1));
  const label = oaep.optional(0xa2);
  oaep.end();
  const digest = hash === undefined ? 'sha1' : readDigestAlgorithm(hash.only);
  if (digest !== mask || label !== undefined) {
    throw new EspalierError('cms_algorithm_refused', 'RSAES-OAEP with two digests or a label');
  }
  return { kind: 'oaep', digest };
}

/** RSAES-PKCS1-v1_5 with the padding drawn from `random`, so that a seeded run repeats itself octet for octet. */
export function encryptKey(key: Uint8Array, recipient: KeyObject, random: (octets: number) => Uint8Array): Buffer {
  const modulus = modulusOctets(recipient);
  if (key.length > modulus - PKCS1_OVERHEAD)
    throw new EspalierError('cms_algorithm_refused', 'recipient key too small');
  const message = Buffer.alloc(modulus);
  message[1] = 2;
  const padding = modulus - key.length - 3;
  let filled = 0;
  for (let draw = 0; filled < padding && draw < MAX_PADDING_DRAWS; draw++) {
    for (const octet of random(padding - filled)) if (octet !== 0) message[2 + filled++] = octet;
  }
  if (filled < padding) throw new EspalierError('internal_error', 'the source of random octets yields zeros');
  message.set(key, modulus - key.length);
  return publicEncrypt({ key: recipient, padding: constants.RSA_NO_PADDING }, message);
}

function modulusOctets(key: KeyObject): number {
  if (key.asymmetricKeyType !== 'rsa') throw new EspalierError('cms_algorithm_refused', 'the recipient key is not RSA');
  return Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
}

/**
 * The content key, or on any fault a key that depends only on our private key and the ciphertext: implicit rejection,
 * as OpenSSL 3.2 does it. A wrong padding then fails where a wrong key fails, in the content; and asking again with the
 * same octets gives the same answer, so there is nothing to average (Bleichenbacher 1998; H-25). Node 20 refuses
 * RSA_PKCS1_PADDING here (CVE-2023-46809) because OpenSSL 3.0 has no such rejection.
 */
export function decryptKey(encrypted: Uint8Array, transport: KeyTransport, key: KeyObject, keyOctets: number): Buffer {
  const modulus = modulusOctets(key);
  const substitute = substituteKey(encrypted, key, keyOctets);
  if (transport.kind === 'oaep') {
    const opened = attempt(() =>
      privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: transport.digest }, encrypted),
    );
    return opened?.length === keyOctets ? opened : substitute;
  }
  const message = attempt(() => privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, encrypted));
  return unpadConstantTime(message?.length === modulus ? message : Buffer.alloc(modulus), keyOctets, substitute);
}

/** A ciphertext of the wrong length or above the modulus is public knowledge, but takes the same way out. */
function attempt(decrypt: () => Buffer): Buffer | undefined {
  try {
    return decrypt();
  } catch {
    return undefined;
  }
}

/** The private key hashed, once per key: exporting costs more than the decryption it stands beside. */
const rejectionSecrets = new WeakMap<KeyObject, Buffer>();

function substituteKey(encrypted: Uint8Array, key: KeyObject, keyOctets: number): Buffer {
  let secret = rejectionSecrets.get(key);
  if (secret === undefined) {
    secret = createHash('sha256')
      .update('cms key transport rejection')
      .update(key.export({ format: 'der', type: 'pkcs8' }))
      .digest();
    rejectionSecrets.set(key, secret);
  }
  return createHmac('sha256', secret).update(encrypted).digest().subarray(0, keyOctets);
}

/**
 * The key's length is known from the cipher, so the one place of the 00 separator is too: no search, no branch and no
 * index that depends on a secret. JavaScript only approximates constant time; the one error above is the real defence.
 */
export function unpadConstantTime(message: Uint8Array, keyOctets: number, substitute: Uint8Array): Buffer {
  const keyStart = message.length - keyOctets;
  if (keyOctets > message.length - PKCS1_OVERHEAD) return Buffer.from(substitute);
  let bad = message[0]! | (message[1]! ^ 2) | message[keyStart - 1]!;
  for (let i = 2; i < keyStart - 1; i++) {
    // Bit 8 of (octet - 1) is set only when the octet is 0.
    bad |= ((message[i]! - 1) >> 8) & 1;
  }
  const useMessage = ((bad - 1) >> 31) & 0xff;
  const key = Buffer.alloc(keyOctets);
  for (let i = 0; i < keyOctets; i++) {
    key[i] = (message[keyStart + i]! & useMessage) | (substitute[i]! & ~useMessage);
  }
  return key;
}

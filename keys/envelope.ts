/**
 * Three levels: key-encryption key → data key per class of secrets → AES-256-GCM per value (design §6).
 * Rotation re-wraps data keys and never touches rows, so a sealed value names its data key and a wrapped data key its KEK.
 *
 *   wrapped data key  01 'K' kek-id(8)          nonce(12) ciphertext(32) tag(16)
 *   sealed value      01 'D' data-key-version(4) nonce(12) ciphertext(n)  tag(16)
 *
 * Everything in front of the nonce is authenticated together with the associated data.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import type { Random } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import { frame } from './frame.ts';
import { KEK_ID_BYTES, type Kek } from './kek.ts';
import type { AssociatedData, Opener, Sealer } from './types.ts';

const FORMAT = 1;
const WRAPPED = 0x4b;
const SEALED = 0x44;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const DATA_KEY_BYTES = 32;
const CIPHER = 'aes-256-gcm';

/** A data key and the version its class had when it was made. */
export interface DataKey {
  readonly version: number;
  readonly key: KeyObject;
}

function unreadable(aad: AssociatedData, why: string): EspalierError {
  const place = `${aad.table} ${aad.row} (${aad.kind} version ${aad.version})`;
  return new EspalierError('sealed_value_unreadable', `The sealed value of ${place} cannot be opened: ${why}.`);
}

function authenticated(header: Buffer, aad: AssociatedData): Buffer {
  return frame('espalier envelope', header, aad.table, aad.row, aad.kind, String(aad.version));
}

function encrypt(key: KeyObject, header: Buffer, plaintext: Uint8Array, aad: AssociatedData, random: Random): Buffer {
  const nonce = random.bytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(authenticated(header, aad));
  return Buffer.concat([header, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: KeyObject, headerBytes: number, bytes: Buffer, aad: AssociatedData): Buffer {
  const body = headerBytes + NONCE_BYTES;
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(headerBytes, body), { authTagLength: TAG_BYTES });
  decipher.setAAD(authenticated(bytes.subarray(0, headerBytes), aad));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  const plaintext = decipher.update(bytes.subarray(body, bytes.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    throw unreadable(aad, 'it was changed, belongs to another row, or was sealed under another key');
  }
  return plaintext;
}

function checkShape(bytes: Buffer, mark: number, headerBytes: number, aad: AssociatedData): void {
  if (bytes.length < headerBytes + NONCE_BYTES + TAG_BYTES) throw unreadable(aad, 'it is too short');
  if (bytes[0] !== FORMAT || bytes[1] !== mark) throw unreadable(aad, 'its format is not known to this version');
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A fresh data key, and the form of it that may be stored. */
export function createDataKey(
  kek: Kek,
  aad: AssociatedData,
  random: Random,
): { readonly dataKey: DataKey; readonly wrapped: Buffer } {
  const bytes = random.bytes(DATA_KEY_BYTES);
  const header = Buffer.concat([Buffer.from([FORMAT, WRAPPED]), kek.id]);
  const wrapped = encrypt(kek.key, header, bytes, aad, random);
  const dataKey = { version: aad.version, key: createSecretKey(bytes) };
  bytes.fill(0);
  return { dataKey, wrapped };
}

/** Errors: sealed_value_unreadable, which names both KEK ids where the KEK is another one. */
export function unwrapDataKey(kek: Kek, wrapped: Uint8Array, aad: AssociatedData): DataKey {
  const buffer = asBuffer(wrapped);
  const headerBytes = 2 + KEK_ID_BYTES;
  checkShape(buffer, WRAPPED, headerBytes, aad);
  const id = buffer.subarray(2, headerBytes);
  if (!id.equals(kek.id)) {
    throw unreadable(
      aad,
      `it was wrapped by KEK ${id.toString('hex')}, and the KEK given is ${kek.id.toString('hex')}`,
    );
  }
  const bytes = decrypt(kek.key, headerBytes, buffer, aad);
  const dataKey = { version: aad.version, key: createSecretKey(bytes) };
  bytes.fill(0);
  return dataKey;
}

/** Seals with the newest data key of one class, opens with any of them. `dataKeys` is not empty. */
export function createVault(dataKeys: readonly DataKey[], random: Random): Sealer & Opener {
  const byVersion = new Map(dataKeys.map((dataKey) => [dataKey.version, dataKey.key]));
  const newest = Math.max(...byVersion.keys());
  return {
    seal(plaintext, aad) {
      const header = Buffer.alloc(6);
      header.set([FORMAT, SEALED]);
      header.writeUInt32BE(newest, 2);
      return encrypt(byVersion.get(newest) as KeyObject, header, plaintext, aad, random);
    },
    open(sealed, aad) {
      const buffer = asBuffer(sealed);
      checkShape(buffer, SEALED, 6, aad);
      const version = buffer.readUInt32BE(2);
      const key = byVersion.get(version);
      if (key === undefined) throw unreadable(aad, `data key ${version} is not known`);
      return new Secret(decrypt(key, 6, buffer, aad));
    },
  };
}

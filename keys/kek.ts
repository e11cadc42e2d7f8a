/** The key-encryption key: 32 bytes that live outside the database and never inside it. */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { lstatSync, readFileSync, writeFileSync } from 'node:fs';
import type { Random } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';

const KEK_BYTES = 32;
export const KEK_ID_BYTES = 8;

export interface Kek {
  /** Tells key-encryption keys apart; written into what they wrap, and of no help in guessing them. */
  readonly id: Buffer;
  readonly key: KeyObject;
}

const FIX =
  'Make one with `openssl rand -base64 32`, keep a copy outside this machine, and set ESPALIER_KEK to it or ESPALIER_KEK_FILE to a file (mode 0400) that holds it.';

function missing(detail: string): EspalierError {
  return new EspalierError('kek_missing', detail, { fix: FIX });
}

function kekOf(bytes: Buffer): Kek {
  const id = createHmac('sha256', bytes).update('espalier kek id').digest().subarray(0, KEK_ID_BYTES);
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return { id, key };
}

/** 32 bytes as base64, base64url or hex. Errors: kek_missing, which never repeats the text. */
export function parseKek(text: string, origin: string): Kek {
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]{64}$/.test(trimmed)) return kekOf(Buffer.from(trimmed, 'hex'));
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return kekOf(Buffer.from(trimmed, 'base64'));
  throw missing(`${origin} does not hold ${KEK_BYTES} bytes as base64 or hex.`);
}

/** Errors: kek_missing for a file that is absent, is not a plain file, or is readable by anyone but its owner. */
export function readKekFile(file: string): Kek {
  let text: string;
  try {
    const { mode } = lstatSync(file);
    if ((mode & 0o170000) !== 0o100000) throw missing(`${file} is not a plain file.`);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new EspalierError('kek_missing', `${file} can be read by others (mode ${(mode & 0o777).toString(8)}).`, {
        fix: `chmod 0400 ${file}`,
      });
    }
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof EspalierError) throw error;
    throw missing(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown fault'}.`);
  }
  return parseKek(text, file);
}

/** For the demo: reads the file, or makes it (mode 0600) where there is none. */
export function ensureKekFile(file: string, random: Random): Kek {
  try {
    writeFileSync(file, `${random.bytes(KEK_BYTES).toString('base64')}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return readKekFile(file);
}

/** From the two settings; exactly one may be set. Errors: kek_missing. */
export function loadKek(settings: { readonly kek?: string | undefined; readonly kekFile?: string | undefined }): Kek {
  const { kek, kekFile } = settings;
  if (kek !== undefined && kekFile !== undefined) {
    throw missing('ESPALIER_KEK and ESPALIER_KEK_FILE are both set; keep one.');
  }
  if (kek !== undefined) return parseKek(kek, 'ESPALIER_KEK');
  if (kekFile !== undefined) return readKekFile(kekFile);
  throw missing('No key-encryption key is set; stored keys would be readable to whoever reads the database.');
}

import type { MacKey } from '../keys/types.ts';
import type { Fingerprint } from './types.ts';

export const EMPTY_FINGERPRINT: Fingerprint = { high: 0, low: 0 };

/** The first 64 bits of HMAC-SHA-256 over a version id; `digest` is that HMAC under the server's key (design §4). */
export function versionFingerprint(digest: MacKey['digest'], versionId: number): Fingerprint {
  const bytes = digest('espalier applied version v1', String(versionId));
  return { high: bytes.readInt32BE(0), low: bytes.readInt32BE(4) };
}

export function xor(one: Fingerprint, other: Fingerprint): Fingerprint {
  return { high: one.high ^ other.high, low: one.low ^ other.low };
}

export function equalFingerprints(one: Fingerprint, other: Fingerprint): boolean {
  return one.high === other.high && one.low === other.low;
}

/** As a signed 64-bit decimal, the form of `recon.applied_fp`. */
export function fingerprintText(fingerprint: Fingerprint): string {
  return ((BigInt(fingerprint.high) << 32n) | BigInt(fingerprint.low >>> 0)).toString();
}

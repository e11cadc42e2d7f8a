import type { KeyObject } from 'node:crypto';
import type { Secret } from '../core/secret.ts';

/** Where a sealed value lives. It opens nowhere else: moving a ciphertext to another row makes it unreadable (S12). */
export interface AssociatedData {
  readonly table: string;
  /** The row's key as text. */
  readonly row: string;
  /** What the value is: a column or a purpose. */
  readonly kind: string;
  readonly version: number;
}

export interface Sealer {
  seal(plaintext: Uint8Array, aad: AssociatedData): Buffer;
}

export interface Opener {
  /** Throws `sealed_value_unreadable` for another row, another key, or bytes that were changed. */
  open(sealed: Uint8Array, aad: AssociatedData): Secret<Buffer>;
}

/** A certificate with its private key. The key is a KeyObject: it never becomes text outside keys/. */
export interface SigningIdentity {
  /** DER. */
  readonly certificate: Buffer;
  /** Issuers above it, nearest first, the root last; DER. Empty where it is itself a root. */
  readonly chain: readonly Buffer[];
  readonly key: KeyObject;
}

/** HMAC-SHA-256 under a key of one purpose. Parts are framed by their length, so ('ab','c') differs from ('a','bc'). */
export interface MacKey {
  digest(...parts: readonly (string | Uint8Array)[]): Buffer;
}

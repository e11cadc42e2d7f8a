import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeAtomically } from './files.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

const generate = promisify(generateKeyPair);

/**
 * RSA 2048 keys, made when first asked for and then shared: a key costs 158 ms of CPU, and certificates are distinct
 * without it. With a folder the pool outlives the process.
 */
export class KeyPool {
  readonly #size: number;
  readonly #folder: string | undefined;
  readonly #pairs = new Map<number, Promise<KeyPair>>();

  constructor(options: { readonly size: number; readonly folder?: string | undefined }) {
    this.#size = options.size;
    this.#folder = options.folder;
  }

  /** The same number gives the same key while the size is the same. */
  get(number: number): Promise<KeyPair> {
    const slot = number % this.#size;
    let pair = this.#pairs.get(slot);
    if (pair === undefined) {
      pair = this.#make(slot);
      this.#pairs.set(slot, pair);
    }
    return pair;
  }

  async #make(slot: number): Promise<KeyPair> {
    const path = this.#folder === undefined ? undefined : join(this.#folder, `rsa-2048-${slot}.pem`);
    if (path !== undefined && existsSync(path)) return pairOf(readFileSync(path, 'utf8'));
    const { privateKey } = await generate('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    if (path !== undefined && this.#folder !== undefined) {
      mkdirSync(this.#folder, { recursive: true });
      writeAtomically(path, pem, 0o600);
    }
    return pairOf(pem);
  }
}

function pairOf(pem: string): KeyPair {
  const privateKey = createPrivateKey(pem);
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

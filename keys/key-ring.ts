/** The keys of an installation: made at first start, opened at every other. */
import { createHmac, createSecretKey } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import { frame } from './frame.ts';
import { type ChestDeps, KeyChest } from './key-chest.ts';
import type { KeyRecord, KeyStore } from './ports.ts';
import {
  DATA_CLASSES,
  type DataClass,
  IDENTITY_PURPOSES,
  type IdentityPurpose,
  MAC_PURPOSES,
  type MacPurpose,
} from './purposes.ts';
import type { MacKey, Opener, Sealer, SigningIdentity } from './types.ts';

const MAC_KEY_BYTES = 32;
/** Every lost race ends with the winner's keys in the store, so a second look suffices; more means the store lies. */
const ATTEMPTS = 5;

export interface KeyRingDeps extends ChestDeps {
  readonly store: KeyStore;
}

export interface KeyRing {
  identity(purpose: IdentityPurpose): SigningIdentity;
  mac(purpose: MacPurpose): MacKey;
  vault(dataClass: DataClass): Sealer & Opener;
}

function macKeyOf(bytes: Buffer): MacKey {
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return {
    digest: (...parts) =>
      createHmac('sha256', key)
        .update(frame(...parts))
        .digest(),
  };
}

/**
 * Loads the records, lets `make` add what is missing and stores that; starts over where another replica was faster, so
 * that all replicas end with the keys of one of them.
 */
export async function withChest(deps: KeyRingDeps, make: (chest: KeyChest) => Promise<void>): Promise<KeyChest> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const records: readonly KeyRecord[] = await deps.store.list();
    const chest = new KeyChest(records, deps);
    await make(chest);
    if (chest.made.length === 0 || (await deps.store.insertAll(chest.made))) return chest;
  }
  throw new EspalierError('internal_error', 'keys could not be stored: each attempt found others stored meanwhile');
}

/** Errors: sealed_value_unreadable where the KEK is not the one the keys were wrapped with. */
export async function openKeyRing(deps: KeyRingDeps): Promise<KeyRing> {
  const chest = await withChest(deps, async (keys) => {
    for (const dataClass of DATA_CLASSES) keys.vault(dataClass);
    for (const purpose of MAC_PURPOSES) {
      if (keys.newest(`mac/${purpose}`) === undefined) keys.makeSecret(`mac/${purpose}`, MAC_KEY_BYTES);
    }
    await keys.ensureIdentities(IDENTITY_PURPOSES);
  });
  const identities = new Map(IDENTITY_PURPOSES.map((purpose) => [purpose, chest.identity(purpose)]));
  const macs = new Map(
    MAC_PURPOSES.map((purpose) => [purpose, macKeyOf(chest.open(chest.newest(`mac/${purpose}`) as KeyRecord))]),
  );
  return {
    identity: (purpose) => identities.get(purpose) as SigningIdentity,
    mac: (purpose) => macs.get(purpose) as MacKey,
    vault: (dataClass) => chest.vault(dataClass),
  };
}

/** Profiles to upload, as values and as bytes. */
import { randomBytes } from 'node:crypto';
import { systemClock, systemRandom } from '../../core/system.ts';
import { parseKek } from '../../keys/kek.ts';
import { type KeyRing, openKeyRing } from '../../keys/key-ring.ts';
import type { Writable } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { memoryKeyStore } from '../keys/memory-key-store.ts';

export type Dict = { readonly [key: string]: Writable | undefined };

export const uuidOf = (number: number): string => `11111111-2222-4333-8444-${String(number).padStart(12, '0')}`;

export function payload(number: number, more: Dict = {}): Dict {
  return {
    PayloadType: 'com.apple.wifi.managed',
    PayloadVersion: 1,
    PayloadIdentifier: `com.example.wifi.${number}`,
    PayloadUUID: uuidOf(number),
    SSID_STR: 'Example',
    ...more,
  };
}

/** A profile that has nothing to complain about, with `more` over it; undefined takes a key away. */
export function profile(more: Dict = {}): Dict {
  return {
    PayloadType: 'Configuration',
    PayloadVersion: 1,
    PayloadIdentifier: 'com.example.profile',
    PayloadUUID: uuidOf(0),
    PayloadDisplayName: 'Example',
    PayloadContent: [payload(1)],
    ...more,
  };
}

export const upload = (more: Dict = {}): Buffer => writePlistBytes(profile(more));

/** The keys a server has; an RSA key costs 158 ms, so once per file. */
export function keyRing(): Promise<KeyRing> {
  return openKeyRing({
    store: memoryKeyStore(),
    kek: parseKek(randomBytes(32).toString('base64'), 'test'),
    clock: systemClock,
    random: systemRandom,
    organization: 'Example',
  });
}

import { createHash } from 'node:crypto';
import type { Random } from '../core/clock.ts';
import { Secret } from '../core/secret.ts';

/** 192 random bits, as Fleet's node keys; URL-safe text. */
export function newNodeKey(random: Random): Secret<string> {
  return new Secret(random.bytes(24).toString('base64url'));
}

/** Keys and enroll secrets are looked up by this hash, so that comparing them has no timing (I15). */
export function hashOf(credential: string): Buffer {
  return createHash('sha256').update(credential).digest();
}

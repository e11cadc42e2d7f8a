import { createHash } from 'node:crypto';
import { Secret } from '../core/secret.ts';

const CHALLENGE_BYTES = 32;

/** A new challenge: base64url, so that it is a PrintableString-like token in every profile and CSR. */
export function newChallenge(random: { bytes(length: number): Buffer }): Secret<string> {
  return new Secret(random.bytes(CHALLENGE_BYTES).toString('base64url'));
}

/**
 * What is stored and looked up. 256 random bits need neither salt nor a slow hash, and an index look-up by digest tells
 * a clock nothing about the challenge itself (SCE-09: constant-time compare).
 */
export function hashOfChallenge(challenge: string): Buffer {
  return createHash('sha256').update(challenge, 'utf8').digest();
}

import { isIPv6 } from 'node:net';
import type { Clock } from '../core/clock.ts';

/**
 * Failed requests one peer may make at once, and how many it gets back per minute. Guessing 256 bits is hopeless at any
 * rate; this only bounds what failures cost (1.3 ms each), so it is wide enough for an office behind one address.
 */
const BURST = 60;
const PER_MINUTE = 60;
/** Peers remembered; the one that failed longest ago is forgotten first. */
const MAX_PEERS = 10_000;
const MINUTE_MS = 60_000;

/** A token bucket per peer that only failures empty: a fleet enrolling behind one address never meets it. */
export interface FailureLimit {
  isExhausted(peer: string): boolean;
  failed(peer: string): void;
}

export function createFailureLimit(clock: Clock): FailureLimit {
  const buckets = new Map<string, { tokens: number; at: number }>();
  const tokensOf = (key: string, now: number): number => {
    const bucket = buckets.get(key);
    if (bucket === undefined) return BURST;
    const elapsed = Math.max(0, now - bucket.at);
    return Math.min(BURST, bucket.tokens + (elapsed * PER_MINUTE) / MINUTE_MS);
  };
  return {
    isExhausted(peer) {
      return tokensOf(peerKey(peer), clock.now().getTime()) < 1;
    },
    failed(peer) {
      const key = peerKey(peer);
      const now = clock.now().getTime();
      const tokens = Math.max(0, tokensOf(key, now) - 1);
      buckets.delete(key);
      buckets.set(key, { tokens, at: now });
      for (const oldest of buckets.keys()) {
        if (buckets.size <= MAX_PEERS) break;
        buckets.delete(oldest);
      }
    },
  };
}

/** One IPv6 customer owns a /64 at least, so an address there is no identity. */
function peerKey(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address.replace(/^::ffff:/, '');
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}

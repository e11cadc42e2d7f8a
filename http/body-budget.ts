import { MAX_BODY_BYTES_IN_FLIGHT, MAX_BODY_BYTES_PER_PEER } from './limits.ts';

const byPeer = new Map<string, number>();
let total = 0;

/** Bytes of request bodies held in memory now, for /metrics. */
export function bodyBytesInFlight(): number {
  return total;
}

/** Would so many more bytes still fit? For a length that is announced before it comes. */
export function fits(peer: string, bytes: number): boolean {
  return total + bytes <= MAX_BODY_BYTES_IN_FLIGHT && (byPeer.get(peer) ?? 0) + bytes <= MAX_BODY_BYTES_PER_PEER;
}

/** Counts bytes that have arrived; false when they are too many. They count until released either way. */
export function hold(peer: string, bytes: number): boolean {
  const isWithin = fits(peer, bytes);
  total += bytes;
  byPeer.set(peer, (byPeer.get(peer) ?? 0) + bytes);
  return isWithin;
}

export function release(peer: string, bytes: number): void {
  total -= bytes;
  const left = (byPeer.get(peer) ?? 0) - bytes;
  if (left > 0) byPeer.set(peer, left);
  else byPeer.delete(peer);
}

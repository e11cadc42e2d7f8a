const KiB = 1024;
const MiB = 1024 * KiB;

/** What one route may cost before anything is parsed. A test asserts that every route is in this table. */
export interface RouteLimit {
  /** Bytes of body read at most; a longer one is refused without being kept. */
  readonly maxBytes: number;
  /** Milliseconds without a single new body byte before the request is given up. Progress, not total time (design §6). */
  readonly idleMs: number;
}

/**
 * One table by route. `command` reads more than the 16 MiB that mdm parses: an authenticated result is never answered
 * 4xx for its size, so mdm must see it, store its head and finish the command (design §6, CMD-08).
 */
export const LIMITS = {
  checkin: { maxBytes: 1 * MiB, idleMs: 20_000 },
  command: { maxBytes: 64 * MiB, idleMs: 20_000 },
  scep: { maxBytes: 2 * MiB, idleMs: 20_000 },
  enroll: { maxBytes: 64 * KiB, idleMs: 20_000 },
  osqueryEnroll: { maxBytes: 1 * MiB, idleMs: 20_000 },
  osqueryConfig: { maxBytes: 64 * KiB, idleMs: 20_000 },
  osqueryRead: { maxBytes: 64 * KiB, idleMs: 20_000 },
  osqueryWrite: { maxBytes: 16 * MiB, idleMs: 20_000 },
  osqueryLog: { maxBytes: 16 * MiB, idleMs: 20_000 },
  apiRead: { maxBytes: 0, idleMs: 10_000 },
  apiWrite: { maxBytes: 1 * MiB, idleMs: 20_000 },
  apiProfile: { maxBytes: 32 * MiB, idleMs: 20_000 },
  // All profiles of a team in base64: some 48 MB of them, and below what one address may hold at once.
  apiProfileSet: { maxBytes: 64 * MiB, idleMs: 20_000 },
} as const satisfies Record<string, RouteLimit>;

export type LimitName = keyof typeof LIMITS;

/** Bytes of bodies held at once over all requests; beyond it new bodies get 503 and Retry-After. */
export const MAX_BODY_BYTES_IN_FLIGHT = 256 * MiB;
/** Of these, bytes held for one address: a single stranger must not use them up for the fleet. */
export const MAX_BODY_BYTES_PER_PEER = 96 * MiB;
/** An RSA-4096 chain in Mdm-Signature passes Node's 16 KiB default (dependencies.md §14 no. 27). */
export const MAX_HEADER_BYTES = 64 * KiB;
/** Milliseconds for a client to finish its headers. */
export const HEADERS_TIMEOUT_MS = 10_000;
/** Milliseconds an idle connection is kept: TLS handshakes are what costs (dependencies.md §7). */
export const KEEP_ALIVE_MS = 65_000;

import type { PushAnswer, PushVerdict } from './types.ts';

const MINUTE = 60_000;

/** Delays in milliseconds before jitter. A 5xx is not repeated before 15 min, transport faults grow 30 s → 30 min (R12). */
export const RETRY = {
  transportFirst: 30_000,
  transportMost: 30 * MINUTE,
  tooManyRequests: MINUTE,
  serverError: 15 * MINUTE,
  topic: 5 * MINUTE,
} as const;

type Treatment = 'retire' | 'retry_token' | 'retry_server' | 'retry_now' | 'topic' | 'drop';

/** Apple's reasons (apple-protocol §7.2). BadDeviceToken is here under `topic`: fleet-wide it means a wrong certificate. */
const TREATMENTS = {
  BadCollapseId: 'drop',
  BadDeviceToken: 'topic',
  BadExpirationDate: 'drop',
  BadMessageId: 'drop',
  BadPriority: 'drop',
  BadTopic: 'topic',
  DeviceTokenNotForTopic: 'topic',
  DuplicateHeaders: 'drop',
  IdleTimeout: 'retry_now',
  InvalidPushType: 'drop',
  MissingDeviceToken: 'drop',
  MissingTopic: 'topic',
  PayloadEmpty: 'drop',
  TopicDisallowed: 'topic',
  BadCertificate: 'topic',
  BadCertificateEnvironment: 'topic',
  ExpiredProviderToken: 'topic',
  Forbidden: 'topic',
  InvalidProviderToken: 'topic',
  MissingProviderToken: 'topic',
  UnrelatedKeyIdInToken: 'topic',
  BadEnvironmentKeyIdInToken: 'topic',
  BadPath: 'drop',
  MethodNotAllowed: 'drop',
  ExpiredToken: 'retire',
  Unregistered: 'retire',
  PayloadTooLarge: 'drop',
  TooManyProviderTokenUpdates: 'retry_token',
  TooManyRequests: 'retry_token',
  InternalServerError: 'retry_server',
  ServiceUnavailable: 'retry_server',
  Shutdown: 'retry_now',
} as const satisfies Record<string, Treatment>;

/** A map, so that a reason like `toString` finds nothing. */
const BY_REASON: ReadonlyMap<string, Treatment> = new Map(Object.entries(TREATMENTS));

/** The body may be missing: classify by status then. */
function byStatus(status: number): Treatment {
  if (status === 410) return 'retire';
  if (status === 403) return 'topic';
  if (status === 429) return 'retry_token';
  if (status >= 500) return 'retry_server';
  return 'drop';
}

/**
 * Total over every status and reason. `tokenUpdatedAt` is when the token was last confirmed, `attempts` how often this
 * push has failed before, `chance` in [0, 1) spreads the retries by ±20 %.
 */
export function classify(answer: PushAnswer, tokenUpdatedAt: Date, attempts: number, chance: number): PushVerdict {
  const spread = (delay: number) => Math.round(delay * (0.8 + 0.4 * chance));
  if (answer.kind === 'transport_error') {
    const delay = Math.min(RETRY.transportMost, RETRY.transportFirst * 2 ** Math.min(attempts, 10));
    return { kind: 'retry', delayMs: spread(delay) };
  }
  if (answer.status === 200) return { kind: 'accepted' };
  const named = BY_REASON.get(answer.reason) ?? byStatus(answer.status);
  const treatment = named === 'retire' && answer.status !== 410 ? 'drop' : named;
  switch (treatment) {
    case 'retire': {
      // A TokenUpdate after Apple's timestamp brought a new life to the same token (PSH-06).
      const refreshed = answer.timestamp !== undefined && tokenUpdatedAt.getTime() > answer.timestamp;
      return refreshed ? { kind: 'retry', delayMs: spread(RETRY.tooManyRequests) } : { kind: 'retire_token' };
    }
    case 'retry_token': {
      const asked =
        answer.retryAfter === undefined ? RETRY.tooManyRequests * 2 ** Math.min(attempts, 6) : answer.retryAfter * 1000;
      return { kind: 'retry', delayMs: Math.max(asked, spread(asked)) };
    }
    case 'retry_server': {
      const asked = (answer.retryAfter ?? 0) * 1000;
      return { kind: 'retry', delayMs: Math.max(asked, spread(RETRY.serverError)) };
    }
    case 'retry_now':
      return { kind: 'retry', delayMs: spread(1000) };
    case 'topic':
      return { kind: 'stop_topic', delayMs: spread(RETRY.topic) };
    case 'drop':
      return { kind: 'drop' };
  }
}

/** What Apple says of one wrong token, and of every token where a wrong certificate is loaded (PSH-06). */
export function blamesToken(answer: PushAnswer): boolean {
  return (
    answer.kind === 'answered' && (answer.reason === 'BadDeviceToken' || answer.reason === 'DeviceTokenNotForTopic')
  );
}

/** Apple's reason words that have their own row; a test holds them against the reference list. */
export const KNOWN_REASONS: readonly string[] = [...BY_REASON.keys()];

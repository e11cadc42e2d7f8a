const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Every number the room works by. All times in milliseconds. */
export interface ReconcilerSettings {
  /** The promise: a change is planned at the latest after this long. */
  readonly intervalMs: number;
  /** A wake waits this long for others, and for the transaction that asked to commit. */
  readonly wakeDebounceMs: number;
  /** A wake looks once more after this long, for transactions that were slower than the debounce. */
  readonly wakeEchoMs: number;
  /** Enrolments per transaction. PGlite has one connection: devices wait while a transaction runs (design §5). */
  readonly batchSize: number;
  /** Commands one enrolment gets from one evaluation; the rest follows in the next. */
  readonly maxSendsPerHost: number;
  /** A report sooner than this after the acknowledgement proves nothing: installs go on in the background. */
  readonly verifyGraceMs: number;
  /** Times an acknowledged command that no observer confirms is sent again. */
  readonly maxVerifyMisses: number;
  readonly verifyBackoffMs: number;
  /** Doubled with each error of one intent. */
  readonly deliveryBackoffMs: number;
  readonly deliveryBackoffCapMs: number;
  /** Errors after which only the slow retry is left (known, passing ones) or nothing (unknown ones). */
  readonly maxDeliveryAttempts: number;
  /** For what only a person or another day can change. */
  readonly slowRetryMs: number;
  /** Where no agent reports, ProfileList follows the acknowledgement after this long (design §4). */
  readonly profileListDelayMs: number;
  /** An agent that reported rows within this long counts as an observer. */
  readonly agentFreshMs: number;
  /** How long a live agent may take before ProfileList is asked after all. */
  readonly agentPatienceMs: number;
  /** Acknowledged, and neither an agent nor ProfileList has answered for this long: shown as `no_observer`. */
  readonly noObserverAfterMs: number;
  /** ProfileList as routine where no agent reports. */
  readonly profileListEveryMs: number;
  /** The audit sees all enrolments in this many ticks. */
  readonly sweepSlices: number;
  /** First delay of an enrolment whose evaluation failed; doubled with each failure. */
  readonly quarantineBackoffMs: number;
  readonly quarantineCapMs: number;
  /** Foreign profiles kept per enrolment. */
  readonly maxObservedExtra: number;
  /** Counters younger than this are answered from memory, with their time. */
  readonly countersMaxAgeMs: number;
}

export const DEFAULT_SETTINGS: ReconcilerSettings = {
  intervalMs: 30 * SECOND,
  wakeDebounceMs: 50,
  wakeEchoMs: SECOND,
  batchSize: 1000,
  maxSendsPerHost: 500,
  verifyGraceMs: MINUTE,
  maxVerifyMisses: 2,
  verifyBackoffMs: MINUTE,
  deliveryBackoffMs: MINUTE,
  deliveryBackoffCapMs: 6 * HOUR,
  maxDeliveryAttempts: 4,
  slowRetryMs: 24 * HOUR,
  profileListDelayMs: 2 * MINUTE,
  agentFreshMs: 2 * HOUR,
  agentPatienceMs: 2 * HOUR,
  noObserverAfterMs: 24 * HOUR,
  profileListEveryMs: 24 * HOUR,
  sweepSlices: 20,
  quarantineBackoffMs: 30 * SECOND,
  quarantineCapMs: HOUR,
  maxObservedExtra: 200,
  countersMaxAgeMs: 2 * SECOND,
};

/** `deliveryBackoffMs · 2^(attempts-1)`, capped; ±10 % by `spread` (any integer) so that a fleet does not retry as one. */
export function backoff(base: number, cap: number, attempts: number, spread: number): number {
  const delay = Math.min(cap, base * 2 ** Math.min(30, Math.max(0, attempts - 1)));
  return Math.round(delay * (0.9 + 0.2 * (((Math.abs(spread) * 7919) % 1000) / 1000)));
}

import type { EnrollmentRef } from '../core/enrollment.ts';

/** A waiting push joined with what is needed to send it. */
export interface DuePush {
  readonly enrollment: EnrollmentRef;
  readonly topic: string;
  readonly token: Buffer;
  readonly magic: string;
  /** When this token was last confirmed by a TokenUpdate, for judging a 410 (PSH-06). */
  readonly tokenUpdatedAt: Date;
  readonly attempts: number;
}

/** What Apple answered, or that it did not. Milliseconds since the epoch in `timestamp`; seconds in `retryAfter`. */
export type PushAnswer =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly reason: string;
      readonly timestamp?: number;
      readonly retryAfter?: number;
    }
  | { readonly kind: 'transport_error'; readonly message: string };

/** What one answer means for one token, its topic and the outbox. */
export type PushVerdict =
  | { readonly kind: 'accepted' }
  /** The token is dead as of Apple's timestamp: stop pushing until the next TokenUpdate. Not unenrolled (PSH-06). */
  | { readonly kind: 'retire_token' }
  /** Try this token again after the delay; the command stays queued whatever happens (PSH-07). */
  | { readonly kind: 'retry'; readonly delayMs: number }
  /** Our certificate or request is wrong for every device of the topic: stop the topic and alert, never the device. */
  | { readonly kind: 'stop_topic'; readonly delayMs: number }
  /** A bug of ours in this one request: report it, do not repeat it. */
  | { readonly kind: 'drop' };

export interface PushOutcome {
  readonly enrollment: EnrollmentRef;
  readonly answer: PushAnswer;
  readonly verdict: PushVerdict;
}

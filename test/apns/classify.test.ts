import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classify, KNOWN_REASONS, RETRY } from '../../apns/classify.ts';
import type { PushAnswer, PushVerdict } from '../../apns/types.ts';

const updatedAt = new Date('2026-01-10T00:00:00Z');
const answered = (status: number, reason: string, more: object = {}): PushAnswer => ({
  kind: 'answered',
  status,
  reason,
  ...more,
});
const verdict = (answer: PushAnswer, attempts = 0, chance = 0.5): PushVerdict =>
  classify(answer, updatedAt, attempts, chance);

/** Apple's documented statuses and reasons (apple-protocol §7.2), each with what it must mean. */
const TABLE: readonly [number, string, PushVerdict['kind']][] = [
  [200, '', 'accepted'],
  [400, 'BadCollapseId', 'drop'],
  [400, 'BadDeviceToken', 'stop_topic'],
  [400, 'BadExpirationDate', 'drop'],
  [400, 'BadMessageId', 'drop'],
  [400, 'BadPriority', 'drop'],
  [400, 'BadTopic', 'stop_topic'],
  [400, 'DeviceTokenNotForTopic', 'stop_topic'],
  [400, 'DuplicateHeaders', 'drop'],
  [400, 'IdleTimeout', 'retry'],
  [400, 'InvalidPushType', 'drop'],
  [400, 'MissingDeviceToken', 'drop'],
  [400, 'MissingTopic', 'stop_topic'],
  [400, 'PayloadEmpty', 'drop'],
  [400, 'TopicDisallowed', 'stop_topic'],
  [403, 'BadCertificate', 'stop_topic'],
  [403, 'BadCertificateEnvironment', 'stop_topic'],
  [403, 'ExpiredProviderToken', 'stop_topic'],
  [403, 'Forbidden', 'stop_topic'],
  [403, 'InvalidProviderToken', 'stop_topic'],
  [403, 'MissingProviderToken', 'stop_topic'],
  [403, 'UnrelatedKeyIdInToken', 'stop_topic'],
  [403, 'BadEnvironmentKeyIdInToken', 'stop_topic'],
  [404, 'BadPath', 'drop'],
  [405, 'MethodNotAllowed', 'drop'],
  [410, 'ExpiredToken', 'retire_token'],
  [410, 'Unregistered', 'retire_token'],
  [413, 'PayloadTooLarge', 'drop'],
  [429, 'TooManyProviderTokenUpdates', 'retry'],
  [429, 'TooManyRequests', 'retry'],
  [500, 'InternalServerError', 'retry'],
  [503, 'ServiceUnavailable', 'retry'],
  [503, 'Shutdown', 'retry'],
];

describe('classify', () => {
  it.each(TABLE)('%i %s means %s', (status, reason, kind) => {
    expect(verdict(answered(status, reason)).kind).toBe(kind);
  });

  it('has a row of its own for every reason Apple documents, and for no other word', () => {
    expect([...KNOWN_REASONS].sort()).toEqual(
      TABLE.map(([, reason]) => reason)
        .filter((reason) => reason !== '')
        .sort(),
    );
  });

  it('PSH-06: only a 410 ever retires a token', () => {
    const reasons = fc.oneof(fc.constantFrom(...KNOWN_REASONS), fc.string());
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 599 }), reasons, fc.nat(20), (status, reason, attempts) => {
        const kind = verdict(answered(status, reason), attempts).kind;
        if (kind === 'retire_token') expect(status).toBe(410);
      }),
    );
  });

  it("PSH-06: a token confirmed after Apple's timestamp is kept, for every order of the two times", () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e9, max: 1e9 }), (difference) => {
        const timestamp = updatedAt.getTime() + difference;
        const kind = verdict(answered(410, 'Unregistered', { timestamp })).kind;
        expect(kind).toBe(difference < 0 ? 'retry' : 'retire_token');
      }),
    );
  });

  it('a missing body is judged by the status (PSH-09)', () => {
    expect(verdict(answered(410, '')).kind).toBe('retire_token');
    expect(verdict(answered(403, '')).kind).toBe('stop_topic');
    expect(verdict(answered(502, '')).kind).toBe('retry');
    expect(verdict(answered(418, '')).kind).toBe('drop');
  });

  it('R12: a 5xx is not repeated before 12 minutes, and never before Retry-After', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(7200), (chance, retryAfter) => {
        const answer = classify(answered(503, 'ServiceUnavailable', { retryAfter }), updatedAt, 0, chance);
        if (answer.kind !== 'retry') throw new Error(answer.kind);
        expect(answer.delayMs).toBeGreaterThanOrEqual(Math.max(RETRY.serverError * 0.8, retryAfter * 1000));
      }),
    );
  });

  it('R12: transport faults back off from 30 s to 30 min with ±20 %', () => {
    const delays = Array.from({ length: 12 }, (_, attempts) => {
      const answer = verdict({ kind: 'transport_error', message: 'reset' }, attempts);
      return answer.kind === 'retry' ? answer.delayMs : 0;
    });
    expect(delays[0]).toBe(30_000);
    expect(delays.at(-1)).toBe(30 * 60_000);
    expect(delays).toEqual([...delays].sort((a, b) => a - b));
  });
});

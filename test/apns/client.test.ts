import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createPushClient } from '../../apns/client.ts';
import type { PushClient } from '../../apns/ports.ts';
import { readPushCertificate } from '../../apns/push-certificate.ts';
import type { DuePush } from '../../apns/types.ts';
import { type FakeApns, startFakeApns } from '../../simulator/fake-apns.ts';

const now = new Date();
let apns: FakeApns;
let client: PushClient;
let outcome: 'delivered' | 'unregistered' | 'unknown' | 'other_topic' = 'delivered';
let seen: { token: string; magic: string | undefined; topic: string }[] = [];

function push(number = 1, more: Partial<DuePush> = {}): DuePush {
  return {
    enrollment: number,
    topic: apns.push.topic,
    token: Buffer.alloc(32, number),
    magic: `magic "${number}" \u00e9`,
    tokenUpdatedAt: now,
    attempts: 0,
    ...more,
  };
}

beforeAll(async () => {
  apns = await startFakeApns({
    onPush: (one) => {
      seen.push({ token: one.token, magic: one.magic, topic: one.topic });
      return outcome;
    },
  });
  const certificate = readPushCertificate(apns.push.certificate, apns.push.key, now);
  client = createPushClient(certificate, { url: apns.url, ca: apns.ca });
});
afterAll(async () => {
  await client.close();
  await apns.close();
});

describe('the APNs client against a push service over HTTP/2 and TLS', () => {
  it('PSH-01, PSH-02: token in lower-case hex, PushMagic unchanged, our topic', async () => {
    seen = [];
    expect(await client.send(push(0xab))).toEqual({ kind: 'answered', status: 200, reason: '' });
    expect(seen).toEqual([{ token: 'ab'.repeat(32), magic: 'magic "171" \u00e9', topic: apns.push.topic }]);
    expect(apns.violations).toEqual([]);
  });

  it('410 comes with the time in milliseconds', async () => {
    outcome = 'unregistered';
    const answer = await client.send(push());
    outcome = 'delivered';
    expect(answer).toMatchObject({
      kind: 'answered',
      status: 410,
      reason: 'Unregistered',
      timestamp: expect.any(Number),
    });
  });

  it('a 429 is one request and one answer: no retry of the library', async () => {
    const before = apns.received();
    apns.program({ kind: 'answer', answer: { status: 429, reason: 'TooManyRequests', retryAfter: 1 } }, 1);
    expect(await client.send(push())).toMatchObject({ kind: 'answered', status: 429, reason: 'TooManyRequests' });
    expect(apns.received()).toBe(before + 1);
  });

  it('an answer without a body is told by its status', async () => {
    apns.program({ kind: 'answer', answer: { status: 503, body: false } }, 1);
    expect(await client.send(push())).toMatchObject({ kind: 'answered', status: 503 });
  });

  it.each(['goaway', 'refused', 'cut'] as const)(
    'PSH-09: after %s the next push goes through on a new connection',
    async (kind) => {
      apns.program({ kind }, 1);
      const hit = await client.send(push());
      expect(hit.kind === 'transport_error' || hit.status === 200).toBe(true);
      await expect
        .poll(async () => client.send(push()), { timeout: 10_000 })
        .toEqual({ kind: 'answered', status: 200, reason: '' });
    },
  );

  it('PSH-09: MAX_CONCURRENT_STREAMS = 1 slows a burst, and loses none of it', async () => {
    const narrow = await startFakeApns({ maxConcurrentStreams: 1, onPush: () => 'delivered' });
    const own = createPushClient(readPushCertificate(narrow.push.certificate, narrow.push.key, now), {
      url: narrow.url,
      ca: narrow.ca,
    });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => own.send(push(n, { topic: narrow.push.topic }))),
    );
    await own.close();
    await narrow.close();
    expect(answers.every((answer) => answer.kind === 'transport_error' || answer.status === 200)).toBe(true);
    expect(answers.some((answer) => answer.kind === 'answered' && answer.status === 200)).toBe(true);
  });

  it('a service that is not there is an answer, not a throw', async () => {
    const certificate = readPushCertificate(apns.push.certificate, apns.push.key, now);
    const lost = createPushClient(certificate, { url: 'https://localhost:1', ca: apns.ca });
    expect((await lost.send(push())).kind).toBe('transport_error');
    await lost.close();
  });

  it('a push service of another root is not trusted', async () => {
    const stranger = await startFakeApns({ onPush: () => 'delivered' });
    const own = createPushClient(readPushCertificate(apns.push.certificate, apns.push.key, now), {
      url: stranger.url,
      ca: apns.ca,
    });
    expect((await own.send(push())).kind).toBe('transport_error');
    expect(stranger.received()).toBe(0);
    await own.close();
    await stranger.close();
  });
});

it('a stored certificate that has expired is an answer to each push, not the end of the server', async () => {
  const certificate = readPushCertificate(apns.push.certificate, apns.push.key, now);
  vi.useFakeTimers({ toFake: ['Date'], now: now.getTime() + 5 * 365 * 86_400_000 });
  try {
    const expired = createPushClient(certificate, { url: apns.url, ca: apns.ca });
    expect(await expired.send(push())).toMatchObject({
      kind: 'transport_error',
      message: expect.stringContaining('expired'),
    });
    await expired.close();
  } finally {
    vi.useRealTimers();
  }
});

describe('readPushCertificate', () => {
  it('PSH-13: refuses another key, another topic prefix, an expired certificate, text that is none', async () => {
    const other = await startFakeApns({ onPush: () => 'delivered' });
    await other.close();
    const refused = (certificate: string, key: string, at = now) => {
      try {
        readPushCertificate(certificate, key, at);
      } catch (error) {
        return (error as { code: string }).code;
      }
      return 'accepted';
    };
    expect(refused(apns.push.certificate, other.push.key)).toBe('push_certificate_invalid');
    expect(refused('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', apns.push.key)).toBe(
      'push_certificate_invalid',
    );
    expect(refused(apns.push.certificate, 'no key')).toBe('push_certificate_invalid');
    expect(refused(apns.ca, other.push.key)).toBe('push_certificate_invalid');
    expect(refused(apns.push.certificate, apns.push.key, new Date(now.getTime() + 5 * 365 * 86_400_000))).toBe(
      'push_certificate_invalid',
    );
    expect(refused(apns.push.certificate, apns.push.key)).toBe('accepted');
  });
});

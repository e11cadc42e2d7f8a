import { mkdtempSync, rmSync } from 'node:fs';
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createPushClient } from '../../apns/client.ts';
import { readPushCertificate } from '../../apns/push-certificate.ts';
import type { MdmPush } from '../../simulator/apns-request.ts';
import { type FakeApns, startFakeApns, type TokenOutcome } from '../../simulator/fake-apns.ts';
import { keyPem, newAuthority, newTlsLeaf, pem } from './support/pki.ts';

const TOKEN = 'ab'.repeat(32);
let folder: string;
let apns: FakeApns;
let sessions: ClientHttp2Session[] = [];
let pushes: MdmPush[] = [];
let outcome: TokenOutcome = 'delivered';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'apns-'));
  const onPush = (push: MdmPush): TokenOutcome => {
    pushes.push(push);
    return outcome;
  };
  apns = await startFakeApns({ folder, onPush });
});
afterEach(() => {
  for (const session of sessions) session.destroy();
  sessions = [];
  pushes = [];
  outcome = 'delivered';
});
afterAll(async () => {
  await apns.close();
  rmSync(folder, { recursive: true });
});

function session(identity?: { key: string; cert: string }): ClientHttp2Session {
  const { certificate: cert, key } = apns.push;
  const opened = connect(apns.url, { ca: apns.ca, ...(identity ?? { cert, key }) });
  opened.on('error', () => undefined);
  sessions.push(opened);
  return opened;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function post(
  over: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
  body: string = JSON.stringify({ mdm: 'magic' }),
): Promise<Answer> {
  const stream = over.request({
    ':method': 'POST',
    ':path': `/3/device/${TOKEN}`,
    'apns-topic': apns.push.topic,
    'apns-push-type': 'mdm',
    ...headers,
  });
  return new Promise((resolve, reject) => {
    let text = '';
    let answered: Record<string, unknown> = {};
    stream.on('response', (received) => {
      answered = received;
    });
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('end', () => {
      const status = answered[':status'];
      if (typeof status === 'number') resolve({ status, headers: answered, body: text });
      else reject(new Error('the stream ended without an answer'));
    });
    stream.on('error', reject);
    stream.end(body);
  });
}

describe('MAC-71 APNs', () => {
  it('accepts a right push and hands over token, topic and magic', async () => {
    const answer = await post(session(), { 'apns-id': '123E4567-E89B-42D3-A456-426614174000', 'apns-priority': '10' });
    expect([answer.status, answer.body]).toEqual([200, '']);
    expect(answer.headers['apns-id']).toBe('123E4567-E89B-42D3-A456-426614174000');
    expect(pushes).toEqual([{ token: TOKEN, topic: apns.push.topic, magic: 'magic' }]);
  });

  it.each<[string, number, OutgoingHttpHeaders, string | undefined]>([
    ['MethodNotAllowed', 405, { ':method': 'PUT' }, undefined],
    ['BadPath', 404, { ':path': `/3/devices/${TOKEN}` }, undefined],
    ['BadDeviceToken', 400, { ':path': `/3/device/${TOKEN.toUpperCase()}` }, undefined],
    ['MissingDeviceToken', 400, { ':path': '/3/device/' }, undefined],
    ['MissingTopic', 400, { 'apns-topic': undefined }, undefined],
    ['TopicDisallowed', 400, { 'apns-topic': 'com.apple.mgmt.External.other' }, undefined],
    ['InvalidPushType', 400, { 'apns-push-type': 'alert' }, undefined],
    ['InvalidPushType', 400, { 'apns-push-type': undefined }, undefined],
    ['BadPriority', 400, { 'apns-priority': '7' }, undefined],
    ['BadExpirationDate', 400, { 'apns-expiration': 'tomorrow' }, undefined],
    ['BadMessageId', 400, { 'apns-id': '1' }, undefined],
    ['PayloadEmpty', 400, {}, ''],
    ['PayloadTooLarge', 413, {}, 'x'.repeat(4097)],
  ])('answers %s', async (reason, status, headers, body) => {
    const answer = await post(session(), headers, body);
    expect([answer.status, JSON.parse(answer.body)]).toEqual([status, { reason }]);
    expect(pushes).toEqual([]);
  });

  it('accepts a body that is no MDM push, as Apple does, but notes it', async () => {
    const before = apns.violations.length;
    expect((await post(session(), {}, '{"aps":{},"mdm":"magic"}')).status).toBe(200);
    expect(apns.violations.length).toBe(before + 1);
    expect(pushes[0]?.magic).toBeUndefined();
  });

  it('answers 410 with a timestamp in milliseconds for a token that is dead', async () => {
    outcome = 'unregistered';
    const answer = await post(session());
    expect(answer.status).toBe(410);
    expect(JSON.parse(answer.body)).toEqual({ reason: 'Unregistered', timestamp: expect.any(Number) });
  });

  it.each([
    ['unknown', 'BadDeviceToken'],
    ['other_topic', 'DeviceTokenNotForTopic'],
  ] as const)('answers 400 for a token that is %s', async (token, reason) => {
    outcome = token;
    expect(JSON.parse((await post(session())).body)).toEqual({ reason });
  });

  it('lets nobody in without a client certificate of its own CA', async () => {
    const stranger = newTlsLeaf(newAuthority('Stranger', 'ec'));
    for (const identity of [
      { cert: '', key: '' },
      { cert: pem(stranger.certificate), key: keyPem(stranger.key) },
    ]) {
      await expect(post(session(identity))).rejects.toThrow();
    }
    expect(pushes).toEqual([]);
  });
});

describe('MAC-71 devices that are off', () => {
  it('get the newest push once they are there', async () => {
    const early = await startFakeApns({ folder });
    const over = connect(early.url, { ca: early.ca, cert: early.push.certificate, key: early.push.key });
    sessions.push(over);
    expect((await post(over, {}, '{"mdm":"old"}')).status).toBe(200);
    expect((await post(over, {}, '{"mdm":"new"}')).status).toBe(200);
    const seen: MdmPush[] = [];
    const onPush = (push: MdmPush): TokenOutcome => {
      seen.push(push);
      return 'unregistered';
    };
    early.attach(onPush);
    expect(seen.map(({ magic }) => magic)).toEqual(['new']);
    expect((await post(over)).status).toBe(410);
    await early.close();
  });
});

describe('programmed faults', () => {
  it('answers as told, so many times', async () => {
    apns.program({ kind: 'answer', answer: { status: 429, reason: 'TooManyRequests', retryAfter: 3 } }, 2);
    const over = session();
    for (let time = 0; time < 2; time += 1) {
      const answer = await post(over);
      expect([answer.status, answer.headers['retry-after']]).toEqual([429, '3']);
    }
    expect((await post(over)).status).toBe(200);
  });

  it('answers without a body, or slowly', async () => {
    apns.program({ kind: 'answer', answer: { status: 500, body: false } });
    apns.program({ kind: 'slow', ms: 5 });
    const over = session();
    expect(await post(over)).toMatchObject({ status: 500, body: '' });
    expect((await post(over)).status).toBe(200);
  });

  it('refuses a stream and goes on', async () => {
    apns.program({ kind: 'refused' });
    const over = session();
    await expect(post(over)).rejects.toThrow('REFUSED_STREAM');
    expect((await post(over)).status).toBe(200);
  });

  it('says GOAWAY, or cuts the connection', async () => {
    apns.program({ kind: 'goaway' });
    const first = session();
    await expect(post(first)).rejects.toThrow();
    expect(first.closed).toBe(true);
    apns.program({ kind: 'cut' });
    const second = session();
    await post(second).catch(() => undefined);
    expect((await post(session())).status).toBe(200);
  });

  it('announces how many streams it takes', async () => {
    const narrow = await startFakeApns({ folder, maxConcurrentStreams: 1, onPush: () => 'delivered' });
    const over = connect(narrow.url, { ca: narrow.ca, cert: narrow.push.certificate, key: narrow.push.key });
    await new Promise((resolve) => over.once('remoteSettings', resolve));
    expect(over.remoteSettings.maxConcurrentStreams).toBe(1);
    over.destroy();
    await narrow.close();
  });
});

describe('the push certificate', () => {
  it('is the same after a restart', async () => {
    const again = await startFakeApns({ folder, onPush: () => 'delivered' });
    expect(again.push).toEqual(apns.push);
    await again.close();
  });

  it('is taken by the client library a server uses', async () => {
    const { certificate, key } = apns.push;
    const read = readPushCertificate(certificate, key, new Date());
    expect(read.topic).toBe(apns.push.topic);
    const client = createPushClient(read, { url: apns.url, ca: apns.ca });
    const push = { topic: read.topic, magic: 'a "quoted" magic', token: Buffer.from(TOKEN, 'hex') };
    // The client reads no more of a DuePush than these three.
    expect(await client.send(push as Parameters<typeof client.send>[0])).toMatchObject({ status: 200 });
    expect(pushes.at(-1)?.magic).toBe('a "quoted" magic');
    await client.close();
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { verifySignedData } from '../../cms/signed-data.ts';
import { aMac, ruleOf, rules, wake } from './support/a-mac.ts';
import { makeWorld, put, TinyServer, type World, type Wrong } from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
beforeAll(() => {
  world = makeWorld();
});
afterEach(() => server.close());

const user = { userId: 'AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA', shortName: 'ana', longName: 'Ana' };

describe('check-in', () => {
  it.each([400, 403, 500, 503])('MAC-41 an Authenticate answered %d ends the enrolment', async (status) => {
    server = await TinyServer.start(world, { checkIn: () => ({ status }) });
    const mac = aMac(server);
    expect(await ruleOf(mac.enroll(server.link))).toBe('MAC-41');
    expect(server.messages('TokenUpdate')).toEqual([]);
    expect(mac.phase).toBe('new');
  });

  it('MAC-55 an Authenticate answered 401 ends it as well', async () => {
    server = await TinyServer.start(world, { checkIn: () => ({ status: 401 }) });
    expect(await ruleOf(aMac(server).enroll(server.link))).toBe('MAC-55');
  });

  it('MAC-07 a redirect is followed and not remembered, and never to http', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server);
    await mac.enroll(server.link);
    server.wrong = { redirect: { '/mdm': `${server.url}/elsewhere` } };
    await wake(mac, server);
    await wake(mac, server);
    expect(server.received.slice(-4).map(({ path, method }) => `${method} ${path}`)).toEqual([
      'PUT /mdm',
      'PUT /elsewhere',
      'PUT /mdm',
      'PUT /elsewhere',
    ]);
    server.wrong = { redirect: { '/mdm': 'http://localhost/elsewhere' } };
    await wake(mac, server);
    expect(server.received.at(-1)?.path).toBe('/mdm');
  });

  it('MAC-41 a TokenUpdate that is not accepted ends it too, and nothing is installed', async () => {
    const checkIn: Wrong['checkIn'] = (message) =>
      message.get('MessageType') === 'TokenUpdate' ? { status: 500 } : {};
    server = await TinyServer.start(world, { checkIn });
    const mac = aMac(server);
    expect(await ruleOf(mac.enroll(server.link))).toBe('MAC-41');
    expect(mac.profiles('device')).toEqual([]);
    expect(mac.certificate).toBeUndefined();
  });

  it('MAC-42 every message is signed over exactly its body, sent by PUT and named by its media type', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server);
    await mac.enroll(server.link);
    await wake(mac, server);
    const messages = server.received.filter(({ path }) => path === '/mdm' || path === '/checkin');
    expect(messages.length).toBe(3);
    for (const { path, method, headers, raw } of messages) {
      expect(method).toBe('PUT');
      const type = String(headers['content-type']).split(';')[0];
      expect(type).toBe(path === '/mdm' ? 'application/x-apple-aspen-mdm' : 'application/x-apple-aspen-mdm-checkin');
      const signature = Buffer.from(String(headers['mdm-signature']), 'base64');
      const { signer } = verifySignedData(signature, { detachedContent: raw });
      expect(signer.issuerDer.equals(world.ca.certificate.subjectDer)).toBe(true);
    }
  });

  it('MAC-42 bodies come with and without their length', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server);
    await mac.enroll(server.link);
    for (let push = 0; push < 40; push += 1) await wake(mac, server);
    const chunked = server.received.filter(({ headers }) => headers['transfer-encoding'] === 'chunked').length;
    expect(chunked).toBeGreaterThan(0);
    expect(chunked).toBeLessThan(server.received.length);
  });

  it('MAC-43 what device information it gives is bounded by the access rights', async () => {
    server = await TinyServer.start(world, { profile: (_, { mdm }) => put(mdm, 'AccessRights', 8191 & ~16) });
    await aMac(server).enroll(server.link);
    const [message] = server.messages('Authenticate');
    expect(message?.has('SerialNumber')).toBe(false);
    expect(message?.has('Model')).toBe(true);
  });

  it('MAC-44 the user who installed the profile has a channel with a token and magic of its own', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server, { user });
    await mac.enroll(server.link);
    const [device, ofUser] = server.messages('TokenUpdate');
    expect(ofUser?.get('UserID')).toBe(user.userId);
    expect(ofUser?.get('NotOnConsole')).toBe(false);
    expect(ofUser?.get('PushMagic')).not.toBe(device?.get('PushMagic'));
    expect(mac.token('user')).not.toBe(mac.token('device'));
    await wake(mac, server, 'user');
    expect(server.polls().map((poll) => poll.get('UserID'))).toEqual([user.userId]);
  });

  it('MAC-44 without per-user connections there is no user channel', async () => {
    server = await TinyServer.start(world, { profile: (_, { mdm }) => put(mdm, 'ServerCapabilities', undefined) });
    const mac = aMac(server, { user });
    await mac.enroll(server.link);
    expect(server.messages('TokenUpdate')).toHaveLength(1);
    expect(mac.token('user')).toBeUndefined();
  });

  it('MAC-57 a user answered 410 is not managed, and the device goes on', async () => {
    const checkIn: Wrong['checkIn'] = (message) => (message.has('UserID') ? { status: 410 } : {});
    server = await TinyServer.start(world, { checkIn });
    const mac = aMac(server, { user });
    await mac.enroll(server.link);
    expect(mac.phase).toBe('enrolled');
    expect(mac.token('user')).toBeUndefined();
  });

  it('MAC-52 a check-in that is accepted with a body is a violation', async () => {
    server = await TinyServer.start(world, { checkIn: () => ({ type: 'application/xml', body: '<plist/>' }) });
    const mac = aMac(server);
    await mac.enroll(server.link);
    expect(rules(mac)).toEqual(['MAC-52', 'MAC-52']);
  });

  it('MAC-45 removing the profile sends one CheckOut and waits for nobody', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server);
    await mac.enroll(server.link);
    server.wrong = { checkIn: () => ({ status: 500 }) };
    await mac.unenroll();
    expect(server.messages('CheckOut')).toHaveLength(1);
    expect(mac.phase).toBe('unenrolled');
    expect(mac.profiles('device')).toEqual([]);
  });

  it('MAC-41 enrolling again is a new enrolment, with a new identity, token and magic', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server, { user });
    await mac.enroll(server.link);
    const before = [mac.certificate, mac.token('device'), mac.token('user')];
    await mac.unenroll();
    await mac.enroll(server.link);
    const after = [mac.certificate, mac.token('device'), mac.token('user')];
    expect(new Set([...before, ...after]).size).toBe(6);
    expect(new Set(server.messages('TokenUpdate').map((message) => message.get('PushMagic'))).size).toBe(4);
  });

  it('MAC-44 tokens outlive a restart and differ by channel', async () => {
    server = await TinyServer.start(world);
    const folder = mkdtempSync(join(tmpdir(), 'mac-'));
    const first = aMac(server, { folder, user });
    await first.enroll(server.link);
    const tokens = [first.token('device'), first.token('user')];
    expect(new Set(tokens).size).toBe(2);
    await first.close();
    const again = aMac(server, { folder, user });
    expect([again.token('device'), again.token('user')]).toEqual(tokens);
    rmSync(folder, { recursive: true });
  });

  it('MAC-45 no CheckOut unless the profile asked for it', async () => {
    server = await TinyServer.start(world, { profile: (_, { mdm }) => put(mdm, 'CheckOutWhenRemoved', undefined) });
    const mac = aMac(server);
    await mac.enroll(server.link);
    await mac.unenroll();
    expect(server.messages('CheckOut')).toEqual([]);
  });
});

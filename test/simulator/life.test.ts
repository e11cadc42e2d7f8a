import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { writePlistBytes } from '../../plist/write.ts';
import type { SimulatedMac } from '../../simulator/mac.ts';
import { aMac, held, install, ruleOf, run, settled, wake } from './support/a-mac.ts';
import { profile, uuid } from './support/profiles.ts';
import {
  type Dict,
  ENROLLMENT_IDENTIFIER,
  makeWorld,
  type Payloads,
  put,
  TinyServer,
  type World,
} from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
beforeAll(() => {
  world = makeWorld();
});
afterEach(() => server.close());

const user = { userId: 'AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA', shortName: 'ana', longName: 'Ana' };

async function enrolled(options: Parameters<typeof aMac>[1] = {}): Promise<SimulatedMac> {
  server = await TinyServer.start(world);
  const mac = aMac(server, options);
  await mac.enroll(server.link);
  return mac;
}

describe('an erased Mac', () => {
  it('MAC-91 has nothing left and tells no server', async () => {
    const mac = await enrolled({ user });
    await install(mac, profile('a'));
    mac.installByHand(writePlistBytes(profile('by-hand')));
    mac.installApp({ name: 'Chat', bundleIdentifier: 'org.example.chat' });
    mac.nodeKey = 'key 1';
    const token = mac.token('device');
    await mac.erase();
    expect(server.messages('CheckOut')).toEqual([]);
    expect([mac.phase, mac.profiles('device'), mac.profiles('user'), mac.nodeKey]).toEqual(['new', [], [], undefined]);
    expect(mac.apps.map(({ name }) => name)).not.toContain('Chat');
    expect(mac.push(token ?? '', '')).toBe('unregistered');
  });

  it('MAC-91 enrols anew as the same hardware with another token', async () => {
    const mac = await enrolled();
    const [token, { udid }] = [mac.token('device'), mac.identity];
    await mac.erase();
    await mac.enroll(server.link);
    expect(server.messages('Authenticate').map((message) => message.get('UDID'))).toEqual([udid, udid]);
    expect(mac.token('device')).not.toBe(token);
    await install(mac, profile('a'));
    expect(held(mac)).toEqual(['a']);
    expect(mac.violations).toEqual([]);
  });
});

describe('re-enrolling in place', () => {
  it('MAC-92 keeps what is installed, under a new identity, token and magic', async () => {
    const mac = await enrolled();
    await install(mac, profile('a'));
    const [certificate, token] = [mac.certificate, mac.token('device')];
    await mac.reenroll(server.link);
    expect(held(mac)).toEqual(['a']);
    expect(mac.certificate).not.toBe(certificate);
    expect(mac.token('device')).not.toBe(token);
    expect(server.messages('CheckOut')).toEqual([]);
    expect((await run(mac, { RequestType: 'ProfileList' })).status).toBe('Acknowledged');
  });

  it('MAC-92 that fails leaves the old management at work', async () => {
    const mac = await enrolled();
    const [certificate, token] = [mac.certificate, mac.token('device')];
    server.wrong = {
      checkIn: (message) => (message.get('MessageType') === 'TokenUpdate' ? { status: 500 } : undefined),
    };
    expect(await ruleOf(mac.reenroll(server.link))).toBe('MAC-41');
    server.wrong = {};
    expect([mac.phase, mac.certificate, mac.token('device')]).toEqual(['enrolled', certificate, token]);
  });

  it('MAC-92 with another Topic is refused', async () => {
    const mac = await enrolled();
    server.wrong = { profile: (_: Dict, { mdm }: Payloads) => put(mdm, 'Topic', 'com.apple.mgmt.External.other') };
    expect(await ruleOf(mac.reenroll(server.link))).toBe('MAC-21');
    expect(server.messages('Authenticate')).toHaveLength(1);
  });
});

describe('Migration Assistant', () => {
  it('MAC-93 brings profiles that nobody manages, and a dead enrolment profile', async () => {
    const old = await enrolled();
    await install(old, profile('a'));
    const mac = aMac(server, { seed: 'another Mac' });
    mac.migrateFrom(old);
    expect(mac.phase).toBe('new');
    expect(mac.profiles('device').map(({ identifier, managed }) => [identifier, managed])).toEqual([
      ['a', false],
      [ENROLLMENT_IDENTIFIER, false],
    ]);
    await mac.enroll(server.link);
    expect(mac.profiles('device').find(({ identifier }) => identifier === ENROLLMENT_IDENTIFIER)?.managed).toBe(true);
    expect((await run(mac, { RequestType: 'RemoveProfile', Identifier: 'a' })).errors).toEqual([
      ['MCMDMErrorDomain', 12013],
    ]);
    await install(mac, profile('a'));
    expect((await run(mac, { RequestType: 'RemoveProfile', Identifier: 'a' })).status).toBe('Acknowledged');
    expect(held(mac)).toEqual([]);
  });

  it('MAC-93 a dead enrolment profile of another server stands in the way', async () => {
    server = await TinyServer.start(world, {
      profile: (enrolment) => {
        put(enrolment, 'PayloadIdentifier', 'com.example.other-server');
        put(enrolment, 'PayloadUUID', uuid());
      },
    });
    const old = aMac(server);
    await old.enroll(server.link);
    server.wrong = {};
    const mac = aMac(server, { seed: 'another Mac' });
    mac.migrateFrom(old);
    expect(await ruleOf(mac.enroll(server.link))).toBe('MAC-22');
    expect(server.messages('Authenticate')).toHaveLength(1);
  });
});

it('MAC-94 what another server left stays through enrolling, is reported, and is not removed by command', async () => {
  server = await TinyServer.start(world);
  const mac = aMac(server);
  mac.installByHand(writePlistBytes(profile('left-over')));
  await mac.enroll(server.link);
  expect(held(mac)).toEqual(['left-over']);
  const outcome = await run(mac, { RequestType: 'RemoveProfile', Identifier: 'left-over' });
  expect(outcome.errors).toEqual([['MCMDMErrorDomain', 12013]]);
  expect(held(mac)).toEqual(['left-over']);
});

it('MAC-98 a user whose keychain is locked answers NotNow to everything, the device channel does not', async () => {
  const mac = await enrolled({ user, faults: { userLocked: true }, sleep: () => new Promise(() => undefined) });
  server.add({ RequestType: 'ProfileList' });
  for (const channel of ['user', 'device'] as const) {
    const update = server.messages('TokenUpdate').find((message) => message.has('UserID') === (channel === 'user'));
    mac.push(mac.token(channel) ?? '', String(update?.get('PushMagic')));
    await mac.quiet();
  }
  expect(server.results.map((result) => result.get('Status'))).toEqual(['NotNow', 'Acknowledged']);
});

it('MAC-97 the channel of a user who is logged out is silent until they log in; the device goes on', async () => {
  const mac = await enrolled({ user });
  mac.logOut();
  server.add({ RequestType: 'ProfileList' });
  await wake(mac, server, 'user');
  expect(server.results).toEqual([]);
  await wake(mac, server, 'device');
  expect(server.results).toHaveLength(1);
  server.add({ RequestType: 'ProfileList' });
  mac.logIn();
  await settled(mac);
  expect(server.results.at(-1)?.has('UserID')).toBe(true);
});

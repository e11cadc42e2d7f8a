import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildSignedData } from '../../cms/signed-data.ts';
import { readPlist } from '../../plist/read.ts';
import type { PlistDict } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import type { SimulatedMac } from '../../simulator/mac.ts';
import { aMac, held, install, run } from './support/a-mac.ts';
import { profile, uuid } from './support/profiles.ts';
import { type Dict, ENROLLMENT_IDENTIFIER, makeWorld, put, TinyServer, type World } from './support/tiny-server.ts';

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

describe('InstallProfile', () => {
  it('installs plain and signed profiles', async () => {
    const mac = await enrolled();
    expect((await install(mac, profile('a'))).status).toBe('Acknowledged');
    const signer = { certificateDer: world.root.certificate.der, key: world.root.key };
    const Payload = buildSignedData({ content: writePlistBytes(profile('b')), signer });
    expect((await run(mac, { RequestType: 'InstallProfile', Payload })).status).toBe('Acknowledged');
    expect(mac.profiles('device').map(({ identifier, verification }) => [identifier, verification])).toEqual([
      ['a', 'unsigned'],
      ['b', 'verified'],
      [ENROLLMENT_IDENTIFIER, 'verified'],
    ]);
  });

  it('MAC-64 replaces by PayloadIdentifier within a channel, and leaves the other channel alone', async () => {
    const mac = await enrolled({ user });
    await install(mac, profile('a'));
    await install(mac, profile('a'), 'user');
    const newer = profile('a');
    await install(mac, newer);
    expect(held(mac)).toEqual(['a']);
    expect(mac.profiles('device')[0]?.uuid).toBe(newer['PayloadUUID']);
    expect(mac.profiles('user')[0]?.uuid).not.toBe(newer['PayloadUUID']);
  });

  it('MAC-68 Payload is data, encoded once', async () => {
    const mac = await enrolled();
    const bytes = writePlistBytes(profile('a'));
    expect((await run(mac, { RequestType: 'InstallProfile', Payload: bytes.toString('base64') })).status).toBe(
      'CommandFormatError',
    );
    const twice = Buffer.from(bytes.toString('base64'));
    const outcome = await run(mac, { RequestType: 'InstallProfile', Payload: twice });
    expect(outcome.errors.at(-1)).toEqual(['MCProfileErrorDomain', 1000]);
    expect(held(mac)).toEqual([]);
  });

  it('MAC-61 a device payload is refused on the user channel', async () => {
    const mac = await enrolled({ user });
    const outcome = await install(
      mac,
      profile('fv', [{ PayloadType: 'com.apple.MCX.FileVault2', Enable: 'On' }]),
      'user',
    );
    expect(outcome.status).toBe('Error');
    expect(outcome.errors).toEqual([
      ['MCInstallationErrorDomain', 4001],
      ['MCProfileErrorDomain', 1010],
    ]);
    expect(held(mac, 'user')).toEqual([]);
  });

  it('MAC-61 a user payload is refused on the device channel', async () => {
    const mac = await enrolled();
    expect((await install(mac, profile('mail', [{ PayloadType: 'com.apple.mail.managed' }]))).status).toBe('Error');
  });

  it.each([
    ['User', 'device'],
    ['System', 'user'],
  ] as const)('MAC-61 PayloadScope %s is refused on the %s channel', async (PayloadScope, channel) => {
    const mac = await enrolled({ user });
    expect((await install(mac, profile('a', undefined, { PayloadScope }), channel)).status).toBe('Error');
  });

  it('MAC-62 a second FileVault escrow payload is refused, an update of the first is not', async () => {
    const mac = await enrolled();
    const escrow = (identifier: string): Dict => {
      const certificate = {
        PayloadType: 'com.apple.security.pkcs1',
        PayloadUUID: uuid(),
        PayloadContent: Buffer.of(1),
      };
      const payload = { PayloadType: 'com.apple.security.FDERecoveryKeyEscrow', Location: 'here' };
      return profile(identifier, [certificate, { ...payload, EncryptCertPayloadUUID: certificate.PayloadUUID }]);
    };
    expect((await install(mac, escrow('first'))).status).toBe('Acknowledged');
    expect((await install(mac, escrow('first'))).status).toBe('Acknowledged');
    const second = await install(mac, escrow('second'));
    expect(second.status).toBe('Error');
    expect(second.errors[0]).toEqual(['MCInstallationErrorDomain', 4001]);
    expect(held(mac)).toEqual(['first']);
  });

  it('MAC-63 another profile under a PayloadUUID that is installed', async () => {
    const mac = await enrolled();
    const first = profile('a');
    await install(mac, first);
    const outcome = await install(mac, { ...profile('b'), PayloadUUID: first['PayloadUUID'] });
    expect(outcome.errors).toEqual([['MCInstallationErrorDomain', 4002]]);
  });

  it('MAC-13 two payloads with one PayloadUUID', async () => {
    const mac = await enrolled();
    const twice = { PayloadType: 'com.apple.dock', PayloadUUID: uuid() };
    const outcome = await install(mac, profile('a', [twice, twice]));
    expect(outcome.errors).toEqual([
      ['MCInstallationErrorDomain', 4001],
      ['MCProfileErrorDomain', 1007],
    ]);
  });

  it('MAC-14 a reference to a payload that is not there', async () => {
    const mac = await enrolled();
    const wifi = {
      PayloadType: 'com.apple.wifi.managed',
      EAPClientConfiguration: { PayloadCertificateAnchorUUID: ['x'] },
    };
    const outcome = await install(mac, profile('wifi', [wifi]));
    expect(outcome.errors.at(-1)).toEqual(['MCPayloadErrorDomain', 2004]);
  });

  it('MAC-22 a profile with an MDM payload that is not the installed one', async () => {
    const mac = await enrolled();
    const other = { ...server.enrollmentProfile(), PayloadIdentifier: 'org.example.other', PayloadUUID: uuid() };
    expect((await install(mac, other)).errors).toEqual([['MCInstallationErrorDomain', 4010]]);
    expect(mac.phase).toBe('enrolled');
  });
});

describe('RemoveProfile', () => {
  it('removes what MDM installed', async () => {
    const mac = await enrolled();
    await install(mac, profile('a'));
    expect((await run(mac, { RequestType: 'RemoveProfile', Identifier: 'a' })).status).toBe('Acknowledged');
    expect(held(mac)).toEqual([]);
  });

  it('MAC-65 an absent profile is error 89 of MDMClientError', async () => {
    const mac = await enrolled();
    const outcome = await run(mac, { RequestType: 'RemoveProfile', Identifier: 'nobody' });
    expect(outcome.errors).toEqual([['MDMClientError', 89]]);
  });

  it('MAC-66 a profile installed by hand stays', async () => {
    const mac = await enrolled();
    mac.installByHand(writePlistBytes(profile('by-hand')));
    const outcome = await run(mac, { RequestType: 'RemoveProfile', Identifier: 'by-hand' });
    expect(outcome.errors).toEqual([['MCMDMErrorDomain', 12013]]);
    expect(held(mac)).toEqual(['by-hand']);
  });

  it('MAC-67 the enrolment profile goes after its result is delivered, with a CheckOut', async () => {
    const mac = await enrolled();
    await install(mac, profile('a'));
    const outcome = await run(mac, { RequestType: 'RemoveProfile', Identifier: ENROLLMENT_IDENTIFIER });
    expect(outcome.status).toBe('Acknowledged');
    expect(server.messages('CheckOut')).toHaveLength(1);
    expect(mac.phase).toBe('unenrolled');
    expect(mac.profiles('device')).toEqual([]);
  });
});

describe('other commands', () => {
  it('MAC-69 ProfileList tells identities per channel, with signers, never contents', async () => {
    const mac = await enrolled({ user });
    await install(mac, profile('a'));
    await install(mac, profile('b'), 'user');
    const list = async (channel: 'device' | 'user') => {
      const { result } = await run(mac, { RequestType: 'ProfileList' }, channel);
      return (result.get('ProfileList') as PlistDict[]).map((item) => item.get('PayloadIdentifier'));
    };
    expect((await list('device')).toSorted()).toEqual(['a', ENROLLMENT_IDENTIFIER]);
    expect(await list('user')).toEqual(['b']);
  });

  it('MAC-58 an unknown request type is error 12021', async () => {
    const mac = await enrolled();
    const outcome = await run(mac, { RequestType: 'MakeCoffee' });
    expect(outcome.errors).toEqual([['MCMDMErrorDomain', 12021]]);
  });

  it('MAC-58 a command whose right was not granted is error 12007', async () => {
    server = await TinyServer.start(world, { profile: (_, { mdm }) => put(mdm, 'AccessRights', 3) });
    const mac = aMac(server);
    await mac.enroll(server.link);
    expect((await run(mac, { RequestType: 'SecurityInfo' })).errors).toEqual([['MCMDMErrorDomain', 12007]]);
  });

  it('MAC-58 a query that cannot be answered is missing from the answer', async () => {
    const mac = await enrolled();
    const { result } = await run(mac, { RequestType: 'DeviceInformation', Queries: ['SerialNumber', 'IMEI'] });
    expect(result.get('QueryResponses')).toEqual(new Map([['SerialNumber', mac.identity.serialNumber]]));
  });

  it.each(['SecurityInfo', 'InstalledApplicationList', 'CertificateList'])('%s is answered', async (RequestType) => {
    const mac = await enrolled();
    const { status, result } = await run(mac, { RequestType });
    expect(status).toBe('Acknowledged');
    expect(result.has(RequestType)).toBe(true);
    expect(() => readPlist(server.received.at(-1)?.raw ?? Buffer.alloc(0))).not.toThrow();
  });
});

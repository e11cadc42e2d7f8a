import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlistDict } from '../../plist/types.ts';
import { makeMobileIdentity } from '../../simulator/identity.ts';
import { SeededRandom } from '../../simulator/random.ts';
import { aMac, held, install, run } from './support/a-mac.ts';
import { profile } from './support/profiles.ts';
import { makeWorld, TinyServer } from './support/tiny-server.ts';

let server: TinyServer;
beforeAll(async () => {
  server = await TinyServer.start(makeWorld());
});
afterAll(() => server.close());

const user = { userId: 'AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA', shortName: 'ana', longName: 'Ana' };

async function aPhone(platform: 'iOS' | 'iPadOS' = 'iOS') {
  const identity = makeMobileIdentity(new SeededRandom(platform), 0, platform);
  const phone = aMac(server, { identity, user });
  await phone.enroll(server.link);
  return phone;
}

describe.each([
  ['iOS', 'iPhone14,5', 'iPhone'],
  ['iPadOS', 'iPad13,18', 'iPad'],
] as const)('%s', (platform, productName, modelName) => {
  it('MAC-95 Authenticate has the keys of iOS and no others, and there is no user channel', async () => {
    const phone = await aPhone(platform);
    const message = server.messages('Authenticate').at(-1);
    expect([...(message?.keys() ?? [])].toSorted()).toEqual([
      'BuildVersion',
      'MessageType',
      'OSVersion',
      'ProductName',
      'SerialNumber',
      'Topic',
      'UDID',
    ]);
    expect(message?.get('ProductName')).toBe(productName);
    expect(phone.token('user')).toBeUndefined();
    const queries = ['ModelName', 'ProductName', 'IsAppleSilicon', 'HostName'];
    const { result } = await run(phone, { RequestType: 'DeviceInformation', Queries: queries });
    expect(result.get('QueryResponses')).toEqual(
      new Map([
        ['ModelName', modelName],
        ['ProductName', productName],
      ]),
    );
  });
});

it('MAC-96 what belongs to macOS or to a user is refused, anything else is installed and told by ProfileList', async () => {
  const phone = await aPhone();
  const dock = profile('dock', [{ PayloadType: 'com.apple.dock' }]);
  expect((await install(phone, dock)).errors).toEqual([
    ['MCInstallationErrorDomain', 4001],
    ['MCProfileErrorDomain', 1010],
  ]);
  expect(
    (await install(phone, profile('scoped', [{ PayloadType: 'com.apple.wifi.managed' }], { PayloadScope: 'User' })))
      .status,
  ).toBe('Error');
  const mail = profile('mail', [{ PayloadType: 'com.apple.mail.managed' }]);
  expect((await install(phone, mail)).status).toBe('Acknowledged');
  expect(held(phone)).toEqual(['mail']);
  const { result } = await run(phone, { RequestType: 'ProfileList' });
  const listed = (result.get('ProfileList') as PlistDict[]).map((item) => item.get('PayloadIdentifier'));
  expect(listed).toContain('mail');
});

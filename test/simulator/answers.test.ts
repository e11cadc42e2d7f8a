import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writePlistBytes } from '../../plist/write.ts';
import { createWireTap, loadSchema } from '../conformance/apple-schema/index.ts';
import { aMac, wake } from './support/a-mac.ts';
import { makeWorld, TinyServer, type World } from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
beforeAll(async () => {
  world = makeWorld();
  server = await TinyServer.start(world);
});
afterAll(() => server.close());

const user = { userId: 'AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA', shortName: 'ana', longName: 'Ana' };

const profile = writePlistBytes({
  PayloadType: 'Configuration',
  PayloadVersion: 1,
  PayloadIdentifier: 'org.example.dock',
  PayloadUUID: 'AAAAAAAA-0000-4000-8000-000000000001',
  PayloadDescription: 'A dock',
  PayloadOrganization: 'Example',
  PayloadContent: [
    {
      PayloadType: 'com.apple.dock',
      PayloadVersion: 1,
      PayloadIdentifier: 'org.example.dock.1',
      PayloadUUID: 'AAAAAAAA-0000-4000-8000-000000000002',
      PayloadDisplayName: 'Dock',
    },
  ],
});

const QUERIES = [
  'UDID',
  'DeviceName',
  'SerialNumber',
  'Model',
  'ModelName',
  'ProductName',
  'OSVersion',
  'BuildVersion',
  'HostName',
  'LocalHostName',
  'IsAppleSilicon',
  'IsSupervised',
  'AwaitingConfiguration',
  'DeviceCapacity',
  'AvailableDeviceCapacity',
  'BatteryLevel',
  'HasBattery',
  'IsActivationLockSupported',
  'PINRequiredForEraseDevice',
  'PINRequiredForDeviceLock',
  'SupportsLOMDevice',
];

describe.skipIf(loadSchema() === undefined)('what a Mac answers, held to Apple’s data', () => {
  it.each(['device', 'user'] as const)('every command it knows, on the %s channel', async (channel) => {
    const tap = createWireTap();
    const mac = aMac(server, { user, seed: channel });
    await mac.enroll(server.link);
    server.onExchange = ({ path, headers, raw }, answer) => {
      if (path !== '/mdm') return;
      const contentType = String(headers['content-type']);
      const responseBody = Buffer.from(answer.body ?? '');
      tap.exchange({ contentType, requestBody: raw, status: answer.status ?? 200, responseBody });
    };
    const commands = [
      { RequestType: 'InstallProfile', Payload: profile },
      { RequestType: 'ProfileList' },
      {
        RequestType: 'DeviceInformation',
        Queries: channel === 'device' ? [...QUERIES, 'ActiveManagedUsers'] : QUERIES,
      },
      { RequestType: 'SecurityInfo' },
      { RequestType: 'InstalledApplicationList' },
      { RequestType: 'CertificateList' },
      { RequestType: 'RemoveProfile', Identifier: 'org.example.dock' },
      { RequestType: 'RemoveProfile', Identifier: 'org.example.dock' },
    ];
    for (const command of commands) server.add(command);
    await wake(mac, server, channel);
    expect(server.queue).toEqual([]);
    expect(tap.counts.get('command-result')).toBe(commands.length + 1);
    expect(tap.findings).toEqual([]);
    tap.assertClean();
    await mac.close();
  });
});

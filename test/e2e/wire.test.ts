import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writePlist } from '../../plist/write.ts';
import { createWireTap, loadSchema } from '../conformance/apple-schema/index.ts';
import { openScene, type Scene } from './support.ts';
import { openTapProxy } from './tap-proxy.ts';

const schema = loadSchema();
/** The simulator's iPhones and iPads. */
const MOBILE = { os: 'iOS', version: '18.1' } as const;

describe.skipIf(schema === undefined)('every message on the wire, held against Apple’s data', () => {
  const taps = { macOS: createWireTap(), iOS: createWireTap(MOBILE), iPadOS: createWireTap(MOBILE) };
  const statuses = new Set<number>();
  const proxy = openTapProxy((exchange) => {
    if (exchange.path !== '/mdm' && exchange.path !== '/checkin') return;
    statuses.add(exchange.status);
    const who = scene.world.fleet.macs.find(({ mac }) => exchange.requestBody.includes(mac.identity.udid));
    taps[who?.mac.identity.platform ?? 'macOS'].exchange(exchange);
  });
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene({ faults: true, settingsFor: proxy.settings });
    await scene.enrol();
    await scene.converge();
    const [first] = scene.world.fleet.macs;
    for (const RequestType of [
      'DeviceInformation',
      'SecurityInfo',
      'CertificateList',
      'InstalledApplicationList',
      'ProfileList',
    ]) {
      const more = RequestType === 'DeviceInformation' ? { Queries: ['UDID', 'OSVersion', 'SerialNumber'] } : {};
      const body = Buffer.from(writePlist({ Command: { RequestType, ...more } }));
      await scene.world.client.upload(`/hosts/${first?.mac.identity.udid}/commands`, body, 'application/xml');
    }
  });
  afterAll(async () => {
    await scene?.close();
    await proxy.close();
  });

  it('the commands of an admin are answered', async () => {
    const done = () => {
      const answered = scene.world.fleet.macs[0]?.mac.answered() ?? [];
      return answered.filter((one) => one.acknowledged && one.status !== 'NotNow').map((one) => one.requestType);
    };
    await expect
      .poll(done, { timeout: 60_000 })
      .toEqual(
        expect.arrayContaining(['DeviceInformation', 'SecurityInfo', 'CertificateList', 'InstalledApplicationList']),
      );
  });

  it('requests, commands, results and answers are all valid, and none was a 401', () => {
    taps.macOS.assertClean();
    taps.iOS.assertClean();
    expect([...statuses].filter((status) => status !== 200)).toEqual([]);
  });

  it('saw every kind of message that the story has', () => {
    const kinds = [...taps.macOS.counts.keys()];
    expect(kinds).toEqual(expect.arrayContaining(['checkin-request', 'checkin-response', 'command', 'command-result']));
  });
});

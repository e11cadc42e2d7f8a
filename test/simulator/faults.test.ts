import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { writePlistBytes } from '../../plist/write.ts';
import type { MacEvent } from '../../simulator/events.ts';
import type { MacFaults } from '../../simulator/faults.ts';
import type { SimulatedMac } from '../../simulator/mac.ts';
import { aMac, wake } from './support/a-mac.ts';
import { makeWorld, TinyServer, type World } from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
beforeAll(() => {
  world = makeWorld();
});
afterEach(() => server.close());

async function enrolled(faults: Partial<MacFaults>): Promise<[SimulatedMac, string[]]> {
  const seen: string[] = [];
  const onEvent = (event: MacEvent): void => {
    if (event.kind === 'fault') seen.push(event.fault);
  };
  server = await TinyServer.start(world);
  const mac = aMac(server, { faults, onEvent });
  await mac.enroll(server.link);
  return [mac, seen];
}

const IDENTIFIER = 'org.example.dock';
const UUID = 'AAAAAAAA-0000-4000-8000-000000000001';
const INSTALL = {
  RequestType: 'InstallProfile',
  Payload: writePlistBytes({
    PayloadType: 'Configuration',
    PayloadVersion: 1,
    PayloadIdentifier: IDENTIFIER,
    PayloadUUID: UUID,
    PayloadContent: [
      {
        PayloadType: 'com.apple.dock',
        PayloadVersion: 1,
        PayloadIdentifier: `${IDENTIFIER}.1`,
        PayloadUUID: 'AAAAAAAA-0000-4000-8000-000000000002',
      },
    ],
  }),
};
const heldUuid = (mac: SimulatedMac): string | undefined =>
  mac.profiles('device').find(({ identifier }) => identifier === IDENTIFIER)?.uuid;

describe('faults', () => {
  it('a lost ack: carried out, the result comes later and once', async () => {
    const [mac, seen] = await enrolled({ lostAck: 1 });
    const uuid = server.add(INSTALL);
    await wake(mac, server);
    expect(seen[0]).toMatch(/result (dropped|torn)/);
    expect(heldUuid(mac)).toBe(UUID);
    expect(server.results.map((result) => result.get('CommandUUID'))).toEqual([uuid]);
  });

  it('a result lost for good: silence, and the command is done again when it comes again', async () => {
    const [mac, seen] = await enrolled({ lostForGood: 0.5 });
    const uuid = server.add(INSTALL);
    let pushes = 0;
    while (server.queue.length > 0) {
      await wake(mac, server);
      pushes += 1;
    }
    expect(seen.every((fault) => fault === 'result lost')).toBe(true);
    expect(seen.length).toBe(pushes - 1);
    expect(mac.answered()).toEqual([
      {
        channel: 'device',
        commandUuid: uuid,
        requestType: 'InstallProfile',
        status: 'Acknowledged',
        acknowledged: true,
        deliveries: pushes,
      },
    ]);
    expect(mac.violations).toEqual([]);
  });

  it('a duplicate report comes at once or with the next exchange', async () => {
    const [mac, seen] = await enrolled({ duplicateReport: 1 });
    const uuids = Array.from({ length: 6 }, () => server.add({ RequestType: 'SecurityInfo' }));
    await wake(mac, server);
    await wake(mac, server);
    for (let push = 0; push < 6; push += 1) await wake(mac, server);
    const reported = server.results.map((result) => String(result.get('CommandUUID')));
    for (const uuid of uuids) expect(reported.filter((other) => other === uuid)).toHaveLength(2);
    expect(seen).toContain('result twice');
    expect(seen).toContain('result twice-later');
    expect(mac.violations).toEqual([]);
  });

  it('a lie: acknowledged and not installed', async () => {
    const [mac] = await enrolled({ lies: true });
    server.add(INSTALL);
    await wake(mac, server);
    expect(server.results[0]?.get('Status')).toBe('Acknowledged');
    expect(heldUuid(mac)).toBeUndefined();
  });

  it('an old copy: acknowledged, another version stays, and the next time is honest', async () => {
    const [mac] = await enrolled({ staleInstalls: 1 });
    server.add(INSTALL);
    await wake(mac, server);
    expect(server.results[0]?.get('Status')).toBe('Acknowledged');
    expect(heldUuid(mac)).toBeDefined();
    expect(heldUuid(mac)).not.toBe(UUID);
    server.add(INSTALL);
    await wake(mac, server);
    expect(heldUuid(mac)).toBe(UUID);
  });

  it('asleep: the push waits until the Mac is back', async () => {
    const [mac, seen] = await enrolled({ asleep: 1 });
    server.add(INSTALL);
    await wake(mac, server);
    while (server.results.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual(['fell asleep']);
  });

  it('offline: nothing is said, then what waited', async () => {
    const [mac] = await enrolled({});
    server.add(INSTALL);
    mac.goOffline();
    await wake(mac, server);
    expect(server.polls()).toEqual([]);
    mac.goOnline();
    await mac.quiet();
    expect(heldUuid(mac)).toBe(UUID);
  });

  it('removed by hand: gone from the store, and the server hears of it only by a report', async () => {
    const [mac] = await enrolled({});
    server.add(INSTALL);
    await wake(mac, server);
    const polls = server.polls().length;
    expect(mac.removeByHand(IDENTIFIER)).toBe(true);
    expect(mac.removeByHand(IDENTIFIER)).toBe(false);
    expect(heldUuid(mac)).toBeUndefined();
    expect(server.polls()).toHaveLength(polls);
  });
});

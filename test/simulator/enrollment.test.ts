import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { aMac, settled, wake } from './support/a-mac.ts';
import { makeWorld, TinyServer, type World } from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
beforeAll(() => {
  world = makeWorld();
});
afterEach(() => server.close());
afterAll(() => undefined);

describe('smoke', () => {
  it('enrols', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server);
    await mac.enroll(server.link);
    expect(mac.phase).toBe('enrolled');
    server.add({ RequestType: 'DeviceInformation', Queries: ['UDID'] });
    await wake(mac, server);
    await settled(mac);
    expect(server.results).toHaveLength(1);
    expect(mac.violations).toEqual([]);
    console.log(
      server.received.map(
        (r) => `${r.method} ${r.path} ${r.message?.get('MessageType') ?? r.message?.get('Status') ?? ''}`,
      ),
    );
  });
});

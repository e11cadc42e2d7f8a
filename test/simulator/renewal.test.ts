import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { writePlistBytes } from '../../plist/write.ts';
import type { SimulatedMac } from '../../simulator/mac.ts';
import { aMac, install, type Outcome, run, wake } from './support/a-mac.ts';
import { uuid } from './support/profiles.ts';
import { type Dict, makeWorld, type Payloads, put, TinyServer, type World } from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
beforeAll(() => {
  world = makeWorld();
});
afterEach(() => server.close());

async function enrolled(): Promise<SimulatedMac> {
  server = await TinyServer.start(world);
  const mac = aMac(server);
  await mac.enroll(server.link);
  return mac;
}

describe('a replacement of the enrolment profile', () => {
  const renew = async (edit: (mdm: Dict) => void): Promise<[SimulatedMac, Outcome, string | undefined]> => {
    const mac = await enrolled();
    const before = mac.certificate;
    const wrong = { profile: (_: Dict, { mdm }: Payloads) => edit(mdm) };
    server.wrong = wrong;
    return [mac, await install(mac, { ...server.enrollmentProfile(), PayloadUUID: uuid() }), before];
  };

  it('MAC-21 with nothing frozen changed renews the identity', async () => {
    const [mac, outcome, before] = await renew(() => undefined);
    expect(outcome.status).toBe('Acknowledged');
    expect(mac.certificate).not.toBe(before);
    expect(server.messages('Authenticate')).toHaveLength(2);
    expect(server.messages('TokenUpdate')).toHaveLength(2);
    expect(mac.violations).toEqual([]);
  });

  it.each<[string, (mdm: Dict) => void]>([
    ['another Topic', (mdm) => put(mdm, 'Topic', 'com.apple.mgmt.External.other')],
    ['another ServerURL', (mdm) => put(mdm, 'ServerURL', 'https://localhost/elsewhere')],
    ['another CheckInURL', (mdm) => put(mdm, 'CheckInURL', 'https://localhost/elsewhere')],
    ['no per-user connections', (mdm) => put(mdm, 'ServerCapabilities', ['com.apple.mdm.bootstraptoken'])],
  ])('MAC-21 with %s is refused and changes nothing', async (_, edit) => {
    const [mac, outcome, before] = await renew(edit);
    expect(outcome.errors).toEqual([['MCMDMErrorDomain', 12012]]);
    expect(mac.certificate).toBe(before);
    expect(server.messages('Authenticate')).toHaveLength(1);
  });

  it('MAC-21 may take rights away but not add any', async () => {
    server = await TinyServer.start(world, { profile: (_, { mdm }) => put(mdm, 'AccessRights', 8191 & ~8) });
    const mac = aMac(server);
    await mac.enroll(server.link);
    server.wrong = { profile: (_, { mdm }) => put(mdm, 'AccessRights', 8191) };
    const more = await install(mac, { ...server.enrollmentProfile(), PayloadUUID: uuid() });
    expect(more.errors).toEqual([['MCMDMErrorDomain', 12012]]);
    server.wrong = { profile: (_, { mdm }) => put(mdm, 'AccessRights', 8191 & ~24) };
    const fewer = await install(mac, { ...server.enrollmentProfile(), PayloadUUID: uuid() });
    expect(fewer.status).toBe('Acknowledged');
  });

  it('MAC-55 that is answered 401 ends the management', async () => {
    const mac = await enrolled();
    server.wrong = { checkIn: () => ({ status: 401 }) };
    server.add({
      RequestType: 'InstallProfile',
      Payload: writePlistBytes({ ...server.enrollmentProfile(), PayloadUUID: uuid() }),
    });
    await wake(mac, server);
    expect(mac.phase).toBe('unenrolled');
    expect(server.results).toEqual([]);
  });

  it('MAC-21 that cannot be carried out leaves the old identity at work', async () => {
    const mac = await enrolled();
    const before = mac.certificate;
    server.wrong = { certRep: { pkiStatus: '2' } };
    const outcome = await install(mac, { ...server.enrollmentProfile(), PayloadUUID: uuid() });
    expect(outcome.status).toBe('Error');
    expect(mac.certificate).toBe(before);
    expect((await run(mac, { RequestType: 'SecurityInfo' })).status).toBe('Acknowledged');
  });
});

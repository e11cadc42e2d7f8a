import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startFakeApns } from '../../simulator/fake-apns.ts';
import { Fleet, type FleetOptions } from '../../simulator/fleet.ts';
import { TinyOsquery } from './support/tiny-osquery.ts';
import { makeWorld, put, TinyServer, type World } from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
let folder: string;
beforeAll(() => {
  world = makeWorld();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fleet-'));
  server = await TinyServer.start(world);
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const options = (more: Partial<FleetOptions> = {}): FleetOptions => ({
  count: 5,
  seed: 'a fleet',
  folder,
  keys: 2,
  enrollmentRoots: [server.root],
  ...more,
});

describe('a fleet', () => {
  it('is the same for the same seed, and another for another', () => {
    const identities = (seed: string) =>
      new Fleet(options({ seed, folder: undefined })).macs.map(({ mac }) => mac.identity);
    expect(identities('one')).toEqual(identities('one'));
    expect(identities('one')).not.toEqual(identities('two'));
    expect(new Set(identities('one').map(({ udid }) => udid)).size).toBe(5);
  });

  it('enrols with shared keys and distinct certificates, once', async () => {
    const events: string[] = [];
    const fleet = new Fleet(options({ onEvent: ({ number }, { kind }) => events.push(`${number} ${kind}`) }));
    expect(await fleet.enroll({ link: () => server.link, concurrency: 3 })).toEqual([]);
    expect(new Set(fleet.macs.map(({ mac }) => mac.certificate)).size).toBe(5);
    expect(events.filter((event) => event.endsWith(' enrolled'))).toHaveLength(5);
    await fleet.close();

    const again = new Fleet(options());
    expect(await again.enroll({ link: () => server.link })).toEqual([]);
    expect(server.messages('Authenticate')).toHaveLength(5);
    expect(again.macs.map(({ mac }) => mac.certificate)).toEqual(fleet.macs.map(({ mac }) => mac.certificate));
    await again.close();
  });

  it('has agents that trust the roots of the profile and report what they were asked', async () => {
    const osquery = await TinyOsquery.start(world);
    osquery.queries = { queries: { profiles: 'SELECT identifier, uuid FROM macos_profiles' } };
    const reported = new Set<number>();
    let allReported = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      allReported = resolve;
    });
    const fleet = new Fleet(
      options({
        count: 2,
        onEvent: ({ number }, event) => {
          if (event.kind === 'reported') reported.add(number);
          if (reported.size === 2) allReported();
        },
      }),
    );
    await fleet.enroll({ link: () => server.link });
    const { tls_server_certs: _, ...flags } = osquery.flags;
    fleet.startAgents({ flags });
    await done;
    const [first] = osquery.at('/write');
    const own = fleet.macs[0]?.mac.profiles('device')[0];
    expect(first?.['queries']).toEqual({ profiles: [{ identifier: own?.identifier, uuid: own?.uuid }] });
    await fleet.close();
    await osquery.close();
  });

  it('tells who could not be enrolled, and why', async () => {
    server.wrong = { certRep: (attempt) => (attempt === 2 ? { pkiStatus: '2' } : {}) };
    const fleet = new Fleet(options());
    const failures = await fleet.enroll({ link: () => server.link, concurrency: 1 });
    expect(failures.map(({ mac, error }) => [mac.number, 'rule' in error ? error.rule : ''])).toEqual([[1, 'MAC-39']]);
    await fleet.close();
  });

  it('is woken by the fake APNs, and a Mac that left is 410', async () => {
    const fleet = new Fleet(options({ count: 2 }));
    const apns = await startFakeApns({ onPush: fleet.push });
    server.wrong = { profile: (_, { mdm }) => put(mdm, 'Topic', apns.push.topic) };
    await fleet.enroll({ link: () => server.link });
    const [first, second] = fleet.macs.map(({ mac }) => mac);
    const magic = String(server.messages('TokenUpdate').at(-1)?.get('PushMagic'));
    const push = (token = '', topic = apns.push.topic) => fleet.push({ token, topic, magic });
    expect(push(first?.token('device'))).toBe('delivered');
    expect(push(first?.token('device'), 'com.apple.mgmt.External.other')).toBe('other_topic');
    expect(push('abcd')).toBe('unknown');
    const left = second?.token('device');
    await second?.unenroll();
    expect(push(left)).toBe('unregistered');
    await fleet.quiet();
    await apns.close();
    await fleet.close();
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PARTS } from '../../cli/demo/cast.ts';
import { DEMO_PROFILES, FINDER, mobileconfig, PASSWORD } from '../../cli/demo/content.ts';
import { enrollLink, uploadProfile } from '../../cli/demo/declare.ts';
import type { FleetMac } from '../../simulator/fleet.ts';
import { openScene, pairOf, type Scene, WITHIN } from './support.ts';

const LEFT = 'org.example.left-behind';

/** Macs are found in states that no protocol promises. Judged by what each of them holds. */
describe('what happens to Macs', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene();
    expect(await scene.enrol()).toEqual([]);
    expect(await scene.converge()).toEqual([]);
  });
  afterAll(() => scene?.close());

  const at = (number: number) => scene.world.fleet.macs[number] as FleetMac;
  const link = ({ mac }: FleetMac) => enrollLink(scene.world.client, mac.identity.serialNumber);
  const held = ({ mac }: FleetMac) => mac.profiles('device').map(({ identifier }) => identifier);
  const installs = ({ mac }: FleetMac) =>
    mac.answered().filter(({ requestType }) => requestType === 'InstallProfile').length;
  /** Several rounds of everything an agent is asked. */
  const moreReports = async (member: FleetMac) => {
    const before = scene.reports(member).length;
    await expect.poll(() => scene.reports(member).length, WITHIN).toBeGreaterThan(before + 6);
  };
  const allVerified = async () => expect(await scene.converge(60_000)).toEqual([]);

  it('an iPhone is verified by ProfileList alone, and gets nothing that is for Macs', async () => {
    const phone = at(PARTS.phone);
    const pair = await pairOf(scene, phone, PASSWORD);
    expect(pair).toMatchObject({ state: 'verified' });
    expect(pair?.evidence.map(({ says }) => says).join()).toMatch(/ProfileList/);
    expect(pair?.evidence.map(({ says }) => says).join()).not.toMatch(/osquery reported/);
    expect(phone.mac.answered().filter(({ status }) => status === 'Error')).toEqual([]);
  });

  it('a user’s profile is verified on the user’s channel', async () => {
    const { mac } = at(0);
    expect(mac.profiles('user').map(({ identifier }) => identifier)).toEqual(['com.example.dock']);
    expect(await pairOf(scene, at(0), 'com.example.dock')).toMatchObject({ channel: 'user', state: 'verified' });
  });

  it('an erased Mac that enrols anew gets everything again', async () => {
    const member = at(1);
    const before = held(member);
    await member.mac.erase();
    expect(held(member)).toEqual([]);
    scene.putApps();
    await member.mac.enroll(await link(member));
    await allVerified();
    expect(held(member)).toEqual(before);
  });

  it('a Mac re-enrolled in place keeps what it has: nothing is installed twice', async () => {
    const member = at(PARTS.oldVersion);
    const [before, count] = [member.mac.profiles('device'), installs(member)];
    await member.mac.reenroll(await link(member));
    await moreReports(member);
    await allVerified();
    const ours = (profiles: typeof before) => profiles.filter(({ identifier }) => identifier.startsWith('com.example'));
    expect(ours(member.mac.profiles('device'))).toEqual(ours(before));
    expect(installs(member)).toBe(count);
  });

  it('a copy of another Mac: what is wanted counts as there, what is not stays as somebody else’s', async () => {
    const [member, source] = [at(2), at(9)];
    expect(held(source)).toContain(FINDER);
    await member.mac.erase();
    member.mac.migrateFrom(source.mac);
    await member.mac.enroll(await link(member));
    await expect.poll(async () => (await pairOf(scene, member, PASSWORD))?.state, WITHIN).toBe('verified');
    // The copy has the version's own PayloadUUID: a report cannot tell it from one that this server brought.
    expect(held(member)).toContain(PASSWORD);
    await expect.poll(async () => (await pairOf(scene, member, FINDER))?.state, WITHIN).toBe('unmanaged');
    expect(held(member)).toContain(FINDER);
  });

  it('what another server left is shown and not touched', async () => {
    const member = at(8);
    await member.mac.erase();
    const payload = { PayloadType: 'org.example.left', Value: 1 };
    member.mac.installByHand(mobileconfig({ identifier: LEFT, name: 'Left', scope: 'System', payload }));
    await member.mac.enroll(await link(member));
    await expect.poll(async () => (await pairOf(scene, member, LEFT))?.state, WITHIN).toBe('unmanaged');
    await expect.poll(async () => (await pairOf(scene, member, PASSWORD))?.state, WITHIN).toBe('verified');
    expect(held(member)).toContain(LEFT);
  });

  it('a report that names an identifier twice does not make the profile another one', async () => {
    const member = at(6);
    if (member.agent === undefined) throw new Error('no agent');
    const count = installs(member);
    member.agent.faults = { duplicated: /macos_profiles/ };
    await moreReports(member);
    member.agent.faults = {};
    expect(installs(member)).toBe(count);
  });

  it('a change of PayloadScope moves a profile from the device’s channel to the user’s', async () => {
    const finder = DEMO_PROFILES.find(({ identifier }) => identifier === FINDER);
    if (finder === undefined) throw new Error('no such profile');
    await uploadProfile(scene.world.client, finder, true);
    const { mac } = at(0);
    const channels = () =>
      (['device', 'user'] as const).filter((channel) =>
        mac.profiles(channel).some(({ identifier }) => identifier === FINDER),
      );
    await expect.poll(channels, WITHIN).toEqual(['user']);
    await expect.poll(async () => (await pairOf(scene, at(0), FINDER))?.state, WITHIN).toBe('verified');
  });

  it('no Mac saw this server do what Apple does not document', () => {
    expect(scene.world.fleet.macs.flatMap(({ mac }) => mac.violations)).toEqual([]);
    expect(scene.world.apns.violations).toEqual([]);
  });
});

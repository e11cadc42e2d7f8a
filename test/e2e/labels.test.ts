import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mobileconfig } from '../../cli/demo/content.ts';
import type { FleetMac } from '../../simulator/fleet.ts';
import { openScene, pairOf, type Scene, WITHIN } from './support.ts';

const ZOOM = 'com.example.zoom';
const APP = { name: 'zoom.us', bundleIdentifier: 'us.zoom.xos' };
const QUERY = `SELECT 1 FROM apps WHERE bundle_identifier = '${APP.bundleIdentifier}'`;
const ZOOM_QUERY = /us\.zoom\.xos/;

/** Each `it` goes on from where the one before has left the fleet. */
describe('a label by what agents answer', () => {
  let scene: Scene;
  let mac: FleetMac;
  let other: FleetMac;
  beforeAll(async () => {
    scene = await openScene({ macs: 2 });
    [mac, other] = scene.world.fleet.macs as [FleetMac, FleetMac];
    await scene.enrol();
    await scene.world.client.post('/labels', { name: 'Zoom', kind: 'dynamic', query: QUERY });
    const payload = { PayloadType: APP.bundleIdentifier, AutoUpdate: true };
    const profile = mobileconfig({ identifier: ZOOM, name: 'Zoom settings', scope: 'System', payload });
    await scene.world.client.upload('/profiles?label=Zoom', profile, 'application/x-apple-aspen-config');
  });
  afterAll(() => scene?.close());

  const has = ({ mac: one }: FleetMac) => one.profiles('device').some(({ identifier }) => identifier === ZOOM);
  const state = async (one: FleetMac) => (await pairOf(scene, one, ZOOM))?.state;
  const removals = () => mac.mac.answered().filter(({ requestType }) => requestType === 'RemoveProfile').length;
  const answers = () => scene.reports(mac).filter((name) => name.startsWith('espalier_label_')).length;

  it('no rows are a no: nobody has it', async () => {
    await expect.poll(() => state(mac), WITHIN).toBe('not_in_scope');
    expect([has(mac), has(other)]).toEqual([false, false]);
  });

  it('a row is a yes: it arrives where the app is, and is verified', async () => {
    mac.mac.installApp(APP);
    await expect.poll(() => state(mac), WITHIN).toBe('verified');
    expect([has(mac), has(other)]).toEqual([true, false]);
  });

  it('a query that fails is no no: it stays, and the label is unknown there', async () => {
    if (mac.agent === undefined) throw new Error('no agent');
    mac.agent.faults = { failing: { query: ZOOM_QUERY, message: 'database is locked' } };
    mac.mac.removeApp(APP.bundleIdentifier);
    const told = async () => (await pairOf(scene, mac, ZOOM))?.reason ?? '';
    await expect.poll(told, WITHIN).toMatch(/open/);
    const before = answers();
    await expect.poll(() => answers(), WITHIN).toBeGreaterThan(before + 6);
    expect(await state(mac)).toBe('verified');
    expect([has(mac), removals()]).toEqual([true, 0]);
  });

  it('answers that flap take nothing away: one no is not confirmed by a yes', async () => {
    if (mac.agent === undefined) throw new Error('no agent');
    mac.mac.installApp(APP);
    mac.agent.faults = { flapping: ZOOM_QUERY };
    const before = answers();
    await expect.poll(() => answers(), WITHIN).toBeGreaterThan(before + 8);
    expect([has(mac), removals()]).toEqual([true, 0]);
  });

  it('two noes take it away', async () => {
    if (mac.agent === undefined) throw new Error('no agent');
    mac.agent.faults = {};
    mac.mac.removeApp(APP.bundleIdentifier);
    await expect.poll(() => state(mac), WITHIN).toBe('not_in_scope');
    expect([has(mac), removals()]).toEqual([false, 1]);
  });

  it('an agent that died changes nothing, and what it says when it is back counts', async () => {
    mac.agent?.kill();
    mac.mac.installApp(APP);
    other.mac.installApp(APP);
    await expect.poll(() => state(other), WITHIN).toBe('verified');
    expect([has(mac), await state(mac)]).toEqual([false, 'not_in_scope']);
    mac.agent?.revive();
    await expect.poll(() => state(mac), WITHIN).toBe('verified');
    expect(has(mac)).toBe(true);
  });
});

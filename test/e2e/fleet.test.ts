import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FleetMac } from '../../simulator/fleet.ts';
import type { Scene } from './support.ts';
import { eachStore } from './support.ts';

/** Enrolling and 90 s of converging, on a slow machine. */
const CONVERGE_MS = 150_000;

interface ApiCommand {
  command_uuid: string;
  state: string;
  request_type: string;
  orphan: boolean;
}

async function commandsOf(scene: Scene, { mac }: FleetMac): Promise<readonly ApiCommand[]> {
  const answer = (await scene.world.client.get(`/hosts/${mac.identity.udid}/commands?limit=200`)) as {
    commands: ApiCommand[];
  };
  return answer.commands;
}

/** What each Mac says it answered, held against what the server says of the same commands. */
async function differences(scene: Scene): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const member of scene.world.fleet.macs) {
    const stored = new Map((await commandsOf(scene, member)).map((command) => [command.command_uuid, command]));
    const answered = new Map(member.mac.answered().map((one) => [one.commandUuid, one]));
    for (const one of answered.values()) {
      if (!one.acknowledged || one.status === 'NotNow') continue;
      const state = stored.get(one.commandUuid)?.state;
      // Cancelled while the Mac was carrying it out: its result is late, and counted on the cancelled row.
      if (state !== one.status && state !== 'cancelled')
        wrong.push(`${one.requestType} ${one.commandUuid} was answered ${one.status}, the server has ${state}`);
    }
    for (const command of stored.values()) {
      if (command.orphan) wrong.push(`${command.command_uuid} is an orphan`);
      const isDone = command.state === 'Acknowledged' || command.state === 'Error';
      if (isDone && !answered.has(command.command_uuid))
        wrong.push(`${command.command_uuid} is ${command.state}, the Mac never answered it`);
    }
  }
  return wrong;
}

eachStore((open) => {
  describe('a fleet in bad weather', () => {
    let scene: Scene;
    beforeAll(async () => {
      scene = await open({ faults: true });
    });
    afterAll(() => scene?.close());

    it(
      'every Mac gets to its expected end state, with 20 % NotNow, 5 % lost acks, 5 % duplicate reports',
      async () => {
        expect(await scene.enrol()).toEqual([]);
        expect(await scene.converge()).toEqual([]);
      },
      CONVERGE_MS,
    );

    it('what the Macs answered is what the server has', async () => {
      await scene.world.fleet.quiet();
      expect(await differences(scene)).toEqual([]);
    });

    it('the push service saw only what Apple documents', () => {
      expect(scene.world.apns.violations).toEqual([]);
      expect(scene.world.apns.accepted()).toBeGreaterThan(0);
    });

    it('the lying Mac fails with a reason that names the acknowledgement', async () => {
      const liar = scene.world.fleet.macs[4];
      const { profiles } = (await scene.world.client.get(`/hosts/${liar?.mac.identity.udid}/profiles`)) as {
        profiles: { state: string; reason: string }[];
      };
      const failed = profiles.filter(({ state }) => state === 'failed');
      expect(failed.length).toBeGreaterThan(0);
      for (const { reason } of failed) expect(reason).toMatch(/acknowledged/i);
    });

    it('a profile removed by hand comes back', async () => {
      const honest = scene.world.fleet.macs[1] as FleetMac;
      const has = () => honest.mac.profiles('device').some((one) => one.identifier === 'com.example.updates');
      expect(honest.mac.removeByHand('com.example.updates')).toBe(true);
      await expect.poll(has, { timeout: 60_000, interval: 300 }).toBe(true);
      expect(await scene.converge()).toEqual([]);
    });

    it('a profile deleted on the server leaves every Mac, and nothing else moves', async () => {
      const { client, fleet } = scene.world;
      const { profiles } = (await client.get('/profiles')) as { profiles: { id: number; identifier: string }[] };
      const updates = profiles.find((one) => one.identifier === 'com.example.updates');
      await client.delete(`/profiles/${updates?.id}`);
      const left = () => fleet.macs.flatMap(({ mac }) => mac.profiles('device').map((one) => one.identifier));
      await expect.poll(() => left().includes('com.example.updates'), { timeout: 60_000, interval: 300 }).toBe(false);
      // Neither the one that lies nor the one that was never reached ever had any.
      expect(left().filter((one) => one === 'com.example.password')).toHaveLength(fleet.macs.length - 2);
    });

    it('no secret of the server is in its log', () => {
      const log = scene.world.server.stderr();
      const token = readFileSync(`${scene.folder}/server/admin.token`, 'utf8').trim();
      expect(log).not.toContain(token);
      expect(log).not.toContain('PRIVATE KEY');
    });
  });

  describe('kill -9', () => {
    let scene: Scene;
    beforeAll(async () => {
      scene = await open();
    });
    afterAll(() => scene?.close());

    it(
      'R1: three kills between enrolling and converging lose nothing',
      async () => {
        const enrolling = scene.enrol();
        await delay(1500);
        await scene.world.restart();
        expect(await enrolling).toEqual([]);
        await delay(400);
        await scene.world.restart();
        await delay(700);
        await scene.world.restart();
        expect(await scene.converge()).toEqual([]);
        await scene.world.fleet.quiet();
        expect(await differences(scene)).toEqual([]);
      },
      CONVERGE_MS,
    );
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { z } from 'zod';
import { installApps, LEAST_MACS } from '../../cli/demo/cast.ts';
import { createProgress } from '../../cli/demo/progress.ts';
import { openDemoFolder } from '../../cli/demo/state.ts';
import { judgeFleet, type Verdict } from '../../cli/demo/verdict.ts';
import { enrolFleet, startWorld, type World } from '../../cli/demo/world.ts';
import type { FleetMac } from '../../simulator/fleet.ts';
import { hasPostgres, openPostgresUrl } from '../support/databases.ts';

/** The compiled CLI: `npm test` builds it first. */
export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Scene {
  readonly world: World;
  readonly folder: string;
  /** Enrols the fleet; answers what failed. */
  enrol(): Promise<readonly string[]>;
  /** Until every Mac is in its expected end state, or the time is up; answers what is wrong then. */
  converge(withinMs?: number): Promise<readonly string[]>;
  /** Names of the queries that a Mac's agent has reported on, in order. */
  reports(mac: FleetMac): readonly string[];
  /** Apps of the cast, on Macs that lost theirs. */
  putApps(): void;
  close(): Promise<void>;
}

export interface SceneOptions {
  readonly macs?: number;
  readonly faults?: boolean;
  readonly databaseUrl?: string | undefined;
  readonly settings?: Readonly<Record<string, string>>;
  /** Settings that need the port in the Macs' profile. */
  readonly settingsFor?: (publicPort: number) => Promise<Record<string, string>>;
}

const LOOK_EVERY_MS = 300;

/** A real server process with a push service and simulated Macs around it, in a folder of its own. */
export async function openScene(options: SceneOptions = {}): Promise<Scene> {
  const folder = mkdtempSync(path.join(tmpdir(), 'espalier-e2e-'));
  const demo = {
    data: folder,
    macs: options.macs ?? LEAST_MACS,
    once: true,
    faults: options.faults === true,
    seed: '1',
  };
  const { state } = await openDemoFolder(folder, demo.macs);
  const database = options.databaseUrl === undefined ? {} : { ESPALIER_DATABASE_URL: options.databaseUrl };
  const more = await options.settingsFor?.(state.ports.devices);
  const settings = { ...database, ...options.settings, ...more };
  const progress = createProgress();
  const reported = new Map<number, string[]>();
  const saw: typeof progress.saw = (mac, event) => {
    if (event.kind === 'reported') reported.set(mac, [...(reported.get(mac) ?? []), ...event.queries]);
    progress.saw(mac, event);
  };
  const world = await startWorld(demo, state, { ...progress, saw }, { main: MAIN, settings });
  return {
    world,
    folder,
    enrol: () => enrolFleet(world, demo, state),
    async converge(withinMs = 90_000) {
      const until = Date.now() + withinMs;
      for (;;) {
        const wrong = (await judgeFleet(world.client, world.fleet.macs, state.told)).flatMap(faultsOf);
        if (wrong.length === 0 || Date.now() > until) return wrong;
        await delay(LOOK_EVERY_MS);
      }
    },
    reports: ({ number }) => reported.get(number) ?? [],
    putApps() {
      for (const member of world.fleet.macs)
        if (member.mac.identity.platform === 'macOS') installApps(member, state.told);
    },
    async close() {
      await world.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** How long something that takes a tick or two may take on a slow machine. */
export const WITHIN = { timeout: 60_000, interval: 200 };

const Why = z.object({
  channels: z.array(
    z.object({
      channel: z.enum(['device', 'user']),
      state: z.string(),
      waiting: z.string().nullable(),
      reason: z.string(),
      evidence: z.array(z.object({ about: z.string(), says: z.string() })),
    }),
  ),
});

/** What the server says of one profile on one Mac: on the channel where there is something to say. */
export async function pairOf(scene: Scene, { mac }: FleetMac, identifier: string) {
  const answer = await scene.world.client.get(`/hosts/${mac.identity.udid}/profiles/${identifier}/why`);
  const { channels } = Why.parse(answer);
  return channels.find(({ state }) => state !== 'not_in_scope') ?? channels[0];
}

function faultsOf({ member, faults }: Verdict): string[] {
  return faults.map((fault) => `mac-${member.number + 1}: ${fault}`);
}

/** Describes once with the embedded database and once with a PostgreSQL server. */
export function eachStore(tests: (open: (options?: SceneOptions) => Promise<Scene>) => void): void {
  describe('embedded', () => tests(openScene));
  describe.skipIf(!hasPostgres)('postgres', () =>
    tests(async (options) => {
      const { url, drop } = await openPostgresUrl(false);
      const scene = await openScene({ ...options, databaseUrl: url });
      return {
        ...scene,
        async close() {
          await scene.close();
          await drop();
        },
      };
    }),
  );
}

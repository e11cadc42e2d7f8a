import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { LEAST_MACS } from '../../cli/demo/cast.ts';
import { createProgress } from '../../cli/demo/progress.ts';
import { openDemoFolder } from '../../cli/demo/state.ts';
import { judgeFleet, type Verdict } from '../../cli/demo/verdict.ts';
import { enrolFleet, startWorld, type World } from '../../cli/demo/world.ts';
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
  const world = await startWorld(demo, state, createProgress(), { main: MAIN, settings });
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
    async close() {
      await world.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
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

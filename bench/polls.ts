/** Command polls over HTTPS against the real server process, Mdm-Signature verified (design §7). */
import path from 'node:path';
import { sql } from 'kysely';
import { openDatabase } from '../db/database.ts';
import type { Scenario } from './scenario.ts';
import { commandUuid, makeEffectTeam, queueDeviceInformation, queueInstallProfile } from './support/commands.ts';
import { type Device, enrolDevices, makeDevices, makeKeys, pooled, signedPut } from './support/devices.ts';
import { each, endless, type Load, run, type Step } from './support/load.ts';
import { type Prepared, prepare, startServer } from './support/server.ts';
import type { WireAnswer } from './support/wire.ts';

const KEYS = 4;
const CONNECTIONS = 64;
/** Polled before anything is measured, and never again: the code is warm, the certificates that follow are not. */
const WARM_UP_DEVICES = 300;
const WARM_UP_MS = 2500;
const TEAM = 1;

interface Sizes {
  /** Macs with distinct certificates that only poll. */
  readonly idle: number;
  /** Macs with one command each, for each of the two kinds. */
  readonly cycles: number;
  readonly handshakes: number;
  readonly limitMs: number;
}

interface Turns {
  readonly warmUp: readonly Buffer[];
  readonly idle: readonly Buffer[];
  readonly plain: readonly (readonly Step[])[];
  readonly effects: readonly (readonly Step[])[];
}

export const polls: Scenario = async ({ folder, cluster, quick, report, say }) => {
  const sizes = (idle: number, cycles: number): Sizes =>
    quick
      ? { idle: 300, cycles: 100, handshakes: 50, limitMs: 1500 }
      : { idle, cycles, handshakes: 500, limitMs: 5000 };
  const engines = [
    { name: 'PostgreSQL', url: await cluster?.create('bench_polls'), sizes: sizes(10_000, 3000) },
    { name: 'PGlite', url: undefined, sizes: sizes(1000, 1000) },
  ];
  for (const engine of engines) {
    if (engine.name === 'PostgreSQL' && engine.url === undefined) {
      say('polls: no PostgreSQL installed, skipped');
      continue;
    }
    say(`polls: preparing ${engine.sizes.idle + 2 * engine.sizes.cycles} Macs on ${engine.name}`);
    const data = path.join(folder, `polls-${engine.name}`);
    const { prepared, made } = await prepare(data, engine.url, async ({ db, keys }) => {
      const { idle, cycles } = engine.sizes;
      const devices = await makeDevices(
        WARM_UP_DEVICES + idle + 2 * cycles,
        await makeKeys(KEYS),
        keys.identity('identity_ca'),
      );
      const groups = {
        warmUp: devices.slice(0, WARM_UP_DEVICES),
        idle: devices.slice(WARM_UP_DEVICES, WARM_UP_DEVICES + idle),
        plain: devices.slice(WARM_UP_DEVICES + idle, WARM_UP_DEVICES + idle + cycles),
        effects: devices.slice(WARM_UP_DEVICES + idle + cycles),
      };
      const effectTeam = await makeEffectTeam(db);
      await enrolDevices(db, devices, (index) => (index < devices.length - cycles ? TEAM : effectTeam));
      await queueDeviceInformation(
        db,
        groups.plain.map(({ udid }) => udid),
      );
      await queueInstallProfile(
        db,
        groups.effects.map(({ udid }) => udid),
        effectTeam,
      );
      await sql`analyze`.execute(db.read);
      return turnsOf(groups);
    });
    await measure(engine.name, engine.sizes, prepared, made, { databaseUrl: engine.url, databasePid: cluster?.pid });
  }

  async function measure(
    engine: string,
    sizes: Sizes,
    prepared: Prepared,
    turns: Turns,
    database: { databaseUrl: string | undefined; databasePid: number | undefined },
  ): Promise<void> {
    const server = await startServer(prepared);
    const watched = {
      serverPid: server.pid,
      databasePid: database.databaseUrl === undefined ? undefined : database.databasePid,
    };
    const load = (next: Load['next'], more: Partial<Load> = {}) =>
      run({ target: server.target, connections: CONNECTIONS, limitMs: sizes.limitMs, next, ...more }, watched);
    const measured = async (name: string, next: Load['next'], more: Partial<Load> = {}): Promise<void> =>
      report({ scenario: 'polls', name: `${engine}: ${name}`, values: await load(next, more) });
    const idle = (requests: Iterable<Buffer>) => each(requests, (request) => [{ request, check: isEmpty }]);
    try {
      await load(idle(endless(turns.warmUp)), { limitMs: Math.min(WARM_UP_MS, sizes.limitMs) });
      await measured('Idle, certificates new to the server, last seen written', idle(turns.idle), { limitMs: 30_000 });
      await measured('Idle, certificates cached, nothing to write', idle(endless(turns.idle)));
      await measured('the same, one connection', idle(endless(turns.idle)), {
        connections: 1,
        limitMs: sizes.limitMs / 2,
      });
      if (database.databaseUrl !== undefined) {
        await forgetSeen(database.databaseUrl);
        await measured('Idle, certificates cached, last seen written', idle(turns.idle));
      }
      await measured(
        'Idle, command, Acknowledged',
        each(turns.plain, (steps) => steps),
      );
      await measured(
        'Idle, InstallProfile, Acknowledged with effects',
        each(turns.effects, (steps) => steps),
      );
      await measured('Idle, a new TLS connection each', idle(turns.idle.slice(0, sizes.handshakes)), {
        connections: 16,
        connectEachTime: true,
      });
    } finally {
      await server.stop();
    }
  }
};

async function turnsOf(groups: Record<keyof Turns, readonly Device[]>): Promise<Turns> {
  const idle = (devices: readonly Device[]) =>
    pooled(devices.length, (index) => {
      const device = devices[index] as Device;
      return signedPut(device, { Status: 'Idle', UDID: device.udid });
    });
  const cycles = (devices: readonly Device[], more: Record<string, string>) =>
    pooled(devices.length, async (index): Promise<readonly Step[]> => {
      const device = devices[index] as Device;
      const CommandUUID = commandUuid(device.udid);
      const results = Object.keys(more).length === 0 ? {} : { QueryResponses: more };
      return [
        { request: await signedPut(device, { Status: 'Idle', UDID: device.udid }), check: carries(CommandUUID) },
        {
          request: await signedPut(device, { CommandUUID, Status: 'Acknowledged', UDID: device.udid, ...results }),
          check: isEmpty,
        },
      ];
    });
  const answers = { DeviceName: 'A Mac', OSVersion: '15.1', BuildVersion: '24B83', ModelName: 'MacBook Pro' };
  return {
    warmUp: await idle(groups.warmUp),
    idle: await idle(groups.idle),
    plain: await cycles(groups.plain, answers),
    effects: await cycles(groups.effects, {}),
  };
}

function isEmpty({ status, body }: WireAnswer): void {
  if (status !== 200 || body.length > 0) throw new Error(`an empty 200 was expected: ${status}, ${body.length} bytes`);
}

function carries(commandUuid: string): (answer: WireAnswer) => void {
  return ({ status, body }) => {
    if (status !== 200 || !body.includes(commandUuid))
      throw new Error(`command ${commandUuid} was expected: ${status}`);
  };
}

async function forgetSeen(databaseUrl: string): Promise<void> {
  const db = await openDatabase({ databaseUrl, poolSize: 1 });
  await sql`update enrollment_seen set seen_at = seen_at - interval '1 hour'`.execute(db.read);
  await db.close();
}

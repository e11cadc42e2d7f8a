import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type FakeApns, startFakeApns } from '../../simulator/fake-apns.ts';
import { Fleet, type FleetMac } from '../../simulator/fleet.ts';
import { type Client, clientFor } from '../client.ts';
import { Failure } from '../failure.ts';
import { faultsFor, hasUser, installApps, isA, isShut, memberOf, platformOf } from './cast.ts';
import { type ServerChild, startServerChild } from './child.ts';
import { DEMO_LABELS, strangers } from './content.ts';
import { declare, enrollLink, newEnrollSecret, setLabel, setTeam } from './declare.ts';
import type { DemoOptions } from './options.ts';
import { patient } from './patient.ts';
import type { Progress } from './progress.ts';
import { type DemoState, saveDemoState } from './state.ts';

/** The reconciler's tick in the demo. */
export const TICK_MS = 1000;
/** Fast enough to watch; a real installation has the defaults of docs/settings.md. */
const PACE = {
  ESPALIER_RECONCILE_INTERVAL_MS: String(TICK_MS),
  ESPALIER_VERIFY_GRACE_MS: '1000',
  ESPALIER_PROFILE_LIST_DELAY_MS: '1000',
  ESPALIER_OSQUERY_INTERVAL_MS: '1000',
  ESPALIER_LABEL_INTERVAL_MS: '2000',
} as const;
const ENROLLING_AT_ONCE = 6;
const RETRIES = 20;

/** For tests: another entry point, other settings. */
export interface WorldChanges {
  readonly main?: string;
  readonly settings?: Readonly<Record<string, string>>;
}

export interface World {
  readonly client: Client;
  readonly fleet: Fleet;
  readonly apns: FakeApns;
  readonly server: ServerChild;
  /** Ends the server process as kill -9 does, and starts another on what it left. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Push service, server process and Macs, each with what it kept from an earlier start; nobody has enrolled yet. */
export async function startWorld(
  options: DemoOptions,
  state: DemoState,
  progress: Progress,
  changes: WorldChanges = {},
): Promise<World> {
  const serverFolder = path.join(options.data, 'server');
  let fleet: Fleet | undefined;
  const apns = await startFakeApns({
    folder: path.join(options.data, 'apns'),
    port: state.ports.apns,
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    throw new Failure(
      `port ${state.ports.apns} of this folder is taken: most likely a demo runs on ${options.data} already.\nStop it, or take another folder with --data.`,
    );
  });
  const caFile = path.join(options.data, 'apns-ca.pem');
  writeFileSync(caFile, apns.ca);
  const launch = () =>
    startServerChild(
      {
        ESPALIER_PUBLIC_URL: `https://localhost:${state.ports.devices}`,
        ESPALIER_LISTEN: `127.0.0.1:${state.ports.devices}`,
        ESPALIER_ADMIN_LISTEN: `127.0.0.1:${state.ports.admin}`,
        ESPALIER_DATA: serverFolder,
        ESPALIER_APNS_URL: apns.url,
        ESPALIER_APNS_CA_FILE: caFile,
        ESPALIER_LOG_LEVEL: 'warn',
        ...PACE,
        ...changes.settings,
      },
      changes.main,
    );
  let server: ServerChild | undefined;
  try {
    server = await launch();
    const client = patient(clientFor(serverFolder));
    await declare(client, apns.push, state.told);
    fleet = new Fleet({
      count: state.macs,
      seed: state.fleetSeed,
      faultSeed: options.seed,
      folder: path.join(options.data, 'macs'),
      enrollmentRoots: client.tlsRoots,
      hasUser,
      platform: platformOf,
      faults: (number) => faultsFor(number, options.faults),
      retryBaseMs: 300,
      notNowMs: 500,
      onEvent: ({ number }, event) => progress.saw(number, event),
    });
    for (const member of fleet.macs) prepare(member, state.told);
    // Until now pushes were kept: a Mac is not unknown to Apple because its folder is not open yet.
    apns.attach(fleet.push);
    const world = {
      client,
      fleet,
      apns,
      server,
      async restart() {
        world.server.process.kill('SIGKILL');
        await world.server.gone;
        world.server = await launch();
      },
      stop: () => stopAll(world.fleet, world.server, apns),
    };
    return world;
  } catch (error) {
    await stopAll(fleet, server, apns);
    throw error;
  }
}

/** How each Mac is found: what people put on it, and whether its lid is open. */
function prepare(member: FleetMac, told: boolean): void {
  const { number, mac } = member;
  if (mac.identity.platform === 'macOS') installApps(member, told);
  if (isA('strangers', number) && mac.phase === 'new') for (const profile of strangers()) mac.installByHand(profile);
  if (isShut(number, told)) mac.goOffline();
}

/** Macs that are not enrolled enrol; all of them get their labels, agents begin to report. */
export async function enrolFleet(
  world: World,
  options: Pick<DemoOptions, 'data'>,
  state: DemoState,
): Promise<readonly string[]> {
  const { client, fleet } = world;
  fleet.start();
  const failures = await fleet.enroll({
    link: ({ mac }) => enrollLink(client, mac.identity.serialNumber),
    concurrency: ENROLLING_AT_ONCE,
    retries: RETRIES,
  });
  for (const { mac } of fleet.macs) if (mac.phase === 'enrolled') await setTeam(client, mac.identity.udid);
  for (const { name, kind } of DEMO_LABELS) {
    if (kind !== 'manual') continue;
    const isMember = (one: FleetMac) => memberOf(name, one, state.told) === 'yes';
    const members = fleet.macs.filter((one) => one.mac.phase === 'enrolled' && isMember(one));
    await setLabel(
      client,
      name,
      members.map(({ mac }) => mac.identity.udid),
    );
  }
  const enrollSecret = state.enrollSecret ?? (await newEnrollSecret(client));
  state.enrollSecret = enrollSecret;
  saveDemoState(options.data, state);
  fleet.startAgents({
    withoutProfilesTable: (number) => isA('noExtension', number),
    checksumColumn: true,
    orbit: hasUser,
    flags: {
      tls_hostname: new URL(client.publicUrl).host,
      enroll_secret: enrollSecret,
      enroll_tls_endpoint: '/api/osquery/enroll',
      config_tls_endpoint: '/api/osquery/config',
      logger_tls_endpoint: '/api/osquery/log',
      distributed_tls_read_endpoint: '/api/osquery/distributed/read',
      distributed_tls_write_endpoint: '/api/osquery/distributed/write',
      distributed_interval: 1,
    },
  });
  return failures.map(
    ({ mac, error }) => `mac-${String(mac.number + 1).padStart(3, '0')} did not enrol: ${error.message}`,
  );
}

async function stopAll(fleet: Fleet | undefined, server: ServerChild | undefined, apns: FakeApns): Promise<void> {
  await fleet?.close();
  await server?.stop();
  await apns.close();
}

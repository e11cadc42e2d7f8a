import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import { isIPv4 } from 'node:net';
import { sql } from 'kysely';
import { derToPem } from '../cms/pem.ts';
import { EspalierError } from '../core/errors.ts';
import { enrolledServerUrl } from '../db/enrollment-facts.ts';
import { keepPartitions, partitionPlan } from '../db/partitions.ts';
import { adminApp } from '../http/admin-app.ts';
import { deviceListener } from '../http/device-listener.ts';
import { createMetrics } from '../http/metrics.ts';
import { close, listen, plainServer, tlsServer } from '../http/raw-server.ts';
import { commandRoutes } from '../http/routes/commands.ts';
import { driftRoutes } from '../http/routes/drift.ts';
import { enrollLinkRoutes } from '../http/routes/enroll-links.ts';
import { hostRoutes } from '../http/routes/hosts.ts';
import { labelRoutes } from '../http/routes/labels.ts';
import { osquerySecretRoutes } from '../http/routes/osquery-secrets.ts';
import { profileSetRoutes } from '../http/routes/profile-sets.ts';
import { profileRoutes } from '../http/routes/profiles.ts';
import { pushCertificateRoutes } from '../http/routes/push-certificates.ts';
import { stateRoutes } from '../http/routes/states.ts';
import { teamRoutes } from '../http/routes/teams.ts';
import { writeEndpoint } from './data-folder.ts';
import { type Foundation, layFoundation } from './foundation.ts';
import { startJobs } from './jobs.ts';
import { createRooms, type Rooms } from './rooms.ts';
import type { Settings } from './settings.ts';
import { type TlsMaterial, tlsRoots, watchTls } from './tls.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const PARTITION_DAYS_AHEAD = 7;
const HISTORY_DAYS = 90;

export interface RunningServer {
  readonly publicUrl: string;
  readonly adminUrl: string;
  /** Stops listening, lets running requests end, stops jobs, closes the database. */
  stop(): Promise<void>;
}

/** The whole server: foundation, rooms, listeners, jobs. On a failure nothing stays open. */
export async function startServer(settings: Settings): Promise<RunningServer> {
  const foundation = await layFoundation(settings);
  const { db, log } = foundation;
  const undo: (() => Promise<unknown> | unknown)[] = [() => db.close()];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        // The rest still has to be closed, the database above all.
        log.error({ err: error }, 'a step of the shutdown failed');
      }
    }
  };
  try {
    await refuseMovedUrl(foundation);
    const metrics = createMetrics();
    const rooms = createRooms(foundation, metrics);
    await rooms.pushCertificates.reload();
    await keepPartitions(db, partitionPlan(foundation.clock.now(), PARTITION_DAYS_AHEAD, HISTORY_DAYS));
    undo.push(
      () => rooms.pushCertificates.close(),
      () => rooms.pusher.stop(),
      () => rooms.reconciler.stop(),
    );
    undo.push(() => rooms.osquery.flush());
    undo.push(
      () => rooms.labelHandlers.flush(),
      () => rooms.labelFiller.stop(),
    );

    const devices = tlsServer(
      deviceListener({
        log,
        metrics,
        mdm: rooms.mdm,
        scep: rooms.scep,
        osquery: rooms.osquery,
        enroll: { profile: rooms.enroll },
      }),
      foundation.tls,
    );
    await listen(devices, settings.LISTEN);
    undo.push(() => close(devices));

    const { server: admin, url: adminUrl } = await listenAdmin(foundation, metrics, rooms);
    undo.push(() => close(admin));
    if (settings.TLS_CERT !== undefined && settings.TLS_KEY !== undefined) {
      const files = { cert: settings.TLS_CERT, key: settings.TLS_KEY };
      const use = (material: TlsMaterial) => {
        foundation.tls = material;
        for (const server of [devices, admin]) if (server instanceof TlsServer) server.setSecureContext(material);
      };
      undo.push(watchTls(files, foundation.tls, settings.PUBLIC_URL, foundation.clock, log, use));
    }

    rooms.reconciler.start();
    await rooms.pusher.begin();
    const jobs = startJobs(jobsOf(foundation, rooms), log);
    undo.push(() => jobs.stop());
    writeEndpoint(settings.DATA, {
      adminUrl,
      publicUrl: settings.PUBLIC_URL,
      tlsRoots: tlsRoots(foundation.tls).map(({ der }) => derToPem(der, 'CERTIFICATE')),
    });
    log.info({ publicUrl: settings.PUBLIC_URL, adminUrl, database: db.kind }, 'Espalier is running');
    return { publicUrl: settings.PUBLIC_URL, adminUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listenAdmin(foundation: Foundation, metrics: ReturnType<typeof createMetrics>, rooms: Rooms) {
  const { settings, db, log } = foundation;
  const teamId = rooms.teams.idOf;
  const hostId = async (ref: string) => (await rooms.inventory.get(ref)).id;
  const app = adminApp({
    log,
    metrics,
    tokenHash: foundation.adminTokenHash,
    version: version(),
    ready: async () => {
      await sql`select 1`.execute(db.read);
    },
    routers: [
      hostRoutes({
        inventory: rooms.inventory,
        reads: rooms.reconciler.reads,
        enrollmentsOfHost: rooms.mdmRows.enrollmentsOfHost,
        teamId,
      }),
      stateRoutes({
        inventory: rooms.inventory,
        reads: rooms.reconciler.reads,
        actions: rooms.reconciler.actions,
      }),
      driftRoutes({ drift: rooms.drift, teamId }),
      profileRoutes({ profiles: rooms.profiles, counters: rooms.reconciler.reads.counters, teams: rooms.teams }),
      profileSetRoutes({ profiles: rooms.profiles, teams: rooms.teams }),
      labelRoutes({ labels: rooms.labels }),
      teamRoutes({ teams: rooms.teams }),
      commandRoutes({
        enqueue: rooms.enqueue,
        hostId,
        enrollmentsOfHost: rooms.mdmRows.enrollmentsOfHost,
        list: rooms.commands.list,
        get: rooms.commands.get,
      }),
      enrollLinkRoutes({ links: rooms.links, publicUrl: settings.PUBLIC_URL, teamId }),
      pushCertificateRoutes(rooms.pushCertificates),
      osquerySecretRoutes({ createSecret: rooms.osquery.createSecret, teamId }),
    ],
  });
  const { host } = settings.ADMIN_LISTEN;
  // A token must not cross a network in the clear.
  const isLoopback = host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
  const server: Server = isLoopback ? plainServer(app) : tlsServer(app, foundation.tls);
  const port = await listen(server, settings.ADMIN_LISTEN);
  const name = host.includes(':') ? `[${host}]` : host;
  return { server, url: `${isLoopback ? 'http' : 'https'}://${name}:${port}` };
}

function jobsOf({ settings, db, clock }: Foundation, rooms: Rooms) {
  return [
    {
      name: 'osquery: who waits for evidence',
      everyMs: Math.min(settings.OSQUERY_INTERVAL_MS, 5 * SECOND),
      run: rooms.osquery.refresh,
    },
    // Hosts are asked for a new label at the latest this much later.
    { name: 'osquery: labels', everyMs: SECOND, run: rooms.osquery.refreshLabels },
    { name: 'labels: last answers', everyMs: 5 * SECOND, run: rooms.labelHandlers.flush },
    { name: 'labels: filling', everyMs: SECOND, run: rooms.labelFiller.fill },
    { name: 'osquery: last seen', everyMs: 5 * SECOND, run: rooms.osquery.flush },
    { name: 'push: outbox', everyMs: SECOND, run: rooms.pusher.drain },
    { name: 'push: silent Macs', everyMs: 60 * SECOND, run: rooms.pusher.sweep },
    { name: 'push: certificates', everyMs: 30 * SECOND, run: rooms.pushCertificates.reload },
    { name: 'scep: expired challenges', everyMs: HOUR, run: rooms.links.sweep },
    {
      name: 'history: partitions',
      everyMs: HOUR,
      run: () => keepPartitions(db, partitionPlan(clock.now(), PARTITION_DAYS_AHEAD, HISTORY_DAYS)),
    },
  ];
}

/** The URL stands in every installed profile and is a frozen key: a Mac that has another one would be lost (ENR-04). */
async function refuseMovedUrl({ settings, db }: Foundation): Promise<void> {
  const installed = await enrolledServerUrl(db);
  if (installed === undefined || installed.startsWith(`${settings.PUBLIC_URL}/`)) return;
  throw new EspalierError(
    'settings_invalid',
    `ESPALIER_PUBLIC_URL is ${settings.PUBLIC_URL}, but Macs are enrolled with ${new URL(installed).origin}`,
    {
      fix: `Set ESPALIER_PUBLIC_URL=${new URL(installed).origin}; a Mac never changes it without enrolling again.`,
    },
  );
}

function version(): string {
  const file = new URL(import.meta.url.includes('/dist/') ? '../../package.json' : '../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** One fleet from its rows to every kind of tick, in a process of its own. */
import { sql } from 'kysely';
import { systemClock } from '../core/system.ts';
import { type Database, openDatabase } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import { reconcileStore } from '../db/reconcile-store.ts';
import { makeFleet } from './support/fleet.ts';
import { type Part, type PartOptions, startPart } from './support/part.ts';
import { editForLargestTeam, plantDrift, plantUnsettled, turnLabel } from './support/plant.ts';
import { cpuOf, cpuOfFamily, forgetPeak, memoryOfFamily, peakMemoryOf } from './support/process.ts';
import { reconcilerOn } from './support/reconciler.ts';
import { mebibytes, type Result, round } from './support/result.ts';
import { DIFFERENCE_LIMIT_MS, setDifference } from './support/set-difference.ts';

const EMPTY_TICKS = 20;
/** Of middling size, and named by profiles of every team. */
const LABEL = 5;
const SEED_LIMIT_MS = 300_000;

export const reconcilePart: Part = async (options, { tell }) => {
  const { label, count, profilesPerTeam = 40, databaseUrl } = options;
  const report = (name: string, values: Result['values']): void =>
    tell({ kind: 'result', result: { scenario: 'reconcile', name: `${label}: ${name}`, values } });
  const mean = await seed(options, count, profilesPerTeam);
  tell({ kind: 'say', text: `reconcile: ${label}, ${count} hosts with ${mean.toFixed(1)} profiles each` });

  const db = await open(options);
  const reconciler = reconcilerOn(db);
  const measured = (name: string, work: () => Promise<Seen>, times = 1) => measure(options, report, name, work, times);
  const drained = async () => {
    const { hosts, commands } = await reconciler.drain();
    return { hosts, commands };
  };
  const audited = async () => {
    const { swept, commands } = await reconciler.audit();
    return { hosts: swept?.hosts ?? 0, commands, queued: swept?.queued ?? 0 };
  };
  try {
    await measured('first full audit, catalogue not loaded', audited);
    const audit = await measured('full audit, nothing to find', audited);
    const store = reconcileStore(db);
    await measured(
      'tick, nothing changed, without its slice of the audit',
      async () => {
        await store.enqueueDue(systemClock.now(), 100_000);
        return drained();
      },
      EMPTY_TICKS,
    );
    await measured(
      'tick, nothing changed, with its slice (1/20)',
      async () => {
        const { swept, commands } = await reconciler.tick();
        return { hosts: swept?.hosts ?? 0, commands };
      },
      EMPTY_TICKS,
    );

    const drift = await plantDrift(db);
    if (databaseUrl !== undefined) {
      tell({ kind: 'say', text: `reconcile: ${label}, the literal difference in SQL` });
      await compare(options, drift, audit, report);
    }
    const found = await measured(`full audit, ${drift} hosts drifted, found and queued`, audited);
    expect(found.queued === drift && found.commands === drift, `audit: ${found.queued} queued of ${drift}`);

    await turnLabel(db, LABEL, Math.min(1000, count / 5), 0);
    await measured('label changed', drained);
    await turnLabel(db, LABEL, Math.min(10_000, count / 5), 1);
    await measured('label changed', drained);
    await measured('edit for the 45 % team: upload, queue, plan', async () => {
      await editForLargestTeam(db, 0);
      return drained();
    });
    if (databaseUrl !== undefined) await twoWorkers(options, db, report);
  } finally {
    await reconciler.stop();
    await db.close();
  }
};

interface Seen {
  readonly hosts: number;
  readonly commands: number;
  readonly queued?: number;
}

function open({ databaseUrl, dataFolder = '' }: PartOptions, limitMs?: number): Promise<Database> {
  if (databaseUrl === undefined) return openDatabase({ dataFolder });
  return openDatabase({ databaseUrl, ...(limitMs === undefined ? {} : { statementTimeoutMs: limitMs }) });
}

async function seed(options: PartOptions, count: number, profilesPerTeam: number): Promise<number> {
  const db = await open(options, SEED_LIMIT_MS);
  await migrate(db);
  const mean = await makeFleet(db, count, profilesPerTeam);
  await plantUnsettled(db);
  await db.close();
  return mean;
}

/** Runs it, reports it and answers what it saw with its milliseconds; several times: the median. */
async function measure(
  { databasePid }: PartOptions,
  report: (name: string, values: Result['values']) => void,
  name: string,
  work: () => Promise<Seen>,
  times: number,
): Promise<Seen & { cpuMs: number }> {
  globalThis.gc?.();
  forgetPeak(process.pid);
  const databaseCpu = () => (databasePid === undefined ? 0 : cpuOfFamily(databasePid));
  const before = { own: cpuOf(process.pid), database: databaseCpu() };
  const all: number[] = [];
  let seen: Seen = { hosts: 0, commands: 0 };
  for (let turn = 0; turn < times; turn += 1) {
    const from = performance.now();
    seen = await work();
    all.push(performance.now() - from);
  }
  const ms = all.sort((one, other) => one - other)[Math.floor(all.length / 2)] ?? 0;
  const serverCpuMs = (cpuOf(process.pid) - before.own) / 1000 / times;
  const databaseCpuMs = (databaseCpu() - before.database) / 1000 / times;
  report(name, {
    hosts: seen.hosts,
    commands: seen.commands,
    ms: round(ms),
    hostsPerSecond: seen.hosts === 0 ? undefined : round((seen.hosts * 1000) / ms),
    serverCpuMs: round(serverCpuMs),
    databaseCpuMs: databasePid === undefined ? undefined : round(databaseCpuMs),
    serverPeakMiB: mebibytes(peakMemoryOf(process.pid)),
    databaseMiB: databasePid === undefined ? undefined : mebibytes(memoryOfFamily(databasePid)),
  });
  return { ...seen, cpuMs: serverCpuMs + databaseCpuMs };
}

/** The ratio is of CPU, so that what else the machine does counts on neither side. */
async function compare(
  { databaseUrl = '', databasePid = 0 }: PartOptions,
  drift: number,
  audit: { cpuMs: number; hosts: number },
  report: (name: string, values: Result['values']) => void,
): Promise<void> {
  const before = cpuOfFamily(databasePid);
  const { ms, pairs } = await setDifference(databaseUrl);
  const databaseCpuMs = (cpuOfFamily(databasePid) - before) / 1000;
  expect(pairs === undefined || pairs === drift, `the literal difference found ${pairs} pairs of ${drift}`);
  const end = pairs === undefined ? `, given up after ${DIFFERENCE_LIMIT_MS / 1000} s` : '';
  report(`literal SQL difference${end}`, {
    hosts: audit.hosts,
    ms: round(ms),
    databaseCpuMs: round(databaseCpuMs),
    timesAuditCpu: round(databaseCpuMs / audit.cpuMs),
  });
}

/** Two processes on one queue, from the edit to the last commit of either. */
async function twoWorkers(
  options: PartOptions,
  db: Database,
  report: (name: string, values: Result['values']) => void,
): Promise<void> {
  let waiting = 2;
  let allReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    allReady = resolve;
  });
  const workers = [1, 2].map(() =>
    startPart('drainer', options, (message) => {
      if (message.kind !== 'ready') return;
      waiting -= 1;
      if (waiting === 0) allReady();
    }),
  );
  const ended = Promise.all(workers.map((worker) => worker.ended));
  await Promise.race([ready, ended]);
  const from = performance.now();
  await editForLargestTeam(db, 1);
  for (const worker of workers) worker.process.send('go');
  await ended;
  const ms = performance.now() - from;
  const { rows } = await sql<{ commands: number }>`
    select count(*) as commands from command where body_id = (select max(body_id) from command)
  `.execute(db.read);
  const hosts = rows[0]?.commands ?? 0;
  report('edit for the 45 % team, two workers', {
    hosts,
    commands: hosts,
    ms: round(ms),
    hostsPerSecond: round((hosts * 1000) / ms),
  });
}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

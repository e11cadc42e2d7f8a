/** One fleet from its rows to every kind of tick, in a process of its own. */
import { systemClock } from '../core/system.ts';
import { type Database, openDatabase } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import { reconcileStore } from '../db/reconcile-store.ts';
import { makeFleet } from './support/fleet.ts';
import { expect, measureWith } from './support/measure.ts';
import type { Part, PartOptions } from './support/part.ts';
import { commandsOfLastEdit, editForLargestTeam, plantDrift, plantUnsettled, turnLabel } from './support/plant.ts';
import { cpuOfFamily } from './support/process.ts';
import { reconcilerOn } from './support/reconciler.ts';
import { type Result, round } from './support/result.ts';
import { DIFFERENCE_LIMIT_MS, setDifference } from './support/set-difference.ts';
import { bytesPerHost } from './support/sizes.ts';
import { startWorkers } from './support/workers.ts';

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
  if (databaseUrl !== undefined) report('on disk, settled', await bytesPerHost(db, count));
  const reconciler = reconcilerOn(db);
  const measured = measureWith({ databasePid: options.databasePid, report });
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
      { times: EMPTY_TICKS, goal: '≤ 5 ms' },
    );
    await measured(
      'tick, nothing changed, with its slice (1/20)',
      async () => {
        const { swept, commands } = await reconciler.tick();
        return { hosts: swept?.hosts ?? 0, commands };
      },
      { times: EMPTY_TICKS },
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

/** The ratio is of CPU, so that what else the machine does counts on neither side. */
async function compare(
  { databaseUrl = '', databasePid = 0 }: PartOptions,
  drift: number,
  audit: { cpuMs: number; hosts: number },
  report: (name: string, values: Result['values']) => void,
): Promise<void> {
  const before = cpuOfFamily(databasePid);
  const { ms, pairs } = await setDifference(databaseUrl, DIFFERENCE_LIMIT_MS);
  const databaseCpuMs = (cpuOfFamily(databasePid) - before) / 1000;
  expect(pairs === undefined || pairs === drift, `the literal difference found ${pairs} pairs of ${drift}`);
  const end = pairs === undefined ? `, given up after ${DIFFERENCE_LIMIT_MS / 1000} s` : '';
  report(`literal SQL difference${end}`, {
    hosts: audit.hosts,
    ms: round(ms),
    databaseCpuMs: round(databaseCpuMs),
    timesAuditCpu: round(databaseCpuMs / audit.cpuMs),
    goal: 'audit ≤ 1/30 of its CPU at 100 profiles',
  });
}

/** Two processes on one queue, from the edit to the last commit of either. */
async function twoWorkers(
  options: PartOptions,
  db: Database,
  report: (name: string, values: Result['values']) => void,
): Promise<void> {
  const workers = await startWorkers(2, options);
  const from = performance.now();
  await editForLargestTeam(db, 1);
  workers.go();
  await workers.ended;
  const ms = performance.now() - from;
  const hosts = await commandsOfLastEdit(db);
  report('edit for the 45 % team, two workers', {
    hosts,
    commands: hosts,
    ms: round(ms),
    hostsPerSecond: round((hosts * 1000) / ms),
    goal: '≥ 20,000 hosts/s',
  });
}

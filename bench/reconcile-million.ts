/** A million hosts with 98 profiles each: the audit, an edit for 450,000 of them, and what others notice of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { systemClock } from '../core/system.ts';
import { type Database, openDatabase } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import { reconcileStore } from '../db/reconcile-store.ts';
import { makeFleet } from './support/fleet.ts';
import { expect, measureWith } from './support/measure.ts';
import type { Part, PartOptions } from './support/part.ts';
import { commandsOfLastEdit, editForLargestTeam, plantDrift, plantUnsettled, turnLabel } from './support/plant.ts';
import { reconcilerOn } from './support/reconciler.ts';
import { type Result, round } from './support/result.ts';
import { setDifference } from './support/set-difference.ts';
import { bytesPerHost } from './support/sizes.ts';
import { startWorkers } from './support/workers.ts';

const SEED_LIMIT_MS = 1_200_000;
const DIFFERENCE_LIMIT_MS = 600_000;
const LABEL = 5;
/** Hosts of the label changes that are compared, and the team they are in: not the one that is edited. */
const SMALL = 100;
const OTHER_TEAM = 3;

export const million: Part = async (options, { tell }) => {
  const { label, count, profilesPerTeam = 160, databaseUrl = '', databasePid } = options;
  const report = (name: string, values: Result['values']): void =>
    tell({ kind: 'result', result: { scenario: 'reconcile', name: `${label}: ${name}`, values } });
  const say = (text: string): void => tell({ kind: 'say', text: `reconcile: ${label}, ${text}` });
  const mean = await seed(databaseUrl, count, profilesPerTeam);
  say(`${count} hosts with ${mean.toFixed(1)} profiles each`);

  const db = await openDatabase({ databaseUrl, statementTimeoutMs: 60_000 });
  const reconciler = reconcilerOn(db);
  const measured = measureWith({ databasePid, report });
  const store = reconcileStore(db);
  const audited = async () => {
    const { swept, commands } = await reconciler.audit();
    return { hosts: swept?.hosts ?? 0, commands, queued: swept?.queued ?? 0 };
  };
  try {
    report('on disk, settled', await bytesPerHost(db, count));
    await measured('first full audit, catalogue not loaded', audited);
    await measured('full audit, nothing to find', audited, { goal: '≤ 5 s, ≤ 300 MB' });
    await measured(
      'tick, nothing changed, without its slice of the audit',
      async () => {
        await store.enqueueDue(systemClock.now(), 100_000);
        return reconciler.drain();
      },
      { times: 20, goal: '≤ 5 ms' },
    );
    const drift = await plantDrift(db);
    const found = await measured(`full audit, ${drift} hosts drifted, found and queued`, audited);
    expect(found.queued === drift && found.commands === drift, `audit: ${found.queued} queued of ${drift}`);
    for (const [changed, parity] of [
      [1000, 0],
      [10_000, 1],
    ] as const) {
      await turnLabel(db, LABEL, changed, parity);
      await measured('label changed', () => reconciler.drain(), { goal: 'cost ∝ hosts' });
    }
    await turnLabel(db, LABEL, SMALL, 0, OTHER_TEAM);
    const alone = await measured('label changed in another team', () => reconciler.drain());
    await duringAnEdit(options, db, alone.ms, report);
    say('the literal difference in SQL');
    await difference(databaseUrl, report);
  } finally {
    await reconciler.stop();
    await db.close();
  }
};

async function seed(databaseUrl: string, count: number, profilesPerTeam: number): Promise<number> {
  const db = await openDatabase({ databaseUrl, statementTimeoutMs: SEED_LIMIT_MS });
  await migrate(db);
  const mean = await makeFleet(db, count, profilesPerTeam);
  await plantUnsettled(db);
  await db.close();
  return mean;
}

/** Two workers on an edit for the largest team; two seconds later labels change in another one. */
async function duringAnEdit(
  options: PartOptions,
  db: Database,
  aloneMs: number,
  report: (name: string, values: Result['values']) => void,
): Promise<void> {
  const workers = await startWorkers(2, options);
  const from = performance.now();
  await editForLargestTeam(db, 0);
  const announcedMs = performance.now() - from;
  workers.go();
  await sleep(2000);
  await turnLabel(db, LABEL, SMALL, 1, OTHER_TEAM);
  const changed = performance.now();
  while ((await waiting(db)) > 0) await sleep(5);
  const otherMs = performance.now() - changed;
  const stillGoing = (await waves(db)) > 0;
  await workers.ended;
  const ms = performance.now() - from;
  const hosts = await commandsOfLastEdit(db);
  report('edit for the 45 % team, two workers', {
    hosts,
    commands: hosts,
    ms: round(ms),
    hostsPerSecond: round((hosts * 1000) / ms),
    goal: '≤ 30 s, ≥ 20,000 hosts/s',
  });
  report('the upload of that edit', { hosts, ms: round(announcedMs), goal: 'no cost per host' });
  report(`label changed in another team, ${stillGoing ? 'during' : 'AFTER'} that edit`, {
    hosts: SMALL,
    ms: round(otherMs),
    goal: `as alone (${round(aloneMs)} ms)`,
  });
}

async function waiting(db: Database): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count from recon_queue where lane = 0`.execute(
    db.read,
  );
  return rows[0]?.count ?? 0;
}

async function waves(db: Database): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count from recon_wave`.execute(db.read);
  return rows[0]?.count ?? 0;
}

async function difference(
  databaseUrl: string,
  report: (name: string, values: Result['values']) => void,
): Promise<void> {
  const { ms, pairs } = await setDifference(databaseUrl, DIFFERENCE_LIMIT_MS);
  report(`literal SQL difference${pairs === undefined ? `, given up after ${DIFFERENCE_LIMIT_MS / 1000} s` : ''}`, {
    ms: round(ms),
  });
}

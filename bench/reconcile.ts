/** The reconciler on fleets of 100,000 hosts (PostgreSQL) and 5,000 (PGlite), with `--million` on a million; design §7. */
import path from 'node:path';
import { pollsDuringAnEdit } from './reconcile-polls.ts';
import type { Scenario } from './scenario.ts';
import { startPart } from './support/part.ts';

const PARTS: Readonly<Record<string, string>> = { bench_million: 'million', bench_reconcile_129: 'sizes' };

export const reconcile: Scenario = async (bench) => {
  const { folder, cluster, quick, report, say } = bench;
  const hosts = quick ? 2000 : 100_000;
  const parts = [
    {
      label: 'PGlite, 25',
      count: quick ? 1000 : 5000,
      profilesPerTeam: 40,
      dataFolder: path.join(folder, 'reconcile'),
    },
    { label: 'PostgreSQL, 25', count: hosts, profilesPerTeam: 40, database: 'bench_reconcile_25' },
    { label: 'PostgreSQL, 100', count: hosts, profilesPerTeam: 160, database: 'bench_reconcile_100' },
    ...(bench.million
      ? [{ label: 'PostgreSQL, 1 M', count: quick ? 5000 : 1_000_000, profilesPerTeam: 160, database: 'bench_million' }]
      : []),
    // Only for its bytes per host: at 129 profiles each.
    { label: 'PostgreSQL, 129', count: quick ? 1000 : 20_000, profilesPerTeam: 211, database: 'bench_reconcile_129' },
  ];
  for (const { database, ...part } of parts) {
    if (database !== undefined && cluster === undefined) {
      say(`reconcile: no PostgreSQL installed, ${part.label} skipped`);
      continue;
    }
    say(`reconcile: preparing ${part.label}`);
    const databaseUrl = database === undefined ? undefined : await cluster?.create(database);
    const options = { ...part, databaseUrl, databasePid: database === undefined ? undefined : cluster?.pid };
    await startPart(database === undefined ? 'reconcile' : (PARTS[database] ?? 'reconcile'), options, (message) => {
      if (message.kind === 'result') report(message.result);
      if (message.kind === 'say') say(message.text);
    }).ended;
    if (database !== undefined) await cluster?.drop(database);
  }
  await pollsDuringAnEdit(bench);
};

/** The reconciler on fleets of 100,000 hosts (PostgreSQL) and 5,000 (PGlite); design §7. */
import path from 'node:path';
import type { Scenario } from './scenario.ts';
import { startPart } from './support/part.ts';

export const reconcile: Scenario = async ({ folder, cluster, quick, report, say }) => {
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
  ];
  for (const { database, ...part } of parts) {
    if (database !== undefined && cluster === undefined) {
      say(`reconcile: no PostgreSQL installed, ${part.label} skipped`);
      continue;
    }
    say(`reconcile: preparing ${part.label}`);
    const databaseUrl = database === undefined ? undefined : await cluster?.create(database);
    const options = { ...part, databaseUrl, databasePid: database === undefined ? undefined : cluster?.pid };
    await startPart('reconcile', options, (message) => {
      if (message.kind === 'result') report(message.result);
      if (message.kind === 'say') say(message.text);
    }).ended;
    if (database !== undefined) await cluster?.drop(database);
  }
};

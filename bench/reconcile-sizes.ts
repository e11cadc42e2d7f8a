/** What a settled host takes on disk, and nothing else. */
import { openDatabase } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import { makeFleet } from './support/fleet.ts';
import type { Part } from './support/part.ts';
import { bytesPerHost } from './support/sizes.ts';

export const sizes: Part = async ({ label, count, profilesPerTeam = 40, databaseUrl = '' }, { tell }) => {
  const db = await openDatabase({ databaseUrl, statementTimeoutMs: 300_000 });
  await migrate(db);
  const mean = await makeFleet(db, count, profilesPerTeam);
  const name = `${label}: on disk, settled, ${mean.toFixed(1)} profiles each`;
  tell({ kind: 'result', result: { scenario: 'reconcile', name, values: await bytesPerHost(db, count) } });
  await db.close();
};

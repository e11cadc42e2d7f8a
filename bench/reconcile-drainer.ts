/** A second replica's worker: drains the queue of a database when told to. */
import { openDatabase } from '../db/database.ts';
import type { Part } from './support/part.ts';
import { reconcilerOn } from './support/reconciler.ts';

export const drainer: Part = async ({ databaseUrl = '' }, { turn }) => {
  const db = await openDatabase({ databaseUrl, statementTimeoutMs: 60_000 });
  const reconciler = reconcilerOn(db);
  await reconciler.drain();
  await turn();
  await reconciler.drain();
  await reconciler.stop();
  await db.close();
};

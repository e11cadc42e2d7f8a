import { sql } from 'kysely';
import type { Tx } from '../core/tx.ts';
import { executorOf } from './database.ts';

/** Whoever changes what decides who should have what raises the epoch in the same transaction (design §4, staleness). */
export async function raiseCatalogueEpoch(tx: Tx): Promise<void> {
  await sql`update catalogue set epoch = epoch + 1`.execute(executorOf(tx));
}

import { sql } from 'kysely';
import type { Tx } from '../core/tx.ts';
import { executorOf } from './database.ts';

/** Whoever changes what decides who should have what raises the epoch in the same transaction (design §4, staleness). */
export async function raiseCatalogueEpoch(tx: Tx): Promise<void> {
  await raisedEpoch(tx);
}

/** The same, with the new epoch: for what begins in it. */
export async function raisedEpoch(tx: Tx): Promise<number> {
  const { rows } = await sql<{ epoch: number }>`update catalogue set epoch = epoch + 1 returning epoch`.execute(
    executorOf(tx),
  );
  return rows[0]?.epoch ?? 0;
}

/**
 * From which `label_epoch` on a label is known for a host: its own for a dynamic one, always for those whose members we
 * write ourselves, never (2^53 - 1) while the members of a host-vitals label are still being found.
 */
export const LABEL_EPOCH = sql`
  case when not filled then 9007199254740991 when kind = 'dynamic' then epoch else 0 end`;

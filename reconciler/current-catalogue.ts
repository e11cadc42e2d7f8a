import type { Tx } from '../core/tx.ts';
import type { MacKey } from '../keys/types.ts';
import { type Catalogue, indexCatalogue } from './catalogue.ts';
import type { ReconcileStore } from './ports.ts';

export interface CurrentCatalogue {
  /** The catalogue of `epoch` or of a later one. */
  at(epoch: number, tx?: Tx): Promise<Catalogue>;
  /** Read anew: what is in memory lacks something that a row names. */
  again(tx?: Tx): Promise<Catalogue>;
}

/**
 * The catalogue in memory. It is as new as the epoch that a statement has just read, never as old as the last poll of
 * it: whoever changes the catalogue raises the epoch in the same transaction (design §4, staleness).
 */
export function createCurrentCatalogue(store: Pick<ReconcileStore, 'loadCatalogue'>, key: MacKey): CurrentCatalogue {
  let current: Catalogue | undefined;
  const digest: MacKey['digest'] = (...parts) => key.digest(...parts);
  async function again(tx?: Tx): Promise<Catalogue> {
    const loaded = indexCatalogue(await store.loadCatalogue(tx), digest, current);
    current = loaded;
    return loaded;
  }
  return {
    // Not only "older": a database restored from a backup counts backwards.
    at: async (epoch, tx) => (current?.epoch === epoch ? current : again(tx)),
    again,
  };
}

import type { Clock } from '../core/clock.ts';
import type { OsqueryStore } from './ports.ts';
import type { AskedLabel } from './types.ts';

export interface LabelList {
  /** Of the catalogue, read before the labels: a query edited in between is of a later one, and its answer counts for nothing. */
  readonly epoch: number;
  readonly labels: readonly AskedLabel[];
  /** The epoch of the label that changed last. */
  readonly newest: number;
  /** Milliseconds: since when this process has known of that one. */
  readonly since: number;
}

/**
 * Labels with a query, in memory. The epoch of the catalogue says when they changed; it is read each second, and until it
 * has been read once, whoever asks waits for the database.
 */
export function createLabelList(store: Pick<OsqueryStore, 'catalogueEpoch' | 'labelList'>, clock: Clock) {
  let list: LabelList | undefined;

  async function load(): Promise<LabelList> {
    const { epoch, labels } = await store.labelList();
    const newest = labels.reduce((latest, label) => Math.max(latest, label.epoch), 0);
    const since = list?.newest === newest ? list.since : clock.now().getTime();
    list = { epoch, labels, newest, since };
    return list;
  }

  return {
    current: async (): Promise<LabelList> => list ?? load(),
    async refresh(): Promise<void> {
      // Not only "older": a database restored from a backup counts backwards.
      if (list === undefined || (await store.catalogueEpoch()) !== list.epoch) await load();
    },
  };
}

import type { Clock } from '../core/clock.ts';
import { DRIFT_WORDS } from './drift-words.ts';
import type { DriftCounts, DriftItem, DriftPlace, DriftStore } from './ports.ts';
import { REASONS } from './reasons.ts';
import type { ShownDriftKind } from './types.ts';

export interface DriftPage {
  readonly asOf: Date;
  /** Of the whole team or fleet, by kind; only with the first page. */
  readonly counts: DriftCounts | undefined;
  readonly items: readonly DriftItem[];
  /** Undefined on the last page. */
  readonly next: DriftPlace | undefined;
}

export interface DriftReads {
  /** Ascending by enrolment; what one device shows stays together. `limit` items at most. */
  page(query: {
    readonly teamId: number | undefined;
    readonly kind: ShownDriftKind | undefined;
    readonly after: DriftPlace | undefined;
    readonly limit: number;
  }): Promise<DriftPage>;
}

export function createDriftReads({ store, clock }: { store: DriftStore; clock: Clock }): DriftReads {
  return {
    async page(query) {
      const asOf = clock.now();
      const found = await store.page({ ...query, limit: query.limit + 1 });
      const items = found.slice(0, query.limit);
      const counts = query.after === undefined ? await store.counts(query.teamId) : undefined;
      return { asOf, counts, items, next: found.length > items.length ? items.at(-1)?.at : undefined };
    },
  };
}

/** What it is, one sentence. */
export function driftWords(kind: ShownDriftKind): string {
  if (kind === 'content_changed')
    return 'It is the delivered version by its UUID, and its checksum on the device is not the one first verified.';
  return kind === 'removed_by_hand' || kind === 'replaced_by_hand' ? REASONS[kind].words : DRIFT_WORDS[kind].words;
}

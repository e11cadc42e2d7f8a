import type { Clock } from '../core/clock.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { UnitOfWork } from '../core/tx.ts';
import { truerFingerprint } from './applied.ts';
import type { Catalogue } from './catalogue.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { isQuiet, planHost } from './plan.ts';
import { AUDIT, type ReconcileStore } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';
import type { HostFacts } from './types.ts';

/** Rows read at a time: some 5 MB. */
const PAGE = 10_000;

export interface SweepDeps {
  readonly store: ReconcileStore;
  readonly unitOfWork: UnitOfWork;
  readonly catalogue: CurrentCatalogue;
  readonly clock: Clock;
  readonly settings: ReconcilerSettings;
}

export interface Swept {
  readonly hosts: number;
  /** Copies of team or labels that differed from their source, and rows that were missing. */
  readonly repaired: number;
  /** Enrolments queued because a plan for them is not empty. */
  readonly queued: number;
}

export interface Sweep {
  /** The next of `sweepSlices` ranges of keys. */
  next(): Promise<Swept>;
  /** All of it. */
  all(): Promise<Swept>;
}

/**
 * Verifies instead of trusting: recomputes everything from teams and labels, a range of keys at a time, and queues what
 * nothing had announced. Expected to find nothing; what it finds is counted (scale.md §4).
 */
export function createSweep(deps: SweepDeps): Sweep {
  let slice = 0;

  async function range(low: EnrollmentRef, high: EnrollmentRef): Promise<Swept> {
    let swept: Swept = { hosts: 0, repaired: 0, queued: 0 };
    for (let from = low; from < high; from += PAGE)
      swept = sum(swept, await page(deps, from, Math.min(high, from + PAGE)));
    return swept;
  }

  return {
    async next() {
      const bounds = await deps.store.bounds();
      if (bounds === undefined) return { hosts: 0, repaired: 0, queued: 0 };
      const width = Math.ceil((bounds.high - bounds.low + 1) / deps.settings.sweepSlices);
      const low = bounds.low + width * slice;
      slice = (slice + 1) % deps.settings.sweepSlices;
      return range(low, low + width);
    },
    async all() {
      const bounds = await deps.store.bounds();
      return bounds === undefined ? { hosts: 0, repaired: 0, queued: 0 } : range(bounds.low, bounds.high + 1);
    },
  };
}

async function page(deps: SweepDeps, low: EnrollmentRef, high: EnrollmentRef): Promise<Swept> {
  const { store, settings } = deps;
  const repaired = await deps.unitOfWork.run((tx) => store.repairCopies(tx, low, high));
  const catalogue = await deps.catalogue.at(await store.epoch());
  const rows = await store.auditRows(low, high);
  const now = deps.clock.now();
  const doubtful = rows.filter(({ row, opCount }) => opCount > 0 || !isQuiet(catalogue, alone(row), now, settings));
  const facts = await store.read(doubtful.map(({ row }) => row.enrollment));
  const found = facts.filter((one) => hasPlan(catalogue, one, now, settings));
  const queue = new Set([...repaired, ...found.map(({ row }) => row.enrollment)]);
  if (queue.size > 0) await deps.unitOfWork.run((tx) => store.enqueueUnlessQueued(tx, [...queue], AUDIT, now));
  return { hosts: rows.length, repaired: repaired.length, queued: queue.size };
}

/** What cannot be planned is queued too: the tick puts it aside, counted and logged, where it belongs. */
function hasPlan(catalogue: Catalogue, facts: HostFacts, now: Date, settings: ReconcilerSettings): boolean {
  try {
    return (
      planHost(catalogue, facts, now, settings) !== undefined || truerFingerprint(catalogue, facts.row) !== undefined
    );
  } catch {
    return true;
  }
}

function alone(row: HostFacts['row']): HostFacts {
  return { row, ops: [], commands: new Map(), profileListLive: false, heldElsewhere: [] };
}

function sum(one: Swept, other: Swept): Swept {
  return {
    hosts: one.hosts + other.hosts,
    repaired: one.repaired + other.repaired,
    queued: one.queued + other.queued,
  };
}

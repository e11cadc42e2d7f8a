import type { Clock } from '../core/clock.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { UnitOfWork } from '../core/tx.ts';
import { truerFingerprint } from './applied.ts';
import type { Catalogue } from './catalogue.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { sliceOf } from './key-range.ts';
import { isQuiet, planHost } from './plan.ts';
import { AUDIT, type AuditPage, type ReconcileStore } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';
import type { HostFacts, KeyRange } from './types.ts';

/** A range that its owner has not ended after this many milliseconds is another's. */
const LEASE_MS = 120_000;
/** A little sooner than a round of ticks, so that no range misses its turn by a moment. */
const ROUND = 0.9;

export interface SweepDeps {
  readonly store: ReconcileStore;
  readonly unitOfWork: UnitOfWork;
  readonly catalogue: CurrentCatalogue;
  readonly clock: Clock;
  readonly settings: ReconcilerSettings;
  /** Names this process in the leases. */
  readonly owner: string;
}

export interface Swept {
  readonly hosts: number;
  /** Copies of team or labels that differed from their source, and rows that were missing. */
  readonly repaired: number;
  /** Enrolments queued because a plan for them is not empty. */
  readonly queued: number;
}

export interface Sweep {
  /** The next of `sweepSlices` ranges of keys that is due and that no other replica has. */
  next(): Promise<Swept>;
  /** All ranges are due; answers when none is left that nobody has. */
  shared(): Promise<Swept>;
  /** All of it, by this process alone. */
  all(): Promise<Swept>;
}

const NOTHING: Swept = { hosts: 0, repaired: 0, queued: 0 };

/**
 * Verifies instead of trusting: recomputes everything from teams and labels, a range of keys at a time, and queues what
 * nothing had announced. Expected to find nothing; what it finds is counted (scale.md §4). Replicas share it by leases.
 * No fencing is needed: what a late owner finds is queued, and judged again under a lock.
 */
export function createSweep(deps: SweepDeps): Sweep {
  const { store, clock, settings, owner } = deps;
  const slices = settings.sweepSlices;
  let laidOut = false;
  let epoch = 0;

  const ask = () => store.askAudit(slices, clock.now());

  /** Undefined: no range is due that nobody has. */
  async function lease(): Promise<Swept | undefined> {
    const now = clock.now();
    const slice = await store.leaseAudit(slices, owner, now, new Date(now.getTime() + LEASE_MS));
    if (slice === undefined) return undefined;
    const bounds = await store.bounds();
    const swept = bounds === undefined ? NOTHING : await range(sliceOf(bounds, slices, slice));
    await store.endAudit(slices, slice, owner, new Date(now.getTime() + settings.intervalMs * slices * ROUND));
    return swept;
  }

  /** The pages after the one that is judged are read meanwhile. */
  async function range(keys: KeyRange): Promise<Swept> {
    const pages: Promise<AuditPage>[] = [];
    let from = keys.low;
    let swept = NOTHING;
    try {
      for (;;) {
        for (; pages.length <= store.auditPagesAhead && from < keys.high; from += store.auditPageKeys) {
          const ahead = store.auditPage(from, Math.min(keys.high, from + store.auditPageKeys));
          // Nobody waits for it before its turn, and a failure that nobody waits for would end the process.
          ahead.catch(() => undefined);
          pages.push(ahead);
        }
        const page = await pages[0];
        if (page === undefined) return swept;
        pages.shift();
        // It counts backwards: another database, or an earlier state of it. Nothing in memory says what it holds.
        if (page.epoch < epoch) await ask();
        ({ epoch } = page);
        swept = sum(swept, await judge(deps, page));
      }
    } finally {
      await Promise.allSettled(pages);
    }
  }

  return {
    async next() {
      if (!laidOut) await store.layOutAudit(slices, clock.now());
      laidOut = true;
      return (await lease()) ?? NOTHING;
    },
    async shared() {
      await ask();
      let swept = NOTHING;
      for (let one = await lease(); one !== undefined; one = await lease()) swept = sum(swept, one);
      return swept;
    },
    async all() {
      const bounds = await store.bounds();
      return bounds === undefined ? NOTHING : range({ low: bounds.low, high: bounds.high + 1 });
    },
  };
}

async function judge(deps: SweepDeps, page: AuditPage): Promise<Swept> {
  const { store, settings, unitOfWork } = deps;
  const catalogue = await deps.catalogue.at(page.epoch);
  const now = deps.clock.now();
  const suspects: EnrollmentRef[] = [];
  const doubtful: EnrollmentRef[] = [];
  let hosts = 0;
  for (const { enrollment, suspect, row } of page.entries()) {
    hosts += 1;
    if (suspect) suspects.push(enrollment);
    else if (row?.hasOps === true || (row !== undefined && !isQuiet(catalogue, { row, ops: NO_OPS }, now, settings)))
      doubtful.push(enrollment);
  }
  const repaired = suspects.length === 0 ? suspects : await unitOfWork.run((tx) => store.repairCopies(tx, suspects));
  // Copies that somebody else was just setting right are judged as they are after it.
  const facts = await readSome(store, [...doubtful, ...suspects]);
  const found = facts.filter((one) => hasPlan(catalogue, one, now, settings));
  const queue = new Set([...repaired, ...found.map(({ row }) => row.enrollment)]);
  if (queue.size > 0) await unitOfWork.run((tx) => store.enqueueUnlessQueued(tx, [...queue], AUDIT, now));
  return { hosts, repaired: repaired.length, queued: queue.size };
}

async function readSome(store: ReconcileStore, enrollments: readonly EnrollmentRef[]): Promise<readonly HostFacts[]> {
  return enrollments.length === 0 ? [] : store.read(enrollments);
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

const NO_OPS: HostFacts['ops'] = [];
function sum(one: Swept, other: Swept): Swept {
  return {
    hosts: one.hosts + other.hosts,
    repaired: one.repaired + other.repaired,
    queued: one.queued + other.queued,
  };
}

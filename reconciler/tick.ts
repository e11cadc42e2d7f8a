import { AsyncResource } from 'node:async_hooks';
import type { Clock, Ids } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import type { MacKey } from '../keys/types.ts';
import { createActions, type ReconcilerActions } from './actions.ts';
import { createBodies } from './bodies.ts';
import { createCurrentCatalogue } from './current-catalogue.ts';
import { createDrain } from './drain.ts';
import type { EvaluateDeps, Evaluated } from './evaluate.ts';
import { createHandlers, type ReconcilerHandlers } from './handlers.ts';
import type { CommandBody, ExpectedPolicies, ReconcileStore } from './ports.ts';
import { createPreview } from './preview.ts';
import { createReads, type ReconcilerReads } from './reads.ts';
import { DEFAULT_SETTINGS, type ReconcilerSettings } from './settings.ts';
import { createSweep, type Swept } from './sweep.ts';
import type { PreviewOf } from './types.ts';

/** Ops that come due in one tick at most; the rest in the next. */
const DUE_PER_TICK = 100_000;

export interface ReconcilerDeps {
  readonly store: ReconcileStore;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** The server's key for fingerprints of applied versions. */
  readonly key: MacKey;
  readonly commandBody: CommandBody;
  /** Without it nothing is said about managed policies. */
  readonly expectedPolicies?: ExpectedPolicies;
  /** Runs an action once a unit of work has committed; without it a wake may come early, and looks once more. */
  readonly afterCommit?: (tx: Tx, action: () => void) => void;
  readonly settings?: Partial<ReconcilerSettings>;
}

export interface Ticked extends Evaluated {
  /** Undefined where this tick audited nothing. */
  readonly swept: Swept | undefined;
}

export interface Reconciler {
  readonly handlers: ReconcilerHandlers;
  readonly reads: ReconcilerReads;
  /** What admins ask for by hand. */
  readonly actions: ReconcilerActions;
  /** What a change would make the next tick do. */
  readonly preview: PreviewOf;
  /** Work the queue off. One at a time: a call during another waits for it and drains once more. */
  drain(): Promise<Evaluated>;
  /** What happens every interval: due ops, one slice of the audit, the queue. */
  tick(): Promise<Ticked>;
  /** Audit all enrolments now, and work off what was found. */
  audit(): Promise<Ticked>;
  /** Something was queued: drain soon, together with whatever else wakes it meanwhile. */
  wake(): void;
  /** The interval, with a full audit in the first tick, shared with other replicas. */
  start(): void;
  /** Stops the timers and waits for the batch that runs. */
  stop(): Promise<void>;
}

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { store, clock, log } = deps;
  const settings: ReconcilerSettings = { ...DEFAULT_SETTINGS, ...deps.settings };
  const catalogue = createCurrentCatalogue(store, deps.key);
  const evaluateDeps: EvaluateDeps = {
    store,
    catalogue,
    bodies: createBodies(deps.commandBody),
    ids: deps.ids,
    settings,
    log,
  };
  const queue = createDrain(evaluateDeps, deps.unitOfWork, clock);
  const sweep = createSweep({
    store,
    unitOfWork: deps.unitOfWork,
    catalogue,
    clock,
    settings,
    owner: deps.ids.uuid(),
  });

  const timers = new Set<NodeJS.Timeout>();
  // A wake comes from inside somebody's unit of work; what it starts is not part of that.
  const outside = AsyncResource.bind((action: () => Promise<unknown>) => action());
  let waking = false;
  let started = false;

  function later(delayMs: number, action: () => Promise<unknown>): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      outside(action).catch((error: unknown) =>
        log.error({ err: error }, 'the reconciler failed and tries again at its next turn'),
      );
    }, delayMs);
    timers.add(timer.unref());
  }

  function wake(): void {
    if (!started || waking) return;
    waking = true;
    later(settings.wakeDebounceMs, async () => {
      waking = false;
      await queue.drain();
    });
    if (deps.afterCommit === undefined) later(settings.wakeEchoMs, () => queue.drain());
  }

  async function tick(audit: () => Promise<Swept>): Promise<Ticked> {
    await store.enqueueDue(clock.now(), DUE_PER_TICK);
    const swept = await audit().catch(async (error: unknown) => {
      // A range that cannot be read is no reason for what is queued to wait another interval.
      await queue.drain();
      throw error;
    });
    if (swept.repaired > 0) log.warn({ ...swept }, 'the audit set right what nothing had announced');
    return { ...(await queue.drain()), swept };
  }

  function schedule(delayMs: number, audit: () => Promise<Swept>): void {
    later(delayMs, async () => {
      try {
        await tick(audit);
      } finally {
        if (started) schedule(settings.intervalMs * (0.9 + 0.2 * Math.random()), () => sweep.next());
      }
    });
  }

  const wakeAfter = (tx: Tx) => (deps.afterCommit === undefined ? wake() : deps.afterCommit(tx, wake));
  return {
    handlers: createHandlers({
      store,
      catalogue,
      clock,
      settings,
      expectedPolicies: deps.expectedPolicies,
      wakeAfter,
    }),
    reads: createReads({ store, catalogue, clock, settings }),
    actions: createActions({ store, unitOfWork: deps.unitOfWork, catalogue, clock, wakeAfter }),
    preview: createPreview({ store, catalogue, clock, settings, key: deps.key }),
    drain: () => queue.drain(),
    tick: () => tick(() => sweep.next()),
    audit: () => tick(() => sweep.all()),
    wake,
    start() {
      if (started) return;
      started = true;
      // Not at once: of many processes that start together, all would (R25).
      schedule(Math.min(settings.intervalMs, 1000) * Math.random(), () => sweep.shared());
    },
    async stop() {
      started = false;
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      await queue.stop();
    },
  };
}

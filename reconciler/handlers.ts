import type { Clock } from '../core/clock.ts';
import type { Effect } from '../core/effects.ts';
import type { Tx } from '../core/tx.ts';
import { sameApplied } from './applied.ts';
import { type Catalogue, fingerprintOf, versionOf } from './catalogue.ts';
import { checksumsSeen, hasContent, NO_CONTENT } from './content-evidence.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { sameDrift } from './drift.ts';
import { observe } from './observe.ts';
import { policiesSeen } from './policy-evidence.ts';
import type { ExpectedPolicies, ReconcileStore } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';
import { settle } from './settle.ts';
import type { ContentEvidence, FactsChange, HostFacts, OpChange } from './types.ts';

type Of<Kind extends Effect['kind']> = Extract<Effect, { kind: Kind }>;

/** What the room does with the effects of others, each in the transaction of the decision that caused it. */
export interface ReconcilerHandlers {
  onEnrollmentStarted(tx: Tx, effect: Of<'enrollment_started'>): Promise<void>;
  onEnrollmentLive(tx: Tx, effect: Of<'enrollment_live'>): Promise<void>;
  onEnrollmentEnded(tx: Tx, effect: Of<'enrollment_ended'>): Promise<void>;
  onOpSettled(tx: Tx, effect: Of<'op_settled'>): Promise<void>;
  onProfilesObserved(tx: Tx, effect: Of<'profiles_observed'>): Promise<void>;
  onPoliciesObserved(tx: Tx, effect: Of<'policies_observed'>): Promise<void>;
}

export interface HandlerDeps {
  readonly store: ReconcileStore;
  readonly catalogue: CurrentCatalogue;
  readonly clock: Clock;
  readonly settings: ReconcilerSettings;
  readonly expectedPolicies: ExpectedPolicies | undefined;
  /** Wakes the tick once this unit of work has committed. */
  readonly wakeAfter: (tx: Tx) => void;
}

export function createHandlers(deps: HandlerDeps): ReconcilerHandlers {
  const { store, clock, settings } = deps;

  async function queue(tx: Tx, enrollment: number, reason: string, now: Date): Promise<void> {
    await store.enqueue(tx, [enrollment], reason, now);
    deps.wakeAfter(tx);
  }

  async function writeContent(tx: Tx, enrollment: number, content: ContentEvidence): Promise<void> {
    await store.writeContent(tx, enrollment, hasContent(content) ? content : undefined);
  }

  return {
    /** The Mac is not empty, but what it holds is not known any more. */
    async onEnrollmentStarted(tx, { enrollment }) {
      await store.forget(tx, enrollment);
    },

    async onEnrollmentLive(tx, { enrollment, first }) {
      if (!first) return;
      await store.ensure(tx, enrollment);
      await queue(tx, enrollment, 'enrolled', clock.now());
    },

    /** What another channel of the host waited to see gone from this one is waited for no longer. */
    async onEnrollmentEnded(tx, { enrollment }) {
      await store.drop(tx, enrollment);
      if (await store.queueWaitingFor(tx, enrollment, undefined, clock.now())) deps.wakeAfter(tx);
    },

    async onOpSettled(tx, effect) {
      const read = await readOne(deps, tx, effect.enrollment);
      if (read === undefined) return;
      const { catalogue, facts } = read;
      const op = facts.ops.find((one) => one.slotId === effect.op.slot);
      const now = clock.now();
      const change = settle(catalogue, facts.row, op, effect, now, settings);
      if (change === undefined) return;
      await writeChange(deps, tx, catalogue, facts, change, now);
      // The user is there again: what waited for that can go.
      if (facts.row.channel === 'user') await queue(tx, effect.enrollment, 'user_answered', now);
    },

    async onProfilesObserved(tx, { enrollment, source, observation }) {
      const read = await readOne(deps, tx, enrollment);
      if (read === undefined) return;
      const { catalogue, facts, content } = read;
      const now = clock.now();
      const change = observe(catalogue, facts.row, facts.ops, observation, source, now, settings);
      if (source === 'osquery')
        await store.writeObserver(tx, enrollment, { source, state: observation.state, at: now });
      else if (change !== undefined) await store.writeObserver(tx, enrollment, { source, at: now });
      if (change === undefined) return;
      await writeChange(deps, tx, catalogue, facts, change, now);
      if (source === 'osquery' && observation.state === 'rows') {
        const seen = checksumsSeen(catalogue, content, observation, change.applied, unsettledBy(facts, change), now);
        if (seen !== undefined) await writeContent(tx, enrollment, seen);
      }
      if (change.dirty) await queue(tx, enrollment, 'observed', now);
    },

    /** Evidence only: what is not in force is shown, and no state is another because of it. */
    async onPoliciesObserved(tx, { enrollment, policies }) {
      if (deps.expectedPolicies === undefined) return;
      const read = await readOne(deps, tx, enrollment);
      if (read === undefined) return;
      const { catalogue, facts, content = NO_CONTENT } = read;
      const busy = new Set(facts.ops.map((op) => op.slotId));
      const settled = facts.row.applied.filter((id) => !busy.has(versionOf(catalogue, id).slotId));
      const expected = await deps.expectedPolicies(tx, settled);
      const seen = policiesSeen(content, expected, policies, clock.now());
      if (hasContent(seen) || hasContent(content)) await writeContent(tx, enrollment, seen);
    },
  };
}

/** A version that the catalogue in memory lacks was committed while this waited for the row: load it again. */
async function readOne(
  deps: HandlerDeps,
  tx: Tx,
  enrollment: number,
): Promise<{ catalogue: Catalogue; facts: HostFacts; content: ContentEvidence | undefined } | undefined> {
  const read = await deps.store.lockOne(tx, enrollment);
  if (read === undefined) return undefined;
  const { facts, epoch, content } = read;
  const catalogue = await deps.catalogue.at(epoch, tx);
  const named = [...facts.row.applied, ...facts.ops.map((op) => op.versionId)];
  return {
    catalogue: named.every((id) => catalogue.versions.has(id)) ? catalogue : await deps.catalogue.again(tx),
    facts,
    content,
  };
}

/** Slots that still have an op after this change. */
function unsettledBy({ ops }: HostFacts, { changes }: FactsChange): ReadonlySet<number> {
  const slots = new Set(ops.map((op) => op.slotId));
  for (const one of changes)
    if (one.kind === 'drop') slots.delete(one.slotId);
    else slots.add(one.op.slotId);
  return slots;
}

async function writeChange(
  { store, wakeAfter }: HandlerDeps,
  tx: Tx,
  catalogue: Catalogue,
  facts: HostFacts,
  change: FactsChange,
  now: Date,
): Promise<void> {
  if (isNothing(facts, change)) return;
  await store.writeFacts(
    tx,
    {
      row: facts.row,
      upserts: change.changes.flatMap((one) => (one.kind === 'drop' ? [] : [one.op])),
      drops: change.changes.flatMap((one) => (one.kind === 'drop' ? [one.slotId] : [])),
      cancels: change.changes.flatMap(cancelOf),
      opCount: unsettledBy(facts, change).size,
      applied: change.applied,
      fingerprint: fingerprintOf(catalogue, change.applied),
      observedExtra: change.observedExtra,
      actualKnown: change.actualKnown,
    },
    now,
  );
  // A profile that has moved to another channel waits until this one is rid of it.
  const rid = change.changes.flatMap((one) =>
    one.kind === 'drop' && catalogue.movedFrom.has(one.slotId) ? [one.slotId] : [],
  );
  if (rid.length > 0 && (await store.queueWaitingFor(tx, facts.row.enrollment, rid, now))) wakeAfter(tx);
}

/** Most reports say what is known already: then only the observer's time is written. */
function isNothing({ row }: HostFacts, change: FactsChange): boolean {
  return (
    change.changes.length === 0 &&
    change.actualKnown === row.actualKnown &&
    sameApplied(change.applied, row.applied) &&
    sameDrift(change.observedExtra, row.observedExtra)
  );
}

function cancelOf(change: OpChange): string[] {
  return change.cancel === undefined ? [] : [change.cancel];
}

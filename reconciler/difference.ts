/** What a change of the catalogue alters for one enrolment. */
import type { Channel } from '../core/enrollment.ts';
import { heldVersions } from './applied.ts';
import type { Catalogue } from './catalogue.ts';
import { type Matcher, matcherOf, NO } from './match.ts';
import { pairsOf } from './pairs.ts';
import { planHost } from './plan.ts';
import type { ReconcilerSettings } from './settings.ts';
import { stateOf } from './state.ts';
import type { CatalogueProfile, HostFacts, PreviewAction, ReconRow } from './types.ts';

export interface Difference {
  readonly identifier: string;
  readonly action: PreviewAction;
  /** Where it is not the enrolment's own. */
  readonly channel?: Channel;
}

/**
 * False = the change cannot alter this enrolment's plan, whatever it holds and whatever is under way: its gate wishes the
 * same of every slot. Reads nothing of `applied`, so it is what a scan of a whole fleet costs.
 */
export function mayDiffer(present: Catalogue, row: ReconRow, changed: Catalogue, moved: ReconRow): boolean {
  return pairingOf(matcherOf(present, row), matcherOf(changed, moved)).differs(row, moved);
}

/** What the planner would do under the changed catalogue and would not under the present one. */
export function differenceOf(
  present: Catalogue,
  facts: HostFacts,
  changed: Catalogue,
  moved: HostFacts,
  now: Date,
  settings: ReconcilerSettings,
): Difference[] {
  let before: ReadonlyMap<number, Act>;
  let after: ReadonlyMap<number, Act>;
  try {
    before = actsOf(present, facts, now, settings);
    after = actsOf(changed, moved, now, settings);
  } catch {
    // What cannot be planned is put aside by the tick too: it does nothing.
    return [];
  }
  return [...after].flatMap(([slotId, act]) => {
    const was = before.get(slotId);
    if (was !== undefined && was.action === act.action && was.versionId === act.versionId) return [];
    return [{ identifier: changed.slots.get(slotId)?.identifier ?? '', action: act.action }];
  });
}

/** A host without a user channel holds nothing there and can be sent nothing: what is meant for it is held. */
export function differenceWithoutUserChannel(
  present: Catalogue,
  row: ReconRow,
  changed: Catalogue,
  moved: ReconRow,
): Difference[] {
  const before = new Set(meantForUser(present, row));
  return meantForUser(changed, moved)
    .filter((identifier) => !before.has(identifier))
    .map((identifier) => ({ identifier, action: 'hold', channel: 'user' }));
}

interface Act {
  readonly action: PreviewAction;
  readonly versionId: number | undefined;
}

function actsOf(catalogue: Catalogue, facts: HostFacts, now: Date, settings: ReconcilerSettings): Map<number, Act> {
  const held = heldVersions(catalogue, facts.row.applied);
  const plan = planHost(catalogue, facts, now, { ...settings, maxSendsPerHost: Number.POSITIVE_INFINITY });
  const ops = new Map(facts.ops.map((op) => [op.slotId, op]));
  const acts = new Map<number, Act>();
  for (const change of plan?.changes ?? []) {
    if (change.kind === 'drop') ops.delete(change.slotId);
    else ops.set(change.op.slotId, change.op);
    if (change.kind === 'send') acts.set(change.op.slotId, sent(change.op, held.get(change.op.slotId)));
  }
  for (const pair of pairsOf(catalogue, { ...facts, ops: [...ops.values()] })) {
    if (acts.has(pair.slotId)) continue;
    const { waiting } = stateOf(pair);
    if (waiting !== undefined || pair.verdict?.value === 'unknown')
      acts.set(pair.slotId, { action: 'hold', versionId: undefined });
  }
  return acts;
}

function sent({ op, versionId }: { op: 'install' | 'remove'; versionId: number }, held: number | undefined): Act {
  if (op === 'remove') return { action: 'remove', versionId: undefined };
  return { action: held === undefined ? 'install' : 'replace', versionId };
}

function meantForUser(catalogue: Catalogue, row: ReconRow): string[] {
  const subject = { ...row, channel: 'user' as const };
  const { profiles, match } = matcherOf(catalogue, subject);
  const answers = match(subject);
  return profiles.flatMap(({ slotId }, index) =>
    answers[index] === NO ? [] : [catalogue.slots.get(slotId)?.identifier ?? ''],
  );
}

interface Pairing {
  differs(row: ReconRow, moved: ReconRow): boolean;
}

const pairings = new WeakMap<Matcher, WeakMap<Matcher, Pairing>>();

/** Compiled once per pair of catalogues and teams. */
function pairingOf(before: Matcher, after: Matcher): Pairing {
  const known = pairings.get(before) ?? new WeakMap<Matcher, Pairing>();
  pairings.set(before, known);
  const pairing = known.get(after) ?? compile(before, after);
  known.set(after, pairing);
  return pairing;
}

/** An answer that is the same for the same version of the same slot leaves the plan as it is. */
function compile(before: Matcher, after: Matcher): Pairing {
  const place = new Map(before.profiles.map((profile, index) => [profile.slotId, index]));
  const pairs = after.profiles.map((profile, index) => {
    const at = place.get(profile.slotId);
    place.delete(profile.slotId);
    return { at, index, same: at !== undefined && isSame(before.profiles[at], profile) };
  });
  const gone = [...place.values()];
  return {
    differs(row, moved) {
      const was = before.match(row);
      const is = after.match(moved);
      for (const { at, index, same } of pairs) {
        const old = at === undefined ? NO : (was[at] as number);
        if (is[index] !== old || (old !== NO && !same)) return true;
      }
      return gone.some((at) => was[at] !== NO);
    },
  };
}

function isSame(one: CatalogueProfile | undefined, other: CatalogueProfile): boolean {
  return one?.versionId === other.versionId && one.movedFromSlotId === other.movedFromSlotId;
}

import { heldVersions } from './applied.ts';
import type { Catalogue } from './catalogue.ts';
import { type GateVerdict, judge } from './gate.ts';
import { barOf, waitsFor } from './held.ts';
import { matcherOf, NO, YES } from './match.ts';
import type { Pair } from './state.ts';
import type { CatalogueProfile, HostFacts, Op, WaitingReason } from './types.ts';

/** One slot of one enrolment, with all that its state is derived from. */
export interface SlotPair extends Pair {
  readonly slotId: number;
  /** The live profile of the host's team. */
  readonly profile: CatalogueProfile | undefined;
  readonly op: Op | undefined;
}

type Brief = Pick<GateVerdict, 'value' | 'hold'>;

const MEANT: Brief = { value: 'yes', hold: undefined };
const NOT_MEANT: Brief = { value: 'no', hold: undefined };

/**
 * Every profile of the enrolment's team and channel, and every other slot that holds something of ours or has an op: the
 * pairs that pages show, lists list and counters count.
 */
export function* pairsOf(catalogue: Catalogue, facts: HostFacts): Generator<SlotPair> {
  const { profiles, match } = matcherOf(catalogue, facts.row);
  const answers = match(facts.row).slice();
  const held = heldVersions(catalogue, facts.row.applied);
  const ops = new Map(facts.ops.map((op) => [op.slotId, op]));
  const bar = barOf(facts);
  for (const [index, profile] of profiles.entries()) {
    const { slotId, versionId: wantedVersion } = profile;
    const answer = answers[index] as number;
    // Why matters only where it can make it another state.
    const verdict = answer === YES ? MEANT : answer === NO ? NOT_MEANT : judge(profile, facts.row, catalogue.labels);
    const heldVersion = held.get(slotId);
    const hold = holdOf(verdict, bar, profile, facts);
    yield { slotId, profile, verdict, wantedVersion, heldVersion, op: ops.get(slotId), hold };
    held.delete(slotId);
    ops.delete(slotId);
  }
  for (const slotId of new Set([...held.keys(), ...ops.keys()])) {
    const rest = { profile: undefined, verdict: undefined, wantedVersion: undefined, hold: bar };
    if (catalogue.slots.get(slotId)?.kind === 'mdm')
      yield { slotId, heldVersion: held.get(slotId), op: ops.get(slotId), ...rest };
  }
}

/** What speaks against acting on this pair besides the gate: the same that keeps the plan from sending. */
export function holdOf(
  verdict: Brief,
  bar: WaitingReason | undefined,
  profile: CatalogueProfile,
  facts: HostFacts,
): WaitingReason | undefined {
  // Whether it stays or is awaited is open until the device has said whether it has it.
  if (verdict.value === 'unknown') return facts.row.actualKnown ? undefined : 'actual_state_unknown';
  return bar ?? (verdict.value === 'yes' ? waitsFor(profile, facts) : undefined);
}

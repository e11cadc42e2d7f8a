import { heldVersions } from './applied.ts';
import type { Catalogue } from './catalogue.ts';
import { judge } from './gate.ts';
import { matcherOf, NO, UNKNOWN } from './match.ts';
import { isSettled } from './plan.ts';
import { type DerivedState, stateOf } from './state.ts';
import type { CatalogueProfile, HostFacts, PairState, ReconRow } from './types.ts';

/** Hosts of one profile by state. `inScope` is the sum of the states. */
export interface ProfileCounts {
  readonly profileId: number;
  readonly inScope: number;
  readonly states: Readonly<Record<InScopeState, number>>;
}

/** The other two are no part of a profile's scope. */
export type InScopeState = Exclude<PairState, 'unmanaged' | 'not_in_scope'>;

const IN_SCOPE_STATES: readonly InScopeState[] = ['verified', 'verifying', 'pending', 'removing', 'failed', 'waiting'];

/** The state of every live profile of the team and channel for one enrolment, without words. */
export function* profileStates(
  catalogue: Catalogue,
  { row, ops }: Pick<HostFacts, 'row' | 'ops'>,
): Generator<readonly [CatalogueProfile, DerivedState]> {
  const { profiles, match } = matcherOf(catalogue, row);
  const answers = match(row);
  const held = heldVersions(catalogue, row.applied);
  const bySlot = new Map(ops.map((op) => [op.slotId, op]));
  for (const [index, profile] of profiles.entries()) {
    const answer = answers[index] as number;
    // The reason matters only where a hold can make it another state.
    const verdict =
      answer === UNKNOWN || (answer === NO && isRanged(profile))
        ? judge(profile, row, catalogue.labels)
        : { value: answer === NO ? ('no' as const) : ('yes' as const), hold: undefined };
    const pair = {
      verdict,
      wantedVersion: profile.versionId,
      heldVersion: held.get(profile.slotId),
      op: bySlot.get(profile.slotId),
      hold: undefined,
    };
    yield [profile, stateOf(pair)];
  }
}

/**
 * Counts an enrolment whose fingerprint says that it holds exactly what it should: no need to read what it holds.
 * False = not settled, nothing was counted.
 */
export function tallySettled(catalogue: Catalogue, row: ReconRow, opCount: number, tally: Tally): boolean {
  if (opCount > 0 || !isSettled(catalogue, { row, ops: [] })) return false;
  const { profiles, match } = matcherOf(catalogue, row);
  const answers = match(row);
  for (const [index, profile] of profiles.entries()) {
    if (answers[index] !== NO) tally.add(profile.id, 'verified');
    else if (isRanged(profile) && judge(profile, row, catalogue.labels).hold !== undefined)
      tally.add(profile.id, 'waiting');
  }
  return true;
}

function isRanged(profile: CatalogueProfile): boolean {
  return profile.minOs !== undefined || profile.maxOs !== undefined;
}

/** Profiles for users that a host without a user channel waits for. */
export function* waitingForUserChannel(catalogue: Catalogue, row: ReconRow): Generator<CatalogueProfile> {
  const subject = { ...row, channel: 'user' as const };
  const { profiles, match } = matcherOf(catalogue, subject);
  const answers = match(subject);
  for (const [index, profile] of profiles.entries()) if (answers[index] !== NO) yield profile;
}

export class Tally {
  readonly #counts = new Map<number, Record<InScopeState, number>>();

  add(profileId: number, state: PairState): void {
    if (state === 'unmanaged' || state === 'not_in_scope') return;
    const counts = this.#counts.get(profileId) ?? {
      verified: 0,
      verifying: 0,
      pending: 0,
      removing: 0,
      failed: 0,
      waiting: 0,
    };
    counts[state] += 1;
    this.#counts.set(profileId, counts);
  }

  of(profileId: number): ProfileCounts {
    const states = this.#counts.get(profileId) ?? {
      verified: 0,
      verifying: 0,
      pending: 0,
      removing: 0,
      failed: 0,
      waiting: 0,
    };
    return { profileId, states, inScope: IN_SCOPE_STATES.reduce((sum, state) => sum + states[state], 0) };
  }
}

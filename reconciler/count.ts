import type { Catalogue } from './catalogue.ts';
import { judge } from './gate.ts';
import { BARRED, matcherOf, NO } from './match.ts';
import type { DerivedState } from './state.ts';
import type { CatalogueProfile, Op, PairState, ReconRow, WaitingReason } from './types.ts';

/** The other two are no part of a profile's scope. */
export type InScopeState = Exclude<PairState, 'unmanaged' | 'not_in_scope'>;

export const IN_SCOPE_STATES: readonly InScopeState[] = [
  'verified',
  'verifying',
  'pending',
  'removing',
  'failed',
  'waiting',
];

export type StateCounts = Readonly<Record<InScopeState, number>>;

/** Pairs by state. `inScope` is the sum of the states; `waiting` and `errors` say more of some of them. */
export interface PairCounts {
  readonly inScope: number;
  readonly states: StateCounts;
  /** Pairs that nothing is sent for, by reason: those that wait, and removals that cannot be sent. */
  readonly waiting: Readonly<Partial<Record<WaitingReason, number>>>;
  /** Failed pairs by stable code. */
  readonly errors: Readonly<Record<string, number>>;
}

export interface ProfileCounts extends PairCounts {
  readonly profileId: number;
}

/** The pairs of an enrolment whose fingerprint says that it holds exactly what it should, without reading what it holds. */
export function settledPairs(
  catalogue: Catalogue,
  row: ReconRow,
): readonly (readonly [CatalogueProfile, DerivedState])[] {
  const { profiles, match } = matcherOf(catalogue, row);
  const answers = match(row);
  return profiles.flatMap((profile, index) => {
    if (answers[index] === NO) return [];
    return [[profile, answers[index] === BARRED ? barred(catalogue, profile, row) : VERIFIED] as const];
  });
}

const VERIFIED: DerivedState = { state: 'verified', waiting: undefined };

function barred(catalogue: Catalogue, profile: CatalogueProfile, row: ReconRow): DerivedState {
  return { state: 'waiting', waiting: judge(profile, row, catalogue.labels).hold };
}

/** Profiles for users that a host without a user channel waits for, and why. */
export function* pairsWithoutUserChannel(
  catalogue: Catalogue,
  row: ReconRow,
): Generator<readonly [CatalogueProfile, DerivedState]> {
  const subject = { ...row, channel: 'user' as const };
  const { profiles, match } = matcherOf(catalogue, subject);
  const answers = match(subject);
  for (const [index, profile] of profiles.entries())
    if (answers[index] !== NO)
      yield [profile, answers[index] === BARRED ? barred(catalogue, profile, subject) : NO_USER_CHANNEL];
}

const NO_USER_CHANNEL: DerivedState = { state: 'waiting', waiting: 'no_user_channel' };

export class Tally {
  readonly #states: Record<InScopeState, number> = zeros();
  readonly #waiting: Partial<Record<WaitingReason, number>> = {};
  readonly #errors: Record<string, number> = {};

  add({ state, waiting }: DerivedState, op: Op | undefined, count = 1): void {
    if (state === 'unmanaged' || state === 'not_in_scope') return;
    this.#states[state] += count;
    if (waiting !== undefined) this.#waiting[waiting] = (this.#waiting[waiting] ?? 0) + count;
    if (state === 'failed' && op !== undefined) this.#errors[op.reason] = (this.#errors[op.reason] ?? 0) + count;
  }

  counts(): PairCounts {
    const states = { ...this.#states };
    const inScope = IN_SCOPE_STATES.reduce((sum, state) => sum + states[state], 0);
    return { states, inScope, waiting: { ...this.#waiting }, errors: { ...this.#errors } };
  }
}

function zeros(): Record<InScopeState, number> {
  return { verified: 0, verifying: 0, pending: 0, removing: 0, failed: 0, waiting: 0 };
}

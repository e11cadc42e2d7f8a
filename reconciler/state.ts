import type { GateValue, GateVerdict } from './gate.ts';
import type { Op, OpKind, OpState, PairState, WaitingReason } from './types.ts';

/** Does the device hold the version that is wanted, another one of the slot, or none we know of. */
export type Held = 'wanted' | 'other' | 'none';

const SETTLED: Readonly<Record<GateValue, Readonly<Record<Held, PairState>>>> = {
  yes: { wanted: 'verified', other: 'pending', none: 'pending' },
  unknown: { wanted: 'verified', other: 'waiting', none: 'waiting' },
  no: { wanted: 'removing', other: 'removing', none: 'not_in_scope' },
};

const UNSETTLED: Readonly<Record<OpKind, Readonly<Record<OpState, PairState>>>> = {
  install: { queued: 'pending', acked: 'verifying', failed: 'failed' },
  remove: { queued: 'removing', acked: 'removing', failed: 'failed' },
};

/** What a state is derived from. `verdict` is undefined where no live profile of the host's team has this slot. */
export interface Pair {
  readonly verdict: Pick<GateVerdict, 'value' | 'hold'> | undefined;
  readonly wantedVersion: number | undefined;
  readonly heldVersion: number | undefined;
  readonly op: Pick<Op, 'op' | 'state'> | undefined;
  /** What else keeps the reconciler from acting on this enrolment. */
  readonly hold: WaitingReason | undefined;
}

export interface DerivedState {
  readonly state: PairState;
  readonly waiting: WaitingReason | undefined;
}

/** The one function that says what state a pair is in (design §4). Total: the compiler finds a missing combination. */
export function stateOf(pair: Pair): DerivedState {
  if (pair.op !== undefined) return { state: UNSETTLED[pair.op.op][pair.op.state], waiting: undefined };
  const gate = pair.verdict?.value ?? 'no';
  const state = SETTLED[gate][heldOf(pair)];
  const hold = pair.verdict?.hold ?? pair.hold;
  if (hold === undefined || !isHeldBack(state, pair)) return { state, waiting: undefined };
  return { state: 'waiting', waiting: hold };
}

export function heldOf({ wantedVersion, heldVersion }: Pick<Pair, 'wantedVersion' | 'heldVersion'>): Held {
  if (heldVersion === undefined) return 'none';
  return heldVersion === wantedVersion ? 'wanted' : 'other';
}

/** Wanted, not there, no op: something holds it. Out of scope for its OS is held, out of scope for its labels is not. */
function isHeldBack(state: PairState, { verdict }: Pair): boolean {
  return state === 'waiting' || state === 'pending' || (state === 'not_in_scope' && verdict?.hold !== undefined);
}

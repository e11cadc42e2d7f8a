import type { GateValue, GateVerdict } from './gate.ts';
import { isLocked } from './held.ts';
import type { Op, OpKind, OpState, PairState, WaitingReason } from './types.ts';

/** Does the device hold the version that is wanted, another one of the slot, or none we know of. */
export type Held = 'wanted' | 'other' | 'none';

type SettledState = Exclude<PairState, 'verifying' | 'failed' | 'unmanaged'>;

const SETTLED: Readonly<Record<GateValue, Readonly<Record<Held, SettledState>>>> = {
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
  readonly op: Pick<Op, 'op' | 'state' | 'commandUuid' | 'reason'> | undefined;
  /** What else keeps the reconciler from acting on this pair. */
  readonly hold: WaitingReason | undefined;
}

export interface DerivedState {
  readonly state: PairState;
  /** Why nothing is sent: always with `waiting`, and with `removing` where the removal cannot be sent. */
  readonly waiting: WaitingReason | undefined;
}

/** The one function that says what state a pair is in (design §4). Total: the compiler finds a missing combination. */
export function stateOf(pair: Pair): DerivedState {
  if (pair.op !== undefined) return unsettled(pair.op, pair.hold);
  const state = SETTLED[pair.verdict?.value ?? 'no'][heldOf(pair)];
  switch (state) {
    case 'verified':
      return { state, waiting: undefined };
    case 'removing':
      return { state, waiting: pair.hold };
    case 'not_in_scope':
      // Out of scope for its OS or kind is held, out of scope for its labels is not.
      return waitingOr(state, pair.verdict?.hold);
    case 'pending':
    case 'waiting':
      return waitingOr(state, pair.hold ?? pair.verdict?.hold);
  }
}

/** Nothing is under way while the command is still to be made: what holds it back is what there is to say. */
function unsettled(op: NonNullable<Pair['op']>, hold: Pair['hold']): DerivedState {
  const derived = UNSETTLED[op.op][op.state];
  const toBeMade = op.state === 'queued' && op.commandUuid === undefined;
  // What the user's session has put off itself is made again when it is due.
  const held = toBeMade && !(hold === 'user_not_logged_in' && isLocked(op)) ? hold : undefined;
  return op.op === 'install' ? waitingOr(derived, held) : { state: derived, waiting: held };
}

export function heldOf({ wantedVersion, heldVersion }: Pick<Pair, 'wantedVersion' | 'heldVersion'>): Held {
  if (heldVersion === undefined) return 'none';
  return heldVersion === wantedVersion ? 'wanted' : 'other';
}

function waitingOr(state: PairState, hold: WaitingReason | undefined): DerivedState {
  return hold === undefined ? { state, waiting: undefined } : { state: 'waiting', waiting: hold };
}

import { appliedOf, heldVersions } from './applied.ts';
import { type Catalogue, fingerprintOf } from './catalogue.ts';
import { SUPERSEDED, UNPROVEN } from './decide.ts';
import { freshOp } from './op.ts';
import { pairsOf, type SlotPair } from './pairs.ts';
import { stateOf } from './state.ts';
import type { HostFacts, Op, OpKind, PairState, WaitingReason } from './types.ts';

/** What is sent again, and what became of what was under way. */
export interface Resent {
  readonly op: OpKind;
  readonly versionId: number;
  readonly was: PairState;
  /** The command that this one takes the place of. */
  readonly superseded: string | undefined;
}

export type ResendDecision =
  | { readonly kind: 'resend'; readonly upsert: Op; readonly cancel: string | undefined; readonly resent: Resent }
  /** Nothing could be sent. */
  | { readonly kind: 'refused'; readonly state: PairState; readonly waiting: WaitingReason | undefined };

/**
 * An admin asks for it once more, in whatever state it is: a new intent, so both counters start again and whatever is
 * under way is ended. Its command is made by the next plan. Undefined = the enrolment has no such pair.
 */
export function resend(catalogue: Catalogue, facts: HostFacts, slotId: number, now: Date): ResendDecision | undefined {
  const pair = [...pairsOf(catalogue, facts)].find((one) => one.slotId === slotId);
  if (pair === undefined) return undefined;
  // What would hold a new operation back holds this one: the state as it would be without the present one.
  const { state: bare, waiting } = stateOf({ ...pair, op: undefined });
  const was = stateOf(pair).state;
  const wanted = intentOf(pair);
  if (
    wanted === undefined ||
    waiting !== undefined ||
    (pair.hold !== undefined && pair.hold !== 'actual_state_unknown')
  )
    return { kind: 'refused', state: pair.op === undefined ? bare : was, waiting: waiting ?? pair.hold };
  const { op, versionId } = wanted;
  const superseded = pair.op?.state === 'queued' ? pair.op.commandUuid : undefined;
  return {
    kind: 'resend',
    upsert: {
      ...freshOp(slotId, op, versionId, facts.row.enrollmentGeneration, now),
      reason: pair.op === undefined ? '' : op === 'remove' ? UNPROVEN : mayBeThere(pair.op, facts) ? SUPERSEDED : '',
    },
    cancel: superseded,
    resent: { op, versionId, was, superseded },
  };
}

/** Undefined = it is not meant for this host and not there, or whether it is meant is open: then nothing new is sent. */
function intentOf({ verdict, wantedVersion, heldVersion, op }: SlotPair): Pick<Op, 'op' | 'versionId'> | undefined {
  if (verdict?.value === 'unknown') return undefined;
  if (verdict?.value === 'yes' && wantedVersion !== undefined) return { op: 'install', versionId: wantedVersion };
  if (heldVersion !== undefined) return { op: 'remove', versionId: heldVersion };
  return op === undefined ? undefined : { op: 'remove', versionId: op.versionId };
}

/** An install was handed out and never answered: no longer wanted it must be removed, whoever saw the command after it. */
function mayBeThere(op: Op | undefined, { commands }: HostFacts): boolean {
  if (op?.op !== 'install' || op.state !== 'queued') return false;
  return op.reason === SUPERSEDED || (op.commandUuid !== undefined && commands.get(op.commandUuid)?.deliveries !== 0);
}

/** `recon` as it is, with one op more or another one. */
export function resendWrite(
  catalogue: Catalogue,
  facts: HostFacts,
  { upsert, cancel }: Extract<ResendDecision, { kind: 'resend' }>,
) {
  const applied = appliedOf(heldVersions(catalogue, facts.row.applied));
  return {
    row: facts.row,
    upserts: [upsert],
    drops: [],
    cancels: cancel === undefined ? [] : [cancel],
    opCount: new Set([...facts.ops.map((one) => one.slotId), upsert.slotId]).size,
    applied,
    fingerprint: fingerprintOf(catalogue, applied),
    observedExtra: facts.row.observedExtra,
    actualKnown: facts.row.actualKnown,
  };
}

import { agentReports, appliedOf, heldVersions } from './applied.ts';
import type { Catalogue } from './catalogue.ts';
import { extra, inDriftOrder } from './drift.ts';
import { classify, saysGone, saysNotOurs } from './errors.ts';
import { isByHand } from './reasons.ts';
import { backoff, type ReconcilerSettings } from './settings.ts';
import type { FactsChange, Op, OpChange, ReconRow, Settlement } from './types.ts';

/**
 * What a device's answer means for its op and for what the device is known to hold. Undefined = nothing: the answer
 * belongs to an older generation of the op or of the enrolment, or was already counted (design §4).
 */
export function settle(
  catalogue: Catalogue,
  row: ReconRow,
  op: Op | undefined,
  settlement: Settlement,
  now: Date,
  settings: ReconcilerSettings,
): FactsChange | undefined {
  if (op === undefined || op.state !== 'queued' || op.generation !== settlement.op.generation) return undefined;
  if (
    settlement.enrollmentGeneration !== row.enrollmentGeneration ||
    op.enrollmentGeneration !== row.enrollmentGeneration
  )
    return undefined;
  const held = heldVersions(catalogue, row.applied);
  const { outcome, errorChain } = settlement;
  if (outcome === 'Acknowledged') {
    if (op.op === 'install') held.set(op.slotId, op.versionId);
    else held.delete(op.slotId);
    return facts(row, held, { kind: 'set', op: acknowledged(op, row, now, settings), cancel: undefined });
  }
  if (saysGone(op.op, errorChain) || saysNotOurs(op.op, errorChain)) {
    held.delete(op.slotId);
    const change = facts(row, held, { kind: 'drop', slotId: op.slotId, cancel: undefined });
    return saysGone(op.op, errorChain)
      ? change
      : { ...change, observedExtra: withNotOurs(catalogue, row, op, settings) };
  }
  return facts(row, held, { kind: 'set', op: failed(op, row, settlement, now, settings), cancel: undefined });
}

/** Verification starts: a report confirms it, and where no agent speaks ProfileList is asked when `nextAt` comes. */
function acknowledged(op: Op, row: ReconRow, now: Date, settings: ReconcilerSettings): Op {
  const delay = agentReports(row, now, settings.agentFreshMs) ? settings.agentPatienceMs : settings.profileListDelayMs;
  const reason = isByHand(op.reason) ? op.reason : '';
  return { ...op, state: 'acked', reason, errorChain: [], ackedAt: now, nextAt: new Date(now.getTime() + delay) };
}

function failed(op: Op, row: ReconRow, settlement: Settlement, now: Date, settings: ReconcilerSettings): Op {
  const { outcome, errorChain } = settlement;
  const error = classify(outcome === 'Acknowledged' ? 'Error' : outcome, errorChain);
  const attempts = op.deliveryAttempts + 1;
  const again = retryDelay(error.class, attempts, row.enrollment + op.slotId, settings);
  // No other content will ever help a removal: without another attempt what is not wanted would stay for good.
  const delay = again ?? (op.op === 'remove' ? settings.slowRetryMs : undefined);
  return {
    ...op,
    state: 'failed',
    reason: error.code,
    errorChain,
    deliveryAttempts: attempts,
    nextAt: delay === undefined ? undefined : new Date(now.getTime() + delay),
  };
}

/** Milliseconds until the command is made again; undefined = not before content, scope or an admin changes it. */
function retryDelay(kind: string, attempts: number, spread: number, settings: ReconcilerSettings): number | undefined {
  const soon = backoff(settings.deliveryBackoffMs, settings.deliveryBackoffCapMs, attempts, spread);
  switch (kind) {
    case 'permanent':
      return undefined;
    case 'needs_user':
      return settings.slowRetryMs;
    case 'transient':
      return attempts < settings.maxDeliveryAttempts ? soon : settings.slowRetryMs;
    default:
      return attempts < settings.maxDeliveryAttempts ? soon : undefined;
  }
}

function withNotOurs(catalogue: Catalogue, row: ReconRow, op: Op, settings: ReconcilerSettings) {
  const identifier = catalogue.slots.get(op.slotId)?.identifier ?? '';
  const others = row.observedExtra.filter((one) => one.identifier !== identifier);
  const refused = extra({ identifier, uuid: op.observedUuid ?? '', displayName: undefined }, 'not_ours');
  return inDriftOrder([...others, refused], settings.maxObservedExtra);
}

function facts(row: ReconRow, held: ReadonlyMap<number, number>, change: OpChange): FactsChange {
  return {
    applied: appliedOf(held),
    changes: [change],
    observedExtra: row.observedExtra,
    actualKnown: row.actualKnown,
    dirty: false,
  };
}

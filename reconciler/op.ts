import type { Op, OpKind } from './types.ts';

/** A new intent for a slot: its counters start at zero, its command and generation are still to be made. */
export function freshOp(slotId: number, op: OpKind, versionId: number, enrollmentGeneration: number, now: Date): Op {
  return {
    slotId,
    op,
    versionId,
    generation: 0,
    enrollmentGeneration,
    state: 'queued',
    reason: '',
    errorChain: [],
    deliveryAttempts: 0,
    verifyMisses: 0,
    nextAt: undefined,
    commandUuid: undefined,
    ackedAt: undefined,
    observedUuid: undefined,
    observedAt: undefined,
    createdAt: now,
  };
}

import { isLocked, isPutOff, waitsFor } from './held.ts';
import { freshOp } from './op.ts';
import { NO_OBSERVER } from './reasons.ts';
import type { ReconcilerSettings } from './settings.ts';
import type { HostFacts, Op, OpChange, OpKind, WaitingReason } from './types.ts';
import type { Wish } from './wish.ts';

/** Code in `op.reason` of an install that replaced a command already handed out: the device may hold the older content. */
export const SUPERSEDED = 'superseded';

/** Code in `op.reason` of a removal that took the place of another operation: what was there before it was not proven. */
export const UNPROVEN = 'unproven';

/** Due ops of a profile whose gate is unknown look again after this many intervals; the label's answer wakes them sooner. */
const HOLD_INTERVALS = 10;

/** What every decision about one enrolment's slots reads. */
export interface Decision {
  readonly facts: HostFacts;
  readonly held: ReadonlyMap<number, number>;
  /** What keeps the reconciler from sending this enrolment anything. */
  readonly bar: WaitingReason | undefined;
  readonly now: Date;
  readonly settings: ReconcilerSettings;
}

/** What becomes of one slot. A change that something holds back is not sent: its op, where it has one, looks again later. */
export function decide(decision: Decision, slotId: number, wish: Wish, op: Op | undefined): OpChange | undefined {
  const change = intend(decision, slotId, wish, op);
  if (change?.kind !== 'send') return change;
  const held = decision.bar ?? (wish?.kind === 'version' ? waitsFor(wish.profile, decision.facts) : undefined);
  if (held === undefined || (held === 'user_not_logged_in' && isAwaited(decision, op))) return change;
  return heldBack(decision, op);
}

/** What the user's session has put off itself is tried again when it is due. */
function isAwaited({ facts }: Decision, op: Op | undefined): boolean {
  if (op === undefined) return false;
  const command = op.commandUuid === undefined ? undefined : facts.commands.get(op.commandUuid);
  return isLocked(op) || (command !== undefined && isPutOff(command));
}

/** What is under way goes on; nothing stays due. */
function heldBack(decision: Decision, op: Op | undefined): OpChange | undefined {
  if (op === undefined) return undefined;
  if (op.enrollmentGeneration !== decision.facts.row.enrollmentGeneration)
    return { kind: 'drop', slotId: op.slotId, cancel: liveCommand(op) };
  const unmade = op.state === 'queued' && op.commandUuid === undefined && op.nextAt === undefined;
  if (!unmade && !isDue(op, decision.now)) return undefined;
  return set(later(decision, op, HOLD_INTERVALS * decision.settings.intervalMs));
}

function intend(decision: Decision, slotId: number, wish: Wish, op: Op | undefined): OpChange | undefined {
  const { facts, held } = decision;
  const version = held.get(slotId);
  if (op === undefined) return decideFresh(decision, slotId, wish, version);
  if (op.enrollmentGeneration !== facts.row.enrollmentGeneration) {
    const change = decideFresh(decision, slotId, wish, version) ?? { kind: 'drop', slotId, cancel: undefined };
    return { ...change, cancel: liveCommand(op) };
  }
  if (wish === undefined) return op.op === 'remove' ? carryOn(decision, op) : giveUp(decision, op, version);
  if (wish.kind === 'hold') return hold(decision, op, version);
  if (op.op === 'remove') return wantedAgain(decision, op, wish.versionId, version);
  return op.versionId === wish.versionId ? carryOn(decision, op) : replace(decision, op, 'install', wish.versionId);
}

function decideFresh(
  decision: Decision,
  slotId: number,
  wish: Wish,
  version: number | undefined,
): OpChange | undefined {
  if (wish?.kind === 'hold') return undefined;
  if (wish !== undefined)
    return wish.versionId === version ? undefined : send(fresh(decision, slotId, 'install', wish.versionId));
  return version === undefined ? undefined : send(fresh(decision, slotId, 'remove', version));
}

/** The op is still what is wanted: make a command that is missing or due, ask for a report, or leave it alone. */
function carryOn(decision: Decision, op: Op): OpChange | undefined {
  const due = isDue(op, decision.now);
  switch (op.state) {
    case 'queued': {
      const missing =
        op.commandUuid === undefined ? op.nextAt === undefined || due : !decision.facts.commands.has(op.commandUuid);
      if (missing) return send({ ...op, reason: reasonAgain(op), commandUuid: undefined, nextAt: undefined });
      return due ? set({ ...op, nextAt: undefined }) : undefined;
    }
    case 'failed':
      return due ? send({ ...op, state: 'queued', commandUuid: undefined, nextAt: undefined }) : undefined;
    case 'acked':
      return due ? set(unconfirmed(decision, op)) : undefined;
  }
}

/**
 * wantsProfileList has asked; the next question is a day away. Where nobody has answered for as long as `noObserverAfterMs`
 * after the acknowledgement, the op says so in place of verifying for ever; a report of any kind still settles it.
 */
function unconfirmed(decision: Decision, op: Op): Op {
  const { facts, now, settings } = decision;
  const askAgain = now.getTime() + settings.profileListEveryMs;
  const ackedAt = (op.ackedAt ?? op.createdAt).getTime();
  const looked = [facts.row.osqueryAt, facts.row.profileListAt].some(
    (at) => at !== undefined && at.getTime() > ackedAt,
  );
  const giveUpAt = ackedAt + settings.noObserverAfterMs;
  if (!looked && now.getTime() >= giveUpAt) return { ...op, reason: NO_OBSERVER, nextAt: new Date(askAgain) };
  return { ...op, nextAt: new Date(giveUpAt > now.getTime() ? Math.min(askAgain, giveUpAt) : askAgain) };
}

/** No longer wanted. Only a command the device cannot have seen is simply taken back. */
function giveUp(decision: Decision, op: Op, version: number | undefined): OpChange {
  const unseen = op.state === 'failed' || (isUnseen(decision, op) && op.reason !== SUPERSEDED);
  if (unseen && op.state !== 'acked' && version === undefined)
    return { kind: 'drop', slotId: op.slotId, cancel: liveCommand(op) };
  return replace(decision, op, 'remove', version ?? op.versionId);
}

/** A removal that the device cannot have seen is taken back. */
function wantedAgain(decision: Decision, op: Op, versionId: number, version: number | undefined): OpChange {
  if (op.state !== 'queued' || !isUnseen(decision, op) || version !== versionId)
    return replace(decision, op, 'install', versionId);
  return takeBack(decision, op, versionId);
}

/** Unknown keeps the present state: nothing new is sent, and a removal not yet handed out is taken back. */
function hold(decision: Decision, op: Op, version: number | undefined): OpChange | undefined {
  if (op.op === 'remove' && op.state === 'queued' && version !== undefined && isUnseen(decision, op))
    return takeBack(decision, op, version);
  if (!isDue(op, decision.now)) return undefined;
  return op.state === 'acked'
    ? carryOn(decision, op)
    : set(later(decision, op, HOLD_INTERVALS * decision.settings.intervalMs));
}

/** Where nothing else was under way before it the pair is again what it was; otherwise its content is still to be proven. */
function takeBack(decision: Decision, op: Op, versionId: number): OpChange {
  const cancel = liveCommand(op);
  if (op.reason === '' && op.deliveryAttempts === 0 && op.verifyMisses === 0)
    return { kind: 'drop', slotId: op.slotId, cancel };
  const { now, settings } = decision;
  const kept = fresh(decision, op.slotId, 'install', versionId);
  const nextAt = new Date(now.getTime() + settings.profileListDelayMs);
  return { kind: 'set', op: { ...kept, state: 'acked', nextAt }, cancel };
}

/** A removal whose command vanished may have been carried out. */
function reasonAgain(op: Op): string {
  return op.op === 'remove' && op.commandUuid !== undefined && op.reason === '' ? UNPROVEN : op.reason;
}

/** Another intent for the slot: counters start again, the command that still lives is ended. */
function replace(decision: Decision, op: Op, kind: OpKind, versionId: number): OpChange {
  const mayBeThere =
    op.op === 'install' && op.state === 'queued' && (op.reason === SUPERSEDED || !isUnseen(decision, op));
  const next = fresh(decision, op.slotId, kind, versionId);
  const reason = kind === 'remove' ? UNPROVEN : mayBeThere ? SUPERSEDED : '';
  return { kind: 'send', op: { ...next, reason }, cancel: liveCommand(op) };
}

function fresh({ facts, now }: Decision, slotId: number, op: OpKind, versionId: number): Op {
  return freshOp(slotId, op, versionId, facts.row.enrollmentGeneration, now);
}

function isUnseen({ facts }: Decision, op: Op): boolean {
  if (op.commandUuid === undefined) return true;
  return facts.commands.get(op.commandUuid)?.deliveries === 0;
}

function liveCommand(op: Op): string | undefined {
  return op.state === 'queued' ? op.commandUuid : undefined;
}

export function isDue(op: Op, now: Date): boolean {
  return op.nextAt !== undefined && op.nextAt.getTime() <= now.getTime();
}

function later({ now }: Decision, op: Op, delayMs: number): Op {
  return { ...op, nextAt: new Date(now.getTime() + delayMs) };
}

function send(op: Op): OpChange {
  return { kind: 'send', op, cancel: undefined };
}

function set(op: Op): OpChange {
  return { kind: 'set', op, cancel: undefined };
}

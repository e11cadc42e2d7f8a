import { agentReports, heldVersions } from './applied.ts';
import { type Catalogue, versionOf } from './catalogue.ts';
import { EMPTY_FINGERPRINT, equalFingerprints, xor } from './fingerprint.ts';
import { matcherOf, NO, UNKNOWN, YES } from './match.ts';
import { freshOp } from './op.ts';
import { NO_OBSERVER } from './reasons.ts';
import type { ReconcilerSettings } from './settings.ts';
import type { HostFacts, Op, OpChange, OpKind, ReconRow } from './types.ts';

export interface HostPlan {
  /** At most one per slot; installs before removals, then by slot. */
  readonly changes: readonly OpChange[];
  /** `recon.rev` after it: every new generation took one. */
  readonly rev: number;
  /** Ask the device itself what it holds. */
  readonly profileList: boolean;
  /** The bound cut it: evaluate again. */
  readonly more: boolean;
}

/** What the gate wishes for one slot: a version, to hold whatever is there, or nothing. */
type Wish = { readonly kind: 'version'; readonly versionId: number } | { readonly kind: 'hold' } | undefined;

/** Code in `op.reason` of an install that replaced a command already handed out: the device may hold the older content. */
export const SUPERSEDED = 'superseded';

/** Due ops of a profile whose gate is unknown look again after this many intervals; the label's answer wakes them sooner. */
const HOLD_INTERVALS = 10;

/**
 * wanted = Yes ∪ (Unknown ∩ slots already applied); plan = wanted △ applied, minus slots that have an op. An install
 * replaces what its slot holds, so no slot is both removed and installed (design §4). Undefined = nothing to do.
 */
export function planHost(
  catalogue: Catalogue,
  facts: HostFacts,
  now: Date,
  settings: ReconcilerSettings,
): HostPlan | undefined {
  const { row } = facts;
  if (isQuiet(catalogue, facts, now, settings)) return undefined;
  const profileList = !facts.profileListLive && wantsProfileList(facts, now, settings);

  const wishes = wishesOf(catalogue, row);
  const held = heldVersions(catalogue, row.applied);
  const ops = new Map(
    facts.ops.filter((op) => catalogue.slots.get(op.slotId)?.kind === 'mdm').map((op) => [op.slotId, op]),
  );
  const decision: Decision = { facts, held, now, settings };
  const changes: OpChange[] = [];
  for (const slotId of new Set([...wishes.keys(), ...held.keys(), ...ops.keys()])) {
    const change = decide(decision, slotId, wishes.get(slotId), ops.get(slotId));
    if (change !== undefined) changes.push(change);
  }
  if (changes.length === 0 && !profileList) return undefined;
  return number(changes.sort(inOrder), row.rev, profileList, settings.maxSendsPerHost);
}

/** Nothing to do, by the fingerprint alone. False is not yet a plan. */
export function isQuiet(catalogue: Catalogue, facts: HostFacts, now: Date, settings: ReconcilerSettings): boolean {
  return !wantsProfileList(facts, now, settings) && isSettled(catalogue, facts);
}

/** The fingerprint shortcut holds only where no label is unknown and no op exists (design §4). */
export function isSettled(catalogue: Catalogue, { row, ops }: Pick<HostFacts, 'row' | 'ops'>): boolean {
  if (ops.length > 0) return false;
  const { profiles, match } = matcherOf(catalogue, row);
  const answers = match(row);
  let sum = EMPTY_FINGERPRINT;
  for (let index = 0; index < answers.length; index += 1) {
    if (answers[index] === NO) continue;
    if (answers[index] === UNKNOWN) return false;
    sum = xor(sum, versionOf(catalogue, (profiles[index] as (typeof profiles)[number]).versionId).fingerprint);
  }
  return equalFingerprints(sum, row.fingerprint);
}

/** The gate's wish per slot; a slot without an entry is not wanted. */
function wishesOf(catalogue: Catalogue, row: ReconRow): Map<number, Wish> {
  const { profiles, match } = matcherOf(catalogue, row);
  const answers = match(row);
  const wishes = new Map<number, Wish>();
  profiles.forEach((profile, index) => {
    if (answers[index] === YES) wishes.set(profile.slotId, { kind: 'version', versionId: profile.versionId });
    if (answers[index] === UNKNOWN) wishes.set(profile.slotId, { kind: 'hold' });
  });
  return wishes;
}

interface Decision {
  readonly facts: HostFacts;
  readonly held: ReadonlyMap<number, number>;
  readonly now: Date;
  readonly settings: ReconcilerSettings;
}

function decide(decision: Decision, slotId: number, wish: Wish, op: Op | undefined): OpChange | undefined {
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
      if (missing) return send({ ...op, commandUuid: undefined, nextAt: undefined });
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
  const ackedAt = op.ackedAt?.getTime() ?? now.getTime();
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

/** A removal that the device cannot have seen is taken back, and the content verified again before it counts. */
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

function takeBack(decision: Decision, op: Op, versionId: number): OpChange {
  const { now, settings } = decision;
  const kept = fresh(decision, op.slotId, 'install', versionId);
  const nextAt = new Date(now.getTime() + settings.profileListDelayMs);
  return { kind: 'set', op: { ...kept, state: 'acked', ackedAt: now, nextAt }, cancel: liveCommand(op) };
}

/** Another intent for the slot: counters start again, the command that still lives is ended. */
function replace(decision: Decision, op: Op, kind: OpKind, versionId: number): OpChange {
  const mayBeThere =
    op.op === 'install' && op.state === 'queued' && (op.reason === SUPERSEDED || !isUnseen(decision, op));
  const next = fresh(decision, op.slotId, kind, versionId);
  const reason = kind === 'install' && mayBeThere ? SUPERSEDED : '';
  return { kind: 'send', op: { ...next, reason }, cancel: liveCommand(op) };
}

function fresh({ facts, now }: Decision, slotId: number, op: OpKind, versionId: number): Op {
  return freshOp(slotId, op, versionId, facts.row.enrollmentGeneration, now);
}

/** Every command is a generation of its own, so that no late answer can be taken for a newer one's. */
function number(changes: readonly OpChange[], rev: number, profileList: boolean, bound: number): HostPlan {
  let next = rev;
  const sends = changes.filter((change) => change.kind === 'send').slice(0, bound);
  const others = changes.filter((change) => change.kind !== 'send');
  const numbered = [...sends, ...others].map((change): OpChange => {
    if (change.kind === 'drop' || (change.kind === 'set' && change.op.generation > 0)) return change;
    next += 1;
    return { ...change, op: { ...change.op, generation: next } };
  });
  return { changes: numbered, rev: next, profileList, more: changes.length > numbered.length };
}

/** Installs first: a Mac that lost its old Wi-Fi profile before it fetched the new one would never fetch it. */
function inOrder(one: OpChange, other: OpChange): number {
  return Number(isRemoval(one)) - Number(isRemoval(other)) || slotOf(one) - slotOf(other);
}

function isRemoval(change: OpChange): boolean {
  return change.kind !== 'drop' && change.op.op === 'remove';
}

function slotOf(change: OpChange): number {
  return change.kind === 'drop' ? change.slotId : change.op.slotId;
}

/** Not known yet what is there · an acknowledgement waits for a witness · nobody has looked for a day. */
function wantsProfileList({ row, ops }: HostFacts, now: Date, settings: ReconcilerSettings): boolean {
  if (!row.actualKnown) return true;
  if (ops.some((op) => op.state === 'acked' && isDue(op, now))) return true;
  if (agentReports(row, now, settings.agentFreshMs)) return false;
  // Up to a tenth earlier, by enrolment: a fleet that enrolled together need not report together.
  const every = settings.profileListEveryMs * (1 - (row.enrollment % 100) / 1000);
  return now.getTime() - (row.profileListAt?.getTime() ?? 0) >= every;
}

function isUnseen({ facts }: Decision, op: Op): boolean {
  if (op.commandUuid === undefined) return true;
  return facts.commands.get(op.commandUuid)?.deliveries === 0;
}

function liveCommand(op: Op): string | undefined {
  return op.state === 'queued' ? op.commandUuid : undefined;
}

function isDue(op: Op, now: Date): boolean {
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

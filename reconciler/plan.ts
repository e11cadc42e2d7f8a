import { agentReports } from './applied.ts';
import type { Catalogue } from './catalogue.ts';
import { type Decision, decide, isDue } from './decide.ts';
import { barOf } from './held.ts';
import type { ReconcilerSettings } from './settings.ts';
import type { HostFacts, OpChange, QuietRow } from './types.ts';
import { isSettled, openSlots } from './wish.ts';

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

  const ops = new Map(
    facts.ops.filter((op) => catalogue.slots.get(op.slotId)?.kind === 'mdm').map((op) => [op.slotId, op]),
  );
  const { wishes, held } = openSlots(catalogue, row, ops);
  const decision: Decision = { facts, held, bar: barOf(facts), now, settings };
  const changes: OpChange[] = [];
  for (const slotId of new Set([...wishes.keys(), ...held.keys(), ...ops.keys()])) {
    const change = decide(decision, slotId, wishes.get(slotId), ops.get(slotId));
    if (change !== undefined) changes.push(change);
  }
  if (changes.length === 0 && !profileList) return undefined;
  return number(changes.sort(inOrder), row.rev, profileList, settings.maxSendsPerHost);
}

/** What can be said without `applied`. */
type QuietFacts = { readonly row: QuietRow; readonly ops: HostFacts['ops'] };

/** Nothing to do, by the fingerprint alone. False is not yet a plan. */
export function isQuiet(catalogue: Catalogue, facts: QuietFacts, now: Date, settings: ReconcilerSettings): boolean {
  return !wantsProfileList(facts, now, settings) && isSettled(catalogue, facts);
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
function wantsProfileList({ row, ops }: QuietFacts, now: Date, settings: ReconcilerSettings): boolean {
  if (!row.actualKnown) return true;
  if (ops.some((op) => op.state === 'acked' && isDue(op, now))) return true;
  if (agentReports(row, now, settings.agentFreshMs)) return false;
  // Up to a tenth earlier, by enrolment: a fleet that enrolled together need not report together.
  const every = settings.profileListEveryMs * (1 - (row.enrollment % 100) / 1000);
  return now.getTime() - (row.profileListAt?.getTime() ?? 0) >= every;
}

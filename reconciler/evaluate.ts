import type { Ids } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { Tx } from '../core/tx.ts';
import { truerFingerprint } from './applied.ts';
import type { Bodies } from './bodies.ts';
import type { Catalogue } from './catalogue.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { type HostPlan, planHost } from './plan.ts';
import {
  AUDIT,
  type Body,
  type BodyRequest,
  type Claim,
  type ClaimedHost,
  type NewCommand,
  type PlanWrite,
  type ReconcileStore,
} from './ports.ts';
import { NO_OBSERVER } from './reasons.ts';
import { backoff, type ReconcilerSettings } from './settings.ts';
import type { Fingerprint, HostFacts, Op } from './types.ts';

/** An enrolment that somebody else holds is looked at again after this many milliseconds. */
const BUSY_MS = 1000;

export interface EvaluateDeps {
  readonly store: ReconcileStore;
  readonly catalogue: CurrentCatalogue;
  readonly bodies: Bodies;
  readonly ids: Ids;
  readonly settings: ReconcilerSettings;
  readonly log: Log;
}

export interface Evaluated {
  readonly hosts: number;
  readonly commands: number;
  /** Enrolments of which only the audit knew that something was to be done. */
  readonly repaired: number;
  /** Enrolments put aside with a back-off. */
  readonly failed: number;
}

export const NOTHING_EVALUATED: Evaluated = { hosts: 0, commands: 0, repaired: 0, failed: 0 };

export function add(one: Evaluated, other: Evaluated): Evaluated {
  return {
    hosts: one.hosts + other.hosts,
    commands: one.commands + other.commands,
    repaired: one.repaired + other.repaired,
    failed: one.failed + other.failed,
  };
}

/** Plan the claimed enrolments and write everything that follows, inside the unit of work that claimed them (R2, R6). */
export async function evaluate(deps: EvaluateDeps, tx: Tx, claim: Claim, now: Date): Promise<Evaluated> {
  const { store } = deps;
  if (claim.epoch === undefined) return NOTHING_EVALUATED;
  const catalogue = await deps.catalogue.at(claim.epoch, tx);
  const claimed = new Map(claim.hosts.map((host) => [host.enrollment, host]));
  const locked = await store.lock(tx, [...claimed.keys()]);
  await store.enqueue(tx, locked.busy, 'busy', new Date(now.getTime() + BUSY_MS));

  const bodies = new Map<string, Body>();
  const writes: PlanWrite[] = [];
  const again: number[] = [];
  let repaired = 0;
  let failed = 0;
  for (const facts of locked.hosts) {
    const host = claimed.get(facts.row.enrollment) as ClaimedHost;
    const { write, more, problem } = await decide(deps, tx, catalogue, facts, now, bodies);
    if (write !== undefined) {
      writes.push(write);
      if (host.reasons.every((reason) => reason === AUDIT)) repaired += 1;
    }
    if (more) again.push(facts.row.enrollment);
    if (problem !== undefined) {
      failed += 1;
      const dueAt = putAsideUntil(deps, host, problem, now);
      await store.enqueue(tx, [host.enrollment], 'failed', dueAt, host.attempts + 1);
    }
  }
  if (writes.length > 0) await store.writePlans(tx, writes, [...bodies.values()], now);
  for (const { row, drops, upserts } of writes) {
    // Taken back before the device saw it, or acknowledged and never to be proven: what moved elsewhere waits no longer.
    const unproven = upserts.flatMap((op) => (op.op === 'remove' && op.reason === NO_OBSERVER ? [op.slotId] : []));
    const rid = [...drops, ...unproven].filter((slotId) => catalogue.movedFrom.has(slotId));
    if (rid.length > 0) await store.queueWaitingFor(tx, row.enrollment, rid, now);
  }
  await store.enqueue(tx, again, 'more', now);
  const commands = writes.reduce((sum, write) => sum + write.commands.length, 0);
  return { hosts: locked.hosts.length, commands, repaired, failed };
}

/** Until when an enrolment whose evaluation failed waits. One bad enrolment never stops the others (R19). */
export function putAsideUntil(deps: EvaluateDeps, host: ClaimedHost, problem: unknown, now: Date): Date {
  const { quarantineBackoffMs, quarantineCapMs } = deps.settings;
  const attempts = host.attempts + 1;
  const dueAt = new Date(now.getTime() + backoff(quarantineBackoffMs, quarantineCapMs, attempts, host.enrollment));
  deps.log.error(
    { err: problem, enrollment: host.enrollment, attempts, dueAt },
    'an enrolment could not be reconciled',
  );
  return dueAt;
}

interface Decided {
  readonly write: PlanWrite | undefined;
  readonly more: boolean;
  /** What kept all or a part of the plan from being written. */
  readonly problem: unknown;
}

async function decide(
  deps: EvaluateDeps,
  tx: Tx,
  catalogue: Catalogue,
  facts: HostFacts,
  now: Date,
  bodies: Map<string, Body>,
): Promise<Decided> {
  let plan: HostPlan | undefined;
  let fingerprint: Fingerprint | undefined;
  try {
    plan = planHost(catalogue, facts, now, deps.settings);
    fingerprint = truerFingerprint(catalogue, facts.row);
  } catch (problem) {
    return { write: undefined, more: false, problem };
  }
  const draft = draftOf(facts, plan, fingerprint);
  let problem: unknown;
  if (plan?.profileList === true)
    draft.commands.push(await command(deps, tx, { kind: 'profile_list' }, undefined, bodies));
  for (const change of plan?.changes ?? []) {
    if (change.kind === 'send') {
      try {
        const made = await command(deps, tx, bodyOf(catalogue, change.op), change.op, bodies);
        draft.commands.push(made);
        draft.upserts.push({ ...change.op, commandUuid: made.uuid });
      } catch (error) {
        // This profile only: what cannot be made now is planned again later, and nothing of it is written.
        problem = error;
        continue;
      }
    }
    if (change.kind === 'set') draft.upserts.push(change.op);
    if (change.kind === 'drop') draft.drops.push(change.slotId);
    if (change.cancel !== undefined) draft.cancels.push(change.cancel);
  }
  const changed = plan !== undefined || draft.cancels.length > 0 || fingerprint !== undefined;
  const write = changed ? { ...draft, opCount: countOps(facts, draft) } : undefined;
  return { write, more: plan?.more === true, problem };
}

interface Draft {
  readonly row: HostFacts['row'];
  readonly rev: number;
  readonly fingerprint: Fingerprint | undefined;
  readonly upserts: Op[];
  readonly drops: number[];
  readonly cancels: string[];
  readonly commands: NewCommand[];
}

/** A live command for a slot that no queued op knows would be a second one for that slot: it is ended. */
function draftOf(facts: HostFacts, plan: HostPlan | undefined, fingerprint: Fingerprint | undefined): Draft {
  const known = new Set(facts.ops.flatMap((op) => (op.state === 'queued' ? [op.commandUuid] : [])));
  const cancels = [...facts.commands.keys()].filter((uuid) => !known.has(uuid));
  return {
    row: facts.row,
    rev: plan?.rev ?? facts.row.rev,
    fingerprint,
    upserts: [],
    drops: [],
    cancels,
    commands: [],
  };
}

async function command(
  deps: EvaluateDeps,
  tx: Tx,
  request: BodyRequest,
  op: Op | undefined,
  bodies: Map<string, Body>,
): Promise<NewCommand> {
  const body = await deps.bodies.get(tx, request);
  bodies.set(body.sha256.toString('hex'), body);
  return {
    uuid: deps.ids.uuid(),
    requestType: REQUEST_TYPES[request.kind],
    bodySha256: body.sha256,
    slotId: op?.slotId,
    generation: op?.generation,
  };
}

const REQUEST_TYPES = { install: 'InstallProfile', remove: 'RemoveProfile', profile_list: 'ProfileList' } as const;

function bodyOf(catalogue: Catalogue, op: Op): BodyRequest {
  if (op.op === 'install') return { kind: 'install', versionId: op.versionId };
  return { kind: 'remove', identifier: catalogue.slots.get(op.slotId)?.identifier ?? '' };
}

function countOps(facts: HostFacts, draft: Draft): number {
  const slots = new Set(facts.ops.map((op) => op.slotId));
  for (const op of draft.upserts) slots.add(op.slotId);
  for (const slot of draft.drops) slots.delete(slot);
  return slots.size;
}

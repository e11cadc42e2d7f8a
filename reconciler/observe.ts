import type { Observation, ObservedProfile } from '../core/effects.ts';
import { compareProfiles, type Expected, type SlotComparison } from '../profiles/compare.ts';
import { appliedOf, heldVersions, sameApplied } from './applied.ts';
import { type Catalogue, type IndexedVersion, versionOf } from './catalogue.ts';
import { driftOf, extra, inDriftOrder } from './drift.ts';
import { type GateValue, judge } from './gate.ts';
import { freshOp } from './op.ts';
import { backoff, type ReconcilerSettings } from './settings.ts';
import type {
  ByHandReason,
  DriftKind,
  ExtraProfile,
  FactsChange,
  ObservationReason,
  Op,
  OpChange,
  ReconRow,
} from './types.ts';

export type ObservationSource = 'osquery' | 'profile_list';

/**
 * What a report means for one enrolment: it decides what the device holds, from any state, with or without an
 * acknowledgement (design §4). Undefined = the report says nothing about presence: zero rows, an absent table and a
 * failed query are three states and none of them means that something is missing.
 */
export function observe(
  catalogue: Catalogue,
  row: ReconRow,
  ops: readonly Op[],
  observation: Observation,
  source: ObservationSource,
  now: Date,
  settings: ReconcilerSettings,
): FactsChange | undefined {
  const profiles = presence(row, observation, source);
  if (profiles === undefined) return source === 'osquery' ? withoutAgent(row, ops, now, settings) : undefined;
  const world: World = {
    catalogue,
    row,
    now,
    settings,
    ops: new Map(ops.map((op) => [op.slotId, op])),
    held: heldVersions(catalogue, row.applied),
    changes: [],
    extra: [],
  };
  const compared = compareProfiles(expectations(world, profiles), profiles);
  for (const slot of compared.slots) observeSlot(world, slot);
  for (const profile of compared.foreign) {
    const drift = driftOf(row, profile);
    if (drift !== undefined) world.extra.push(drift);
  }
  for (const profile of compared.duplicates) world.extra.push(extra(profile, 'duplicate'));
  const applied = appliedOf(world.held);
  return {
    applied,
    changes: world.changes,
    observedExtra: inDriftOrder(world.extra, settings.maxObservedExtra),
    actualKnown: true,
    dirty: !sameApplied(applied, row.applied) || world.changes.some((change) => isToSend(change, now)),
  };
}

interface World {
  readonly catalogue: Catalogue;
  readonly row: ReconRow;
  readonly now: Date;
  readonly settings: ReconcilerSettings;
  readonly ops: ReadonlyMap<number, Op>;
  /** Becomes what the device is known to hold. */
  readonly held: Map<number, number>;
  readonly changes: OpChange[];
  readonly extra: ExtraProfile[];
}

/** A user channel without profiles lists none. A device channel always has its enrolment profile, so none is no answer. */
function presence(
  row: ReconRow,
  observation: Observation,
  source: ObservationSource,
): readonly ObservedProfile[] | undefined {
  if (observation.state === 'rows' && observation.profiles.length > 0) return observation.profiles;
  if (observation.state === 'table_absent' || observation.state === 'query_error') return undefined;
  return source === 'profile_list' && row.channel === 'user' ? [] : undefined;
}

/**
 * The agent spoke and has no answer. Acknowledgements that were left to it are not: ProfileList is asked as soon as it
 * would have been without an agent.
 */
function withoutAgent(
  row: ReconRow,
  ops: readonly Op[],
  now: Date,
  settings: ReconcilerSettings,
): FactsChange | undefined {
  const changes = ops.flatMap((op): OpChange[] => {
    if (op.state !== 'acked' || op.ackedAt === undefined || op.nextAt === undefined) return [];
    const left = op.ackedAt.getTime() + settings.agentPatienceMs;
    const soon = op.ackedAt.getTime() + settings.profileListDelayMs;
    if (op.nextAt.getTime() !== left || soon >= left) return [];
    return [set({ ...op, nextAt: new Date(Math.max(soon, now.getTime())) })];
  });
  if (changes.length === 0) return undefined;
  const { applied, observedExtra, actualKnown } = row;
  return { applied, changes, observedExtra, actualKnown, dirty: true };
}

/** Every slot with an op, with content, or named in the report; the witness is that of the version meant to be there. */
function expectations(world: World, profiles: readonly ObservedProfile[]): Expected[] {
  const { catalogue, row, ops, held } = world;
  const slots = new Set([...ops.keys(), ...held.keys()]);
  for (const { identifier } of profiles) {
    const slot = catalogue.slotNamed(row.channel, identifier);
    if (slot !== undefined) slots.add(slot.id);
  }
  return [...slots]
    .sort((one, other) => one - other)
    .flatMap((slotId) => {
      const slot = catalogue.slots.get(slotId);
      if (slot === undefined || slot.kind !== 'mdm') return [];
      const op = ops.get(slotId);
      const version = op?.versionId ?? held.get(slotId);
      const witness = version === undefined ? '' : versionOf(catalogue, version).witness;
      return [{ slot: slotId, identifier: slot.identifier, witness, deliveredAt: op?.ackedAt }];
    });
}

function observeSlot(world: World, seen: SlotComparison): void {
  const op = world.ops.get(seen.slot);
  if (op === undefined) observeSettled(world, seen);
  else if (op.op === 'install') observeInstall(world, seen, op);
  else observeRemoval(world, seen, op);
}

/** No op: what is there is a fact, and whether it should be there is the next plan's business. */
function observeSettled(world: World, seen: SlotComparison): void {
  if (seen.standing === 'version') return;
  const wanted = verdictOf(world, seen.slot);
  const wasSettled = wanted?.value === 'yes' && world.held.get(seen.slot) === wanted.versionId;
  if (seen.standing === 'absent') {
    world.held.delete(seen.slot);
    if (wasSettled) world.changes.push(byHand(world, seen, wanted.versionId, 'removed_by_hand'));
    return;
  }
  const version = versionSeen(world, seen);
  const mayBeWanted = wanted !== undefined && wanted.value !== 'no';
  const refused = world.row.observedExtra.find((one) => one.why === 'not_ours' && one.identifier === seen.identifier);
  if (version !== undefined && (mayBeWanted || refused === undefined)) world.held.set(seen.slot, version.id);
  else world.held.delete(seen.slot);
  if (wasSettled && version?.id !== wanted.versionId)
    world.changes.push(byHand(world, seen, wanted.versionId, 'replaced_by_hand'));
  // Content we never made, under an identifier of ours: replaced where wanted, otherwise drift.
  if (wanted?.value !== 'yes' && (version === undefined || refused !== undefined))
    world.extra.push(drift(seen, refused === undefined ? 'left_over' : 'not_ours'));
}

/** It was verified and nothing of ours took it away: installed again, and the op says why. The next tick makes its command. */
function byHand(world: World, seen: SlotComparison, versionId: number, reason: ByHandReason): OpChange {
  const op = freshOp(seen.slot, 'install', versionId, world.row.enrollmentGeneration, world.now);
  return set({ ...op, reason, observedUuid: seen.observedUuid, observedAt: world.now });
}

function observeInstall(world: World, seen: SlotComparison, op: Op): void {
  if (seen.standing === 'version' && isProof(world, seen, op)) {
    world.held.set(op.slotId, op.versionId);
    // A lost acknowledgement heals here: the device has it, so the command that still travels is ended.
    world.changes.push({ kind: 'drop', slotId: op.slotId, cancel: op.state === 'queued' ? op.commandUuid : undefined });
    return;
  }
  if (op.state !== 'acked') noteFacts(world, seen, op);
  if (op.state !== 'acked' || inGrace(world, op)) return;
  noteHeld(world, seen, op);
  world.changes.push(miss(world, seen, op, seen.standing === 'absent' ? 'not_observed' : otherSeen(seen)));
}

/** Installed at or after our delivery, so not what was there before: somebody put other content in its place. */
function otherSeen({ evidence }: SlotComparison): ObservationReason {
  return evidence === 'fresh' ? 'other_content_since' : 'other_version_observed';
}

function observeRemoval(world: World, seen: SlotComparison, op: Op): void {
  if (seen.standing === 'absent') {
    // A removal that was never answered and of which nothing was known to be there may race with an install under way.
    if (op.state === 'queued' && !world.held.has(op.slotId)) return;
    world.held.delete(op.slotId);
    world.changes.push({ kind: 'drop', slotId: op.slotId, cancel: op.state === 'queued' ? op.commandUuid : undefined });
    return;
  }
  if (op.state !== 'acked') noteFacts(world, seen, op);
  if (op.state !== 'acked' || inGrace(world, op)) return;
  const version = versionSeen(world, seen);
  if (version === undefined) {
    world.changes.push({ kind: 'drop', slotId: op.slotId, cancel: undefined });
    world.extra.push(drift(seen, 'left_over'));
    return;
  }
  world.held.set(op.slotId, version.id);
  world.changes.push(miss(world, seen, op, 'still_observed'));
}

/** The command is not answered yet, or failed: what is there now is a fact all the same. */
function noteFacts(world: World, seen: SlotComparison, op: Op): void {
  noteHeld(world, seen, op);
  if (seen.observedUuid === op.observedUuid) return;
  const noted = { ...op, observedUuid: seen.observedUuid, observedAt: world.now };
  world.changes.push({ kind: 'set', op: noted, cancel: undefined });
}

function noteHeld(world: World, seen: SlotComparison, op: Op): void {
  // An install that this report does not prove must not count as held by a UUID it shares with an older version.
  const unproven = op.op === 'install' ? op.versionId : undefined;
  const version = seen.standing === 'absent' ? undefined : versionSeen(world, seen, unproven);
  if (version === undefined) world.held.delete(seen.slot);
  else world.held.set(seen.slot, version.id);
}

/** Acknowledged, and the observer disagrees: send again up to the bound, then say so. A removal goes on daily. */
function miss(world: World, seen: SlotComparison, op: Op, reason: ObservationReason): OpChange {
  const { now, settings, row } = world;
  const misses = op.verifyMisses + 1;
  const delay = backoff(settings.verifyBackoffMs, settings.slowRetryMs, misses, row.enrollment + op.slotId);
  const common = { ...op, reason, verifyMisses: misses, observedUuid: seen.observedUuid, observedAt: now };
  if (misses <= settings.maxVerifyMisses)
    return set({ ...common, state: 'queued', commandUuid: undefined, nextAt: new Date(now.getTime() + delay) });
  const later = op.op === 'remove' ? new Date(now.getTime() + settings.slowRetryMs) : undefined;
  return set({ ...common, state: 'failed', nextAt: later });
}

function set(op: Op): OpChange {
  return { kind: 'set', op, cancel: undefined };
}

/** Two versions of a slot can share a UUID (verbatim delivery): then only the ack or the install date tells them apart. */
function isProof(world: World, seen: SlotComparison, op: Op): boolean {
  const witness = versionOf(world.catalogue, op.versionId).witness;
  const shared = world.catalogue.versionsOfSlot(op.slotId).filter((version) => version.witness === witness).length > 1;
  if (!shared || op.state === 'acked') return true;
  return seen.installedAt !== undefined && seen.installedAt.getTime() >= op.createdAt.getTime();
}

/** The version of ours whose UUID was reported; among several with one UUID the one known to be there, else the newest. */
function versionSeen(world: World, seen: SlotComparison, except?: number): IndexedVersion | undefined {
  const witness = seen.observedUuid?.toLowerCase();
  const ours = world.catalogue.versionsOfSlot(seen.slot);
  const candidates = ours.filter((version) => version.witness === witness && version.id !== except);
  const known = world.held.get(seen.slot);
  return candidates.find((version) => version.id === known) ?? candidates.at(-1);
}

/** What the gate says of a slot, and of which version; undefined where no live profile of the team has it. */
function verdictOf(world: World, slotId: number): { value: GateValue; versionId: number } | undefined {
  const profile = world.catalogue.profileInSlot(world.row.teamId, slotId);
  if (profile === undefined) return undefined;
  return { value: judge(profile, world.row, world.catalogue.labels).value, versionId: profile.versionId };
}

function drift({ identifier, observedUuid, displayName }: SlotComparison, why: DriftKind): ExtraProfile {
  return extra({ identifier, uuid: observedUuid ?? '', displayName }, why);
}

function inGrace(world: World, op: Op): boolean {
  return op.ackedAt !== undefined && world.now.getTime() - op.ackedAt.getTime() < world.settings.verifyGraceMs;
}

function isToSend(change: OpChange, now: Date): boolean {
  return (
    change.kind === 'set' &&
    change.op.state === 'queued' &&
    change.op.commandUuid === undefined &&
    isDue(change.op, now)
  );
}

function isDue(op: Op, now: Date): boolean {
  return op.nextAt === undefined || op.nextAt.getTime() <= now.getTime();
}

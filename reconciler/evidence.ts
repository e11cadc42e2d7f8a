import type { GateEvidence, GateVerdict } from './gate.ts';
import type { LiveCommand, Op, OsqueryState, Platform, PushSummary, WaitingReason } from './types.ts';
import { times } from './words.ts';

export interface ObserverSummary {
  readonly osqueryState: OsqueryState;
  readonly osqueryAt: Date | undefined;
  readonly profileListAt: Date | undefined;
  readonly actualKnown: boolean;
}

/** Everything one pair's state is derived from. */
export interface PairFacts {
  /** The gate's answer; undefined where no live profile of the host's team has this slot. */
  readonly verdict: GateVerdict | undefined;
  readonly wantedVersion: number | undefined;
  readonly heldVersion: number | undefined;
  readonly op: Op | undefined;
  /** The live command of `op`. */
  readonly command: LiveCommand | undefined;
  readonly push: PushSummary | undefined;
  readonly observer: ObserverSummary;
  /** What else keeps the reconciler from acting on this enrolment. */
  readonly hold: WaitingReason | undefined;
  readonly seenAt: Date | undefined;
  readonly labelName: (id: number) => string;
  /** Milliseconds: the longest a plan takes to happen. */
  readonly intervalMs: number;
}

export interface EvidenceLine {
  readonly about: 'gate' | 'version' | 'operation' | 'command' | 'push' | 'contact' | 'observation';
  readonly says: string;
  readonly at: Date | undefined;
  /** Whole seconds at the time of the answer. */
  readonly ageSeconds: number | undefined;
}

/** The chain behind the sentence: gate, version, operation, command, push, contact, observation, each with its age. */
export function evidenceOf(facts: PairFacts, now: Date): EvidenceLine[] {
  const { verdict, op, command, push, observer, seenAt } = facts;
  const lines: EvidenceLine[] = [];
  const add = (about: EvidenceLine['about'], says: string, at: Date | undefined) =>
    lines.push(line(about, says, at, now));
  if (verdict === undefined) add('gate', "no profile of the host's team", undefined);
  else if (verdict.decidedBy.length === 0)
    add('gate', verdict.value === 'yes' ? 'meant for the whole team' : 'names no label', undefined);
  for (const one of verdict?.decidedBy ?? []) add('gate', gateSays(one, facts), undefined);
  add('version', versionSays(facts), undefined);
  if (op !== undefined)
    add(
      'operation',
      `${op.op} of version ${op.versionId}, generation ${op.generation}: ${op.state}`,
      op.ackedAt ?? op.createdAt,
    );
  for (const item of op?.errorChain ?? [])
    add('operation', `${item.domain} ${item.code}: ${item.description}`, undefined);
  if (command !== undefined)
    add(
      'command',
      `${command.uuid}: ${command.state}, handed out ${times(command.deliveries)}`,
      command.notNowAt ?? command.sentAt ?? command.queuedAt,
    );
  if (push?.waitingSince !== undefined) add('push', 'a push waits to be sent', push.waitingSince);
  if (push?.lastPushAt !== undefined)
    add('push', `APNs answered ${push.lastStatus ?? 'nothing'} ${push.lastReason ?? ''}`.trim(), push.lastPushAt);
  const contactAt = latest(seenAt, op?.ackedAt);
  if (contactAt !== undefined) add('contact', 'the device spoke to this server', contactAt);
  if (op?.observedAt !== undefined)
    add(
      'observation',
      op.observedUuid === undefined ? 'not in the report' : `in the report with UUID ${op.observedUuid}`,
      op.observedAt,
    );
  lines.push(observationLine(observer, now));
  return lines;
}

/** Polls are noted in steps of time; an acknowledgement is contact too, and no chain may show it younger than the contact. */
function latest(one: Date | undefined, other: Date | undefined): Date | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one > other ? one : other;
}

function versionSays({ wantedVersion, heldVersion }: PairFacts): string {
  const wanted = wantedVersion === undefined ? 'no version is wanted' : `version ${wantedVersion} is wanted`;
  return `${wanted}, ${heldVersion === undefined ? 'none is known to be there' : `version ${heldVersion} is known to be there`}`;
}

const OSQUERY: Readonly<Record<OsqueryState, string>> = {
  never: 'no agent has reported profiles',
  rows: 'osquery reported profiles',
  zero_rows: 'osquery answered without a row, which says nothing',
  table_absent: 'the agent has no table of profiles',
  query_error: "osquery's query failed",
};

export function observationLine(observer: ObserverSummary, now: Date): EvidenceLine {
  const { who, at } = lastObservation(observer);
  if (!observer.actualKnown && at === undefined)
    return line('observation', `${OSQUERY[observer.osqueryState]}; ProfileList has not answered`, at, now);
  return line('observation', who === 'osquery' ? OSQUERY[observer.osqueryState] : 'ProfileList answered', at, now);
}

const PLATFORMS: Readonly<Record<Platform, string>> = {
  mac: 'a Mac',
  iphone: 'an iPhone',
  ipad: 'an iPad',
  tv: 'an Apple TV',
  vision: 'an Apple Vision',
  watch: 'an Apple Watch',
  '': 'this device',
};

export function gateSays(evidence: GateEvidence, { labelName }: PairFacts): string {
  if (evidence.kind === 'platform') {
    const what = evidence.payloadType === undefined ? 'the profile (TargetDeviceType)' : evidence.payloadType;
    return `${what} is not for ${PLATFORMS[evidence.platform]}`;
  }
  if (evidence.kind === 'user_enrollment')
    return `${evidence.payloadType} is not allowed in a User Enrolment of ${PLATFORMS[evidence.platform]}`;
  if (evidence.kind === 'os') {
    const range = [
      evidence.minOs === undefined ? '' : `from ${evidence.minOs}`,
      evidence.maxOs === undefined ? '' : `up to ${evidence.maxOs}`,
    ];
    const has =
      evidence.osVersion === '' ? 'the host has not reported its version' : `the host has ${evidence.osVersion}`;
    return `macOS ${range.filter((part) => part !== '').join(' ')} is asked for, ${has}`;
  }
  const label = `label ${labelName(evidence.labelId)} (${evidence.role})`;
  switch (evidence.cause) {
    case 'label_missing':
      return `${label} no longer exists`;
    case 'query_error':
      return `the query of ${label} failed on this host`;
    case 'not_evaluated':
      return `${label} has not been evaluated on this host yet`;
    case undefined:
      return `${label} ${evidence.member === 'yes' ? 'holds' : 'does not hold'}`;
  }
}

function line(about: EvidenceLine['about'], says: string, at: Date | undefined, now: Date): EvidenceLine {
  return {
    about,
    says,
    at,
    ageSeconds: at === undefined ? undefined : Math.max(0, Math.round((now.getTime() - at.getTime()) / 1000)),
  };
}

/** Who showed the device's profiles last. */
export function lastObservation({ osqueryAt, profileListAt }: ObserverSummary): { who: string; at: Date | undefined } {
  const byAgent = (osqueryAt?.getTime() ?? 0) >= (profileListAt?.getTime() ?? 0);
  return byAgent ? { who: 'osquery', at: osqueryAt } : { who: 'ProfileList', at: profileListAt };
}

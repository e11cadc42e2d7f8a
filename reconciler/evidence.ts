import type { Channel } from '../core/enrollment.ts';
import type { GateEvidence, GateVerdict } from './gate.ts';
import type { LabelNote } from './ports.ts';
import type {
  EvidenceLevel,
  LiveCommand,
  Op,
  OsqueryState,
  PairEvidence,
  Platform,
  PushSummary,
  WaitingReason,
} from './types.ts';
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
  /** The first enrolment of this identity is 1. */
  readonly enrollmentGeneration: number;
  /** The other channel, where the team has a live profile of this identifier there and none here. */
  readonly movedTo: Channel | undefined;
  /** What else keeps the reconciler from acting on this enrolment. */
  readonly hold: WaitingReason | undefined;
  readonly seenAt: Date | undefined;
  readonly labelName: (id: number) => string;
  readonly labelNote: (id: number) => LabelNote | undefined;
  /** The best evidence there is; undefined = nobody has looked. */
  readonly proof: PairEvidence | undefined;
  /** When an identity that is not proven last claimed to be this host. */
  readonly quarantinedAt: Date | undefined;
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
    lines.push(evidenceLine(about, says, at, now));
  if (verdict === undefined) add('gate', noProfile(facts), undefined);
  else if (verdict.decidedBy.length === 0)
    add('gate', verdict.value === 'yes' ? 'meant for the whole team' : 'names no label', undefined);
  for (const one of verdict?.decidedBy ?? []) add('gate', gateSays(one, facts), gateAt(one, facts));
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
  if (facts.quarantinedAt !== undefined)
    add('contact', 'an identity that is not proven claimed to be this host and is quarantined', facts.quarantinedAt);
  if (op?.observedAt !== undefined)
    add(
      'observation',
      op.observedUuid === undefined ? 'not in the report' : `in the report with UUID ${op.observedUuid}`,
      op.observedAt,
    );
  if (facts.proof !== undefined) add('observation', proofSays(facts.proof), facts.proof.at);
  if (facts.proof === undefined || op?.observedAt !== undefined) lines.push(observationLine(observer, now));
  return lines;
}

const LEVELS: Readonly<Record<EvidenceLevel, string>> = {
  absent: 'does not show it',
  present: 'shows it, with other content',
  fresh: 'shows it, with other content, installed since the delivery',
  version: 'shows this version',
  unchanged: 'shows this version, unchanged since it was first verified',
  effective: 'shows this version, and its settings are in force',
};

function proofSays({ level, source, note }: PairEvidence): string {
  return `${source} ${LEVELS[level]} (${level})${note === undefined ? '' : `; ${note}`}`;
}

function noProfile({ movedTo }: PairFacts): string {
  if (movedTo === undefined) return "no profile of the host's team";
  return `the team's profile of this identifier is on the ${movedTo} channel now`;
}

/** When what the gate says was last known. A label that was not evaluated yet was not when others were. */
function gateAt(evidence: GateEvidence, { labelNote }: PairFacts): Date | undefined {
  if (evidence.kind !== 'label' || evidence.cause === 'not_evaluated' || evidence.cause === 'label_missing')
    return undefined;
  const note = labelNote(evidence.labelId);
  return evidence.member === 'yes' ? note?.since : note?.evaluatedAt;
}

/** Polls are noted in steps of time; an acknowledgement is contact too, and no chain may show it younger than the contact. */
function latest(one: Date | undefined, other: Date | undefined): Date | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one > other ? one : other;
}

function versionSays(facts: PairFacts): string {
  const { wantedVersion } = facts;
  const wanted = wantedVersion === undefined ? 'no version is wanted' : `version ${wantedVersion} is wanted`;
  return `${wanted}, ${heldSays(facts)}`;
}

/** What is taken to be there by an acknowledgement alone is not known to be. */
function heldSays({ heldVersion, op }: PairFacts): string {
  if (heldVersion === undefined) return 'none is known to be there';
  if (op?.op !== 'install' || op.state !== 'acked' || op.versionId !== heldVersion)
    return `version ${heldVersion} is known to be there`;
  if (op.ackedAt === undefined) return `version ${heldVersion} may be there, and nobody has confirmed it`;
  if (op.observedAt === undefined || op.observedAt < op.ackedAt)
    return `version ${heldVersion} was acknowledged, and nobody has confirmed it`;
  const seen = op.observedUuid === undefined ? 'does not show it' : 'shows other content';
  return `version ${heldVersion} was acknowledged, and a report after that ${seen}`;
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
    return evidenceLine('observation', `${OSQUERY[observer.osqueryState]}; ProfileList has not answered`, at, now);
  return evidenceLine(
    'observation',
    who === 'osquery' ? OSQUERY[observer.osqueryState] : 'ProfileList answered',
    at,
    now,
  );
}

function askedFor({ minOs, maxOs }: Extract<GateEvidence, { kind: 'os' }>): string {
  if (minOs !== undefined && maxOs !== undefined) return `versions ${minOs} to ${maxOs} are asked for`;
  return minOs === undefined ? `version ${maxOs} or older is asked for` : `version ${minOs} or newer is asked for`;
}

type Names = Pick<PairFacts, 'labelName' | 'labelNote'>;

const PLATFORMS: Readonly<Record<Platform, string>> = {
  mac: 'a Mac',
  iphone: 'an iPhone',
  ipad: 'an iPad',
  tv: 'an Apple TV',
  vision: 'an Apple Vision',
  watch: 'an Apple Watch',
  '': 'this device',
};

export function gateSays(evidence: GateEvidence, { labelName, labelNote }: Names): string {
  if (evidence.kind === 'platform') {
    const what = evidence.payloadType === undefined ? 'the profile (TargetDeviceType)' : evidence.payloadType;
    return `${what} is not for ${PLATFORMS[evidence.platform]}`;
  }
  if (evidence.kind === 'user_enrollment')
    return `${evidence.payloadType} is not allowed in a User Enrolment of ${PLATFORMS[evidence.platform]}`;
  if (evidence.kind === 'os') {
    const has =
      evidence.osVersion === '' ? 'the host has not reported its version' : `the host has ${evidence.osVersion}`;
    return `${askedFor(evidence)}, ${has}`;
  }
  const label = `label ${labelName(evidence.labelId)}`;
  const excluded = evidence.role === 'exclude' ? 'the excluded ' : '';
  const note = labelNote(evidence.labelId);
  switch (evidence.cause) {
    case 'label_missing':
      return `${excluded}${label} no longer exists`;
    case 'query_error':
      return `the query of ${excluded === '' ? '' : 'excluded '}${label} failed on this host${note?.error === undefined ? '' : ` (${note.error})`}`;
    case 'not_evaluated':
      return `${excluded}${label} has not been evaluated on this host yet`;
    case undefined: {
      const leaving = note !== undefined && note.noes > 0 ? `, though its query has said no ${times(note.noes)}` : '';
      return evidence.member === 'yes' ? `it is in ${excluded}${label}${leaving}` : `it is not in ${excluded}${label}`;
    }
  }
}

export function evidenceLine(
  about: EvidenceLine['about'],
  says: string,
  at: Date | undefined,
  now: Date,
): EvidenceLine {
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

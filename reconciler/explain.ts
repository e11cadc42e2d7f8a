import { SUPERSEDED } from './decide.ts';
import { DRIFT_WORDS } from './drift-words.ts';
import { wordsOf } from './errors.ts';
import {
  type EvidenceLine,
  evidenceOf,
  gateSays,
  lastObservation,
  type ObserverSummary,
  observationLine,
  type PairFacts,
} from './evidence.ts';
import type { GateEvidence } from './gate.ts';
import { isByHand, NO_OBSERVER, REASONS } from './reasons.ts';
import { type DerivedState, heldOf, stateOf } from './state.ts';
import type { DriftKind, LiveCommand, ObservationReason, Op, PairState, WaitingReason } from './types.ts';
import { ENROLLED_AGAIN, LABEL_NEXT, OTHER_KIND, WAITING_WORDS, type WaitingWords } from './waiting-words.ts';
import { ago, inTime, list, times } from './words.ts';

export interface Explanation {
  readonly state: PairState;
  readonly waiting: WaitingReason | undefined;
  /** Why, one sentence. */
  readonly reason: string;
  readonly evidence: readonly EvidenceLine[];
}

/** What state a pair is in and why, one sentence, and the chain behind it. Total like `stateOf`. */
export function explain(facts: PairFacts, now: Date): Explanation {
  const derived = stateOf(facts);
  return { ...derived, reason: reasonOf(facts, derived.state, derived.waiting, now), evidence: evidenceOf(facts, now) };
}

function reasonOf(facts: PairFacts, state: PairState, waiting: WaitingReason | undefined, now: Date): string {
  if (waiting === undefined)
    return facts.op === undefined ? settledReason(facts, state, now) : unsettledReason(facts, facts.op, now);
  const why = waitingReason(facts, waiting);
  return state === 'removing' ? `${notMeantHere(facts)}, but its removal waits. ${why}` : why;
}

export function explainUnmanaged(why: DriftKind, observer: ObserverSummary, now: Date): Explanation {
  const seen = observationLine(observer, now);
  return { state: 'unmanaged', waiting: undefined, reason: DRIFT_WORDS[why].words, evidence: [seen] };
}

function settledReason(facts: PairFacts, state: PairState, now: Date): string {
  const soon = `the next tick, at most ${inTime(facts.intervalMs)} away,`;
  switch (state) {
    case 'verified':
      return facts.verdict?.value === 'unknown'
        ? `${observedBy(facts.observer, now)}; ${undecided(facts)}, so it stays.`
        : `${observedBy(facts.observer, now)}.`;
    case 'pending':
      return heldOf(facts) === 'other'
        ? `The device has version ${facts.heldVersion}; ${soon} replaces it.`
        : `It is new here: ${soon} queues it.`;
    case 'removing':
      return `${notMeantHere(facts)}; ${soon} removes it.`;
    default:
      return `${notMeantHere(facts)}.`;
  }
}

function unsettledReason(facts: PairFacts, op: Op, now: Date): string {
  switch (op.state) {
    case 'queued':
      return queuedReason(facts, op, now);
    case 'acked':
      return verifyingReason(facts, op, now);
    case 'failed':
      return `${failure(facts, op)} ${retry(op, now)}`;
  }
}

function queuedReason(facts: PairFacts, op: Op, now: Date): string {
  const what = op.op === 'install' ? `version ${op.versionId}` : 'the removal';
  const { command } = facts;
  const again = isByHand(op.reason) ? REASONS[op.reason].words : disagreement(facts, op);
  if (command === undefined) {
    const when = op.nextAt === undefined ? 'at the next tick' : inFuture(op.nextAt, now);
    return `${again === '' ? '' : `${again} `}A command for ${what} is made ${when}.`;
  }
  if (command.state === 'not_now')
    return `The device answered NotNow ${times(command.notNowCount)}, last ${ago(command.notNowAt, now)}; it gets ${what} at its next poll.`;
  if (command.state === 'sent')
    return `The device fetched ${what} ${ago(command.sentAt, now)} and has not answered yet.`;
  const older = op.reason === SUPERSEDED ? ' It replaces a command that was already handed out.' : '';
  return `${again === '' ? '' : `${again} `}The command for ${what} waits for the device to poll${reach(facts, now)}.${older}`;
}

function verifyingReason({ observer }: PairFacts, op: Op, now: Date): string {
  const what = verifying(op, now);
  if (op.reason === NO_OBSERVER)
    return `${what}, and nobody can confirm it: no agent reports profiles and ProfileList is not answered. ${REASONS[NO_OBSERVER].next}`;
  const since = (op.ackedAt ?? op.createdAt).getTime();
  const looked = [observer.osqueryAt, observer.profileListAt].some((at) => at !== undefined && at.getTime() > since);
  const who =
    observer.osqueryState === 'rows' ? 'osquery or ProfileList' : 'ProfileList (no agent reports profiles here)';
  return `${what}; ${looked ? 'a report came too soon to count' : 'nobody has looked since'}, waiting for ${who}.`;
}

/** Without an acknowledgement of its own: a removal was taken back of which nobody knew whether there was something. */
function verifying({ op, ackedAt, createdAt }: Op, now: Date): string {
  if (ackedAt === undefined) return `Its removal was taken back before the device saw it, ${ago(createdAt, now)}`;
  return `The device acknowledged the ${op === 'install' ? 'install' : 'removal'} ${ago(ackedAt, now)}`;
}

function failure(facts: PairFacts, op: Op): string {
  const seen = disagreement(facts, op);
  if (seen !== '') return seen;
  const error = wordsOf(op.reason, op.errorChain);
  const own = op.errorChain[0];
  const said =
    own === undefined || error.code === 'device_error'
      ? ''
      : ` It said: ${own.description} (${own.domain} ${own.code}).`;
  return `${error.words}${said} ${error.next}`;
}

const DISAGREEMENT: Readonly<Record<ObservationReason, string>> = {
  not_observed: 'does not show it',
  other_version_observed: 'shows another version',
  other_content_since: 'shows other content, installed since',
  still_observed: 'still shows it',
};

function disagreement({ observer }: PairFacts, op: Op): string {
  const seen = DISAGREEMENT[op.reason as ObservationReason] as string | undefined;
  const who = observer.osqueryState === 'rows' ? 'osquery' : 'ProfileList';
  return seen === undefined ? '' : `Acknowledged ${times(op.verifyMisses)}, but ${who} ${seen}.`;
}

function retry(op: Op, now: Date): string {
  if (op.nextAt !== undefined) return `It is tried again ${inFuture(op.nextAt, now)}.`;
  return 'It is not tried again before its content or scope changes.';
}

function inFuture(at: Date, now: Date): string {
  return at.getTime() <= now.getTime() ? 'at the next tick' : `in ${inTime(at.getTime() - now.getTime())}`;
}

function reach({ push, seenAt, hold }: PairFacts, now: Date): string {
  if (hold === 'no_push_certificate') return '; there is no valid push certificate to wake it with';
  if (push?.tokenRetired) return '; Apple says its push token is dead, so it cannot be woken';
  if (push?.lastPushAt !== undefined) {
    const answer =
      push.lastStatus === 200 ? 'accepted' : `answered ${push.lastStatus ?? 'nothing'} ${push.lastReason ?? ''}`.trim();
    return `; last push ${ago(push.lastPushAt, now)}, ${answer}`;
  }
  return seenAt === undefined ? '' : `; last seen ${ago(seenAt, now)}`;
}

/** What holds it back, what that is seen by, and what ends it. */
function waitingReason(facts: PairFacts, hold: WaitingReason): string {
  const { words, next } = waitingWords(facts, hold);
  const seenBy = heldBy(facts, hold).map((one) => gateSays(one, facts));
  return `${words}${seenBy.length === 0 ? '' : `: ${list(seenBy)}`}; ${next}.`;
}

function waitingWords({ verdict, enrollmentGeneration }: PairFacts, hold: WaitingReason): WaitingWords {
  if (hold === 'actual_state_unknown' && enrollmentGeneration > 1) return ENROLLED_AGAIN;
  const decidedBy = verdict?.decidedBy ?? [];
  if (hold === 'os_gate' && decidedBy.some((one) => one.kind === 'platform')) return OTHER_KIND;
  const causes = decidedBy.flatMap((one) => (one.kind === 'label' && one.cause !== undefined ? [one.cause] : []));
  const cause = (['label_missing', 'query_error', 'not_evaluated'] as const).find((one) => causes.includes(one));
  if (hold !== 'label_unknown' || cause === undefined) return WAITING_WORDS[hold];
  return { ...WAITING_WORDS[hold], next: LABEL_NEXT[cause] };
}

/** The parts of the gate's answer that the reason speaks of. */
function heldBy({ verdict }: PairFacts, hold: WaitingReason): readonly GateEvidence[] {
  const open = verdict?.hold === hold || (hold === 'actual_state_unknown' && verdict?.value === 'unknown');
  return open ? (verdict?.decidedBy ?? []) : [];
}

function undecided(facts: PairFacts): string {
  const open = facts.verdict?.decidedBy.map((one) => gateSays(one, facts)) ?? [];
  return `whether it is meant for this host is open: ${list(open)}`;
}

/** Why the gate says no, a clause. `verdict` undefined = no live profile of the host's team has the slot. */
export function notMeant(verdict: PairFacts['verdict'], names: Pick<PairFacts, 'labelName' | 'labelNote'>): string {
  if (verdict === undefined) return "no profile of the host's team has this identifier";
  const why = verdict.decidedBy.map((one) => gateSays(one, names));
  return why.length === 0 ? 'it names no label and so no host' : `it is not meant for this host: ${list(why)}`;
}

function observedBy(observer: ObserverSummary, now: Date): string {
  const { who, at } = lastObservation(observer);
  return at === undefined ? 'The device holds it' : `${who} showed this version on the device ${ago(at, now)}`;
}

function notMeantHere(facts: PairFacts): string {
  if (facts.verdict === undefined && facts.movedTo !== undefined)
    return `The team's profile of this identifier is on the ${facts.movedTo} channel now`;
  const why = notMeant(facts.verdict, facts);
  return why.charAt(0).toUpperCase() + why.slice(1);
}

/** A few words for a line of a list. */
export function briefly(
  { state, waiting }: DerivedState,
  op: Op | undefined,
  command: LiveCommand | undefined,
): string {
  if (waiting !== undefined) return `${WAITING_WORDS[waiting].words}.`;
  if (op === undefined) return BRIEF[state];
  switch (op.state) {
    case 'failed':
      return op.reason in DISAGREEMENT
        ? `Acknowledged, but a report ${DISAGREEMENT[op.reason as ObservationReason]}.`
        : wordsOf(op.reason, op.errorChain).words;
    case 'acked':
      return 'Acknowledged; no report has confirmed it yet.';
    case 'queued':
      if (command === undefined) return 'Its command is still to be made.';
      if (command.state === 'not_now') return `The device answered NotNow ${times(command.notNowCount)}.`;
      return command.state === 'sent' ? 'Fetched, and not answered yet.' : 'Its command waits for the device to poll.';
  }
}

const BRIEF: Readonly<Record<PairState, string>> = {
  verified: 'A report showed this version on the device.',
  verifying: 'Acknowledged; no report has confirmed it yet.',
  pending: 'The next tick queues it.',
  removing: 'The next tick removes it.',
  failed: 'It failed.',
  waiting: 'It waits.',
  unmanaged: 'It is there and not ours.',
  not_in_scope: 'It is not meant for this host.',
};

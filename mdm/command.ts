import type { EnrollmentEffect } from '../core/effects.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { PlistDict } from '../plist/types.ts';
import { observationOf } from './profile-list.ts';
import { type LiveCommand, type Report, WEIGHTY_REQUEST_TYPES } from './types.ts';

type Finished = Extract<Report, { kind: 'finished' }>;

const WEIGHTY: ReadonlySet<string> = new Set(WEIGHTY_REQUEST_TYPES);

/** A push that makes the Mac ask again for what it deferred; `server` may let it wait some minutes (NNW, §2.2). */
export const PUSH_FOR_DEFERRED = 'deferred_commands';

export interface Turned {
  readonly queue: readonly LiveCommand[];
  readonly handOut: string | undefined;
  /** The command that left the queue with this report. */
  readonly finished: LiveCommand | undefined;
  /** A result for a command that is not in the queue: recorded, changes nothing (CMD-03, CMD-04, H-13). */
  readonly late: boolean;
  /** The exchange ends on another word than NotNow while commands stay deferred: no poll will come by itself. */
  readonly leftBehind: boolean;
  /** More follows from this result than the queue shows, or a push must follow, or it is late: no batch for it. */
  readonly weighty: boolean;
}

/**
 * One turn of the queue of one channel: the rules. `db/poll-statement.ts` says the same in SQL for many channels at
 * once, and a differential test holds the two together.
 */
export function takeTurn(queue: readonly LiveCommand[], turn: Report): Turned {
  const named = 'commandUuid' in turn ? queue.find((command) => command.commandUuid === turn.commandUuid) : undefined;
  const rest = queue.filter((command) => command !== named).toSorted((a, b) => a.seq - b.seq);
  // Idle opens an exchange: what was deferred in the last one is eligible again, oldest first.
  const eligible = turn.kind === 'idle' ? rest.map((command) => ({ ...command, deferred: false })) : rest;
  // Oldest first whether it was sent or not: what was sent and not answered got lost (CMD-05).
  const next = eligible.find((command) => !command.deferred);
  const handed = eligible.map((command) => (command === next ? sent(command) : command));
  const kept = named !== undefined && turn.kind === 'not_now' ? [...handed, notNow(named)] : handed;
  const finished = turn.kind === 'finished' ? named : undefined;
  const late = turn.kind === 'finished' && named === undefined;
  const leftBehind = next === undefined && turn.kind === 'finished' && rest.some((command) => command.deferred);
  return {
    queue: kept.toSorted((a, b) => a.seq - b.seq),
    handOut: next?.commandUuid,
    finished,
    late,
    leftBehind,
    weighty: late || leftBehind || (finished !== undefined && isWeighty(finished)),
  };
}

function sent(command: LiveCommand): LiveCommand {
  return { ...command, state: 'sent', deferred: false, deliveries: command.deliveries + 1 };
}

function notNow(command: LiveCommand): LiveCommand {
  return { ...command, state: 'not_now', deferred: true, notNowCount: command.notNowCount + 1 };
}

function isWeighty(command: Pick<LiveCommand, 'op' | 'requestType'>): boolean {
  return command.op !== undefined || WEIGHTY.has(command.requestType);
}

export interface Consequences {
  readonly effects: readonly EnrollmentEffect[];
  /** Setup Assistant was told to go on (TOK-07). */
  readonly configured: boolean;
}

/** What follows from a command's result besides its leaving the queue. Whoever settles an op decides whether it is stale. */
export function consequencesOf(
  enrollment: EnrollmentRef,
  command: LiveCommand,
  report: Finished,
  dict: PlistDict,
): Consequences {
  const effects: EnrollmentEffect[] = [];
  if (command.op !== undefined) {
    effects.push({
      kind: 'op_settled',
      enrollment,
      enrollmentGeneration: command.enrollmentGeneration,
      op: command.op,
      outcome: report.outcome,
      errorChain: report.errorChain,
    });
  }
  if (command.requestType === 'ProfileList') {
    effects.push({
      kind: 'profiles_observed',
      enrollment,
      source: 'profile_list',
      observation: observationOf(report, dict),
    });
  }
  const configures = command.requestType === 'DeviceConfigured' || command.requestType === 'UserConfigured';
  return { effects, configured: configures && report.outcome === 'Acknowledged' };
}

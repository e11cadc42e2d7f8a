import type { ByHandReason, ObservationReason } from './types.ts';

/** In `op.reason` of an acknowledged op: nobody could confirm it for `noObserverAfterMs`. It stays `verifying`. */
export const NO_OBSERVER = 'no_observer';

/** What happened and what to do, one sentence each, for a reason that no device error gave. */
export interface ReasonWords {
  readonly words: string;
  readonly next: string;
}

const AGAIN = 'It is sent twice more, each time later. If that does not help, look at the profile on the Mac itself.';

/** Stable codes of `op.reason` besides those of the device's errors. */
export const REASONS: Readonly<Record<ByHandReason | ObservationReason | typeof NO_OBSERVER, ReasonWords>> = {
  not_observed: {
    words: 'The device acknowledged it, and a report after that does not show it.',
    next: AGAIN,
  },
  other_version_observed: {
    words: 'The device acknowledged it, and a report after that shows another version.',
    next: AGAIN,
  },
  other_content_since: {
    words: 'The device acknowledged it, and a report shows other content under its identifier, installed since.',
    next: 'Find out who else installs a profile with this identifier.',
  },
  still_observed: {
    words: 'The device acknowledged the removal, and a report after that still shows the profile.',
    next: 'It is removed twice more, each time later, and then daily.',
  },
  removed_by_hand: {
    words: 'It was verified on the device and is not there any more: somebody or something on the Mac removed it.',
    next: 'Nothing: it is installed again. Where that repeats, find out who removes it.',
  },
  replaced_by_hand: {
    words: 'It was verified on the device, and other content is there under its identifier now.',
    next: 'Nothing: it is installed again. Where that repeats, find out who installs the other content.',
  },
  no_observer: {
    words:
      'The device acknowledged it and nobody can confirm it: no agent reports profiles and ProfileList is not answered.',
    next: 'Look whether the Mac still polls; install an agent, or wait for its next ProfileList.',
  },
};

const BY_OBSERVATION: Readonly<Record<ObservationReason, true>> = {
  not_observed: true,
  other_version_observed: true,
  other_content_since: true,
  still_observed: true,
};

export const OBSERVATION_REASONS: readonly string[] = Object.keys(BY_OBSERVATION);

export function isByHand(reason: string): reason is ByHandReason {
  return reason === 'removed_by_hand' || reason === 'replaced_by_hand';
}

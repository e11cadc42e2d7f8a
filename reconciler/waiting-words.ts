import type { WaitingReason } from './types.ts';

export interface WaitingWords {
  /** Why nothing is sent: a clause that begins a sentence, without its full stop. */
  readonly words: string;
  /** What ends it, and whether somebody has to do something: a clause that goes on from the first. */
  readonly next: string;
}

const BY_ITSELF = 'it is sent by itself once';

/** Closed list (design §4). The features of those marked reserved do not exist yet, so nothing produces them. */
export const WAITING_WORDS: Readonly<Record<WaitingReason, WaitingWords>> = {
  label_unknown: {
    words: 'Whether it is meant for this host is open',
    next: "this is decided once the host's agent answers",
  },
  os_gate: {
    words: 'The version of the operating system does not fit',
    next: `${BY_ITSELF} the host reports one that does`,
  },
  no_user_channel: {
    words: 'The host has no user channel to deliver it to',
    next: `${BY_ITSELF} a managed user logs in and the device opens one`,
  },
  user_not_logged_in: {
    words: 'The user it is meant for is not logged in, or their keychain is locked',
    next: `${BY_ITSELF} every install or removal that was put off or failed for that is answered`,
  },
  enrollment_kind_forbids: {
    words: 'This kind of enrolment does not allow it',
    next: 'enrol the device with a device enrolment, or aim the profile at other hosts',
  },
  access_right_missing: {
    words: 'The enrolment does not grant the right to install and remove profiles (AccessRights 2)',
    next: 'enrol the host again: a right cannot be added later',
  },
  dependency_not_verified: {
    words: 'It moves here from another channel of the host, where it still is',
    next: `${BY_ITSELF} a report shows that channel without it`,
  },
  quarantined_identity: {
    words: 'A device claims to be this host with an identity that is not proven, and is quarantined',
    next: 'enrol it with a link that names its serial number, or end the old enrolment',
  },
  actual_state_unknown: {
    words: 'It is not known yet what the device holds since it enrolled, and whether it is meant for it is open',
    next: 'ProfileList is asked, and its answer decides whether there is something to keep',
  },
  no_push_certificate: {
    words: "There is no valid push certificate for this host's topic, so it cannot be woken",
    next: 'upload or renew the certificate, then it is sent by itself',
  },
  // Reserved.
  rollout_stage: { words: 'The rollout has not reached this host', next: `${BY_ITSELF} its stage begins` },
  paused: { words: 'The rollout is paused', next: `${BY_ITSELF} somebody resumes it` },
  not_supervised: {
    words: 'The host is not supervised, or its enrolment is not approved by the user',
    next: 'enrol it through Automated Device Enrolment',
  },
  variable_unresolved: {
    words: 'A variable in it has no value for this host',
    next: `${BY_ITSELF} the value is known`,
  },
  one_per_machine_clash: {
    words: 'The host already has another profile of a kind of which it can have one',
    next: 'take one of the two away',
  },
  deferred_to_setup: { words: 'It waits until Setup Assistant is done', next: 'it is sent by itself after that' },
  awaiting_user_action: {
    words: 'Somebody at the device has to do something first',
    next: `${BY_ITSELF} that is done`,
  },
};

/** `actual_state_unknown` where it is not the first enrolment. */
export const ENROLLED_AGAIN: WaitingWords = {
  words: 'It is not known yet what the device holds since it enrolled again, and whether it is meant for it is open',
  next: WAITING_WORDS.actual_state_unknown.next,
};

export const WAITING_REASONS = Object.keys(WAITING_WORDS) as readonly WaitingReason[];

/** What ends it where a label was deleted under a profile, or its query does not work. */
export const LABEL_NEXT = {
  label_missing: 'aim the profile at labels that exist',
  query_error: 'this is decided once the query is answered: correct it where it is wrong',
  not_evaluated: WAITING_WORDS.label_unknown.next,
} as const;

/** The one kind of device or system that the words of `os_gate` do not fit. */
export const OTHER_KIND: WaitingWords = {
  words: 'It is not for this kind of device',
  next: 'aim it at hosts that can have it',
};

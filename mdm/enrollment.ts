import type { EnrollmentRef } from '../core/enrollment.ts';
import { type Refusal, refuse, standingOf } from './standing.ts';
import type { Binding, CheckinMessage, EnrollmentRecord, EnrollmentState, Known } from './types.ts';

export type Act =
  | Refusal
  /** Answered as if it had been done, and nothing is (quarantine; a repeated CheckOut). */
  | { readonly kind: 'ignore' }
  | { readonly kind: 'enrol'; readonly binding: Binding; readonly rival: EnrollmentRecord | undefined }
  | { readonly kind: 'reenrol'; readonly binding: Binding; readonly rival: EnrollmentRecord | undefined }
  | { readonly kind: 'quarantine'; readonly claimed: EnrollmentRef }
  | { readonly kind: 'renew' }
  | { readonly kind: 'refresh' }
  | { readonly kind: 'go_live'; readonly first: boolean }
  | { readonly kind: 'user_live'; readonly first: boolean }
  | { readonly kind: 'user_wait' }
  | { readonly kind: 'end'; readonly ref: EnrollmentRef }
  | { readonly kind: 'store_bootstrap_token' }
  | { readonly kind: 'give_bootstrap_token' }
  /** Hand out commands. */
  | { readonly kind: 'serve' }
  /** Keep the result, hand out nothing. */
  | { readonly kind: 'record' };

export interface Decision {
  readonly act: Act;
  /** The certificate of a renewal has made its first request: it becomes the current one. */
  readonly promote: boolean;
}

/** Messages the table knows; the rest are answered before it (see `check-in.ts`). */
export type Tabled = Extract<
  CheckinMessage,
  { type: 'Authenticate' | 'TokenUpdate' | 'CheckOut' | 'SetBootstrapToken' | 'GetBootstrapToken' }
>;
export type Occasion = Tabled | { readonly type: 'Report'; readonly who: { readonly channel: 'device' | 'user' } };

/** state × message → what happens. Total: a new state or message does not compile without its cell. */
export function decide(known: Known, occasion: Occasion): Decision {
  const standing = standingOf(known);
  switch (standing.kind) {
    case 'refuse':
      return { act: standing, promote: false };
    case 'quarantined':
      return { act: { kind: 'ignore' }, promote: false };
    case 'first_use':
      return { act: firstUse(known, occasion), promote: false };
    case 'proven':
      return proven(known, standing.device, standing.promote, occasion);
  }
}

function firstUse(known: Known, occasion: Occasion): Act {
  if (occasion.type !== 'Authenticate') {
    return refuse('mdm_enrollment_unknown', `${occasion.type} from an identity that has never sent Authenticate`);
  }
  if (occasion.who.channel === 'user') return deviceOnly(occasion.type);
  return claim(known, occasion);
}

/** A fresh certificate names a device. What it may take depends on what its challenge was made for (design §3). */
function claim(
  { certificate, device, rival }: Known,
  { facts, topic }: Extract<Tabled, { type: 'Authenticate' }>,
): Act {
  const renews = certificate?.challenge.renews;
  if (renews !== undefined) {
    if (device?.ref !== renews) return refuse('mdm_identity_mismatch', 'the renewal is for another device');
    if (topic !== device.topic) return refuse('mdm_topic_mismatch', 'a renewal keeps the Topic (ENR-05)');
    return device.state === 'ended'
      ? { kind: 'reenrol', binding: device.binding, rival: undefined }
      : { kind: 'renew' };
  }
  const meant = certificate?.challenge.serialNumber;
  const mismatch = meant !== undefined && facts.serialNumber !== undefined && facts.serialNumber !== meant;
  const intent = meant !== undefined && facts.serialNumber === meant;
  const incumbent = [device, rival].find(
    (record) => record !== undefined && isProtected(record, intent ? meant : undefined),
  );
  if (incumbent !== undefined) return { kind: 'quarantine', claimed: incumbent.ref };
  if (mismatch) return refuse('mdm_identity_mismatch', 'the enrolment link names another serial number');
  const binding: Binding = intent ? 'intent' : 'link_only';
  return { kind: device === undefined ? 'enrol' : 'reenrol', binding, rival };
}

/** Is there something to lose? The link must name the serial number *on record*: the message's is a claim. */
function isProtected(record: EnrollmentRecord, meantSerial: string | undefined): boolean {
  if (meantSerial !== undefined && record.serialNumber === meantSerial) return false;
  if (record.state === 'enrolled') return true;
  return record.state === 'authenticated' && record.binding !== 'link_only';
}

type DeviceState = Exclude<EnrollmentState, 'waiting_for_device'>;
type Verb = Occasion['type'];
type Rule =
  | 'refresh'
  | 'reenrol'
  | 'go_live'
  | 'end'
  | 'ignore'
  | 'store_bootstrap_token'
  | 'give_bootstrap_token'
  | 'serve'
  | 'record'
  | 'unknown';

/** A device channel with an identity pinned to it. A report is never refused: the device would send it for ever (R4). */
const DEVICE: Record<DeviceState, Record<Verb, Rule>> = {
  authenticated: {
    Authenticate: 'refresh',
    TokenUpdate: 'go_live',
    CheckOut: 'end',
    SetBootstrapToken: 'store_bootstrap_token',
    GetBootstrapToken: 'give_bootstrap_token',
    Report: 'record',
  },
  enrolled: {
    // The profile was replaced, or the answer got lost; the same key means the same life (AUT-04, H-12).
    Authenticate: 'refresh',
    TokenUpdate: 'go_live',
    CheckOut: 'end',
    SetBootstrapToken: 'store_bootstrap_token',
    GetBootstrapToken: 'give_bootstrap_token',
    Report: 'serve',
  },
  ended: {
    Authenticate: 'reenrol',
    TokenUpdate: 'unknown',
    CheckOut: 'ignore',
    SetBootstrapToken: 'unknown',
    GetBootstrapToken: 'unknown',
    Report: 'record',
  },
};

type UserRule = 'user_live' | 'user_wait' | 'end' | 'serve' | 'record' | 'unknown' | 'device_only';

/** A user channel, by the state of its device. */
const USER: Record<DeviceState, Record<Verb, UserRule>> = {
  authenticated: {
    Authenticate: 'device_only',
    TokenUpdate: 'user_wait',
    CheckOut: 'end',
    SetBootstrapToken: 'device_only',
    GetBootstrapToken: 'device_only',
    Report: 'record',
  },
  enrolled: {
    Authenticate: 'device_only',
    TokenUpdate: 'user_live',
    CheckOut: 'end',
    SetBootstrapToken: 'device_only',
    GetBootstrapToken: 'device_only',
    Report: 'serve',
  },
  ended: {
    Authenticate: 'device_only',
    TokenUpdate: 'unknown',
    CheckOut: 'end',
    SetBootstrapToken: 'device_only',
    GetBootstrapToken: 'device_only',
    Report: 'record',
  },
};

function proven(known: Known, device: EnrollmentRecord, promote: boolean, occasion: Occasion): Decision {
  // A device row never waits for a device.
  const state = device.state === 'waiting_for_device' ? 'authenticated' : device.state;
  const topic = 'topic' in occasion ? occasion.topic : device.topic;
  if (topic !== device.topic && state !== 'ended') {
    return { act: refuse('mdm_topic_mismatch', 'the Topic is not the one of this enrolment'), promote: false };
  }
  const act =
    occasion.who.channel === 'user'
      ? userAct(USER[state][occasion.type], known.user, occasion.type)
      : deviceAct(DEVICE[state][occasion.type], device, occasion.type);
  // Authenticate alone does not prove that the new profile took (ENR-06).
  return { act, promote: promote && occasion.type !== 'Authenticate' && act.kind !== 'refuse' };
}

function deviceAct(rule: Rule, device: EnrollmentRecord, verb: Verb): Act {
  switch (rule) {
    case 'reenrol':
      return { kind: 'reenrol', binding: device.binding, rival: undefined };
    case 'go_live':
      return { kind: 'go_live', first: device.tokenUpdateCount === 0 };
    case 'end':
      return { kind: 'end', ref: device.ref };
    case 'unknown':
      return refuse('mdm_enrollment_unknown', `${verb} from an enrolment that has ended`);
    default:
      return { kind: rule };
  }
}

function userAct(rule: UserRule, user: EnrollmentRecord | undefined, verb: Verb): Act {
  switch (rule) {
    case 'user_live':
      return { kind: 'user_live', first: user?.state !== 'enrolled' };
    case 'user_wait':
      return { kind: 'user_wait' };
    case 'end':
      return user === undefined || user.state === 'ended' ? { kind: 'ignore' } : { kind: 'end', ref: user.ref };
    case 'serve':
      return { kind: user?.state === 'enrolled' ? 'serve' : 'record' };
    case 'record':
      return { kind: 'record' };
    case 'unknown':
      return refuse('mdm_enrollment_unknown', `${verb} of a user whose device enrolment has ended`);
    case 'device_only':
      return deviceOnly(verb);
  }
}

function deviceOnly(verb: Verb): Refusal {
  return refuse('mdm_message_malformed', `${verb} belongs to the device channel`);
}

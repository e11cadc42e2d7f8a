import type { PlistDict } from '../../../plist/types.ts';
import type { Context, Finding } from './types.ts';

/** A Mac of macOS 15.1 that a user enrolled: what most tests speak of. */
export const MAC: Context = { os: 'macOS', version: '15.1', channel: 'device', enrollment: 'device' };

const SHARED_IPAD_USER = 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF';

/** The envelope says who is talking; the data lists these keys unevenly (SetBootstrapToken has none, BST-04). */
export const IDENTITY_KEYS = ['UDID', 'EnrollmentID', 'UserID', 'EnrollmentUserID', 'UserShortName', 'UserLongName'];

/** What a message itself tells of its sender's channel and enrolment kind; the rest is `known` or a Mac's. */
export function contextOf(dict: PlistDict, known: Partial<Context> = {}): Context {
  const shared = dict.get('UserID') === SHARED_IPAD_USER;
  const inferred: Context = {
    ...MAC,
    ...(shared ? { os: 'iOS', version: '18.1' } : {}),
    channel: dict.has('UserID') || dict.has('EnrollmentUserID') ? 'user' : 'device',
    enrollment: dict.has('EnrollmentID') ? 'user' : shared ? 'shared-ipad' : 'device',
  };
  return { ...inferred, ...known };
}

/**
 * Who is talking, by enrolment kind and channel (apple-protocol §1.4, IDN-04).
 * `names`: whether this message carries the user's long name; results may, UserAuthenticate does not.
 */
export function identityFindings(dict: PlistDict, context: Context, names: boolean): readonly Finding[] {
  const { required, allowed } = identityOf(context, names);
  const findings: Finding[] = [];
  const error = (path: string, message: string): void => {
    findings.push({ path, rule: 'identity', message, severity: 'error' });
  };
  for (const key of IDENTITY_KEYS) {
    const value = dict.get(key);
    if (value === undefined) {
      if (required.includes(key)) error(key, `${key} is required of ${whose(context)}`);
    } else if (!required.includes(key) && !allowed.includes(key)) {
      error(key, `${key} does not come from ${whose(context)}`);
    } else if (typeof value !== 'string' || value === '') {
      error(key, `${key} must be a string that is not empty`);
    }
  }
  if (context.enrollment === 'shared-ipad' && context.channel === 'user' && dict.get('UserID') !== SHARED_IPAD_USER) {
    error('UserID', 'the UserID of a Shared iPad user is a constant');
  }
  return findings;
}

function whose(context: Context): string {
  return `the ${context.channel} channel of a ${context.os} ${context.enrollment} enrolment`;
}

interface Identity {
  readonly required: readonly string[];
  readonly allowed: readonly string[];
}

function identityOf({ enrollment, channel }: Context, names: boolean): Identity {
  const device = enrollment === 'user' ? 'EnrollmentID' : 'UDID';
  if (channel === 'device') return { required: [device], allowed: [] };
  const user = enrollment === 'user' ? 'EnrollmentUserID' : 'UserID';
  if (enrollment === 'shared-ipad') return { required: [device, user, 'UserShortName'], allowed: ['UserLongName'] };
  return {
    required: names ? [device, user, 'UserLongName'] : [device, user],
    allowed: ['UserShortName', 'UserLongName'],
  };
}

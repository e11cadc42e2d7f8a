import { EspalierError } from '../core/errors.ts';
import { optionalString } from '../plist/fields.ts';
import type { PlistDict } from '../plist/types.ts';
import type { Claimant } from './types.ts';

/** Every Shared iPad user has this UserID; the short name tells them apart (IDN-02). */
const SHARED_IPAD_USER_ID = 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF';

/** Characters. UDIDs have no guaranteed length (IDN-03), an index entry has: 2,704 bytes in PostgreSQL. */
const MAX_PART = 512;

/** Who the message is from, by NanoMDM's rules (nano-family §1.6). Errors: mdm_message_malformed (IDN-04). */
export function claimantOf(message: PlistDict): Claimant {
  const udid = identifier(message, 'UDID');
  const enrollmentID = identifier(message, 'EnrollmentID');
  if (udid !== undefined && enrollmentID !== undefined) throw malformed('both UDID and EnrollmentID are present');
  const names = {
    userShortName: name(message, 'UserShortName'),
    userLongName: name(message, 'UserLongName'),
  };
  if (udid !== undefined) {
    const userId = identifier(message, 'UserID');
    if (userId === undefined) return device(udid, 'Device', udid);
    if (userId !== SHARED_IPAD_USER_ID) return user(udid, userId, 'User', udid, { userId, ...names });
    const shortName = identifier(message, 'UserShortName');
    if (shortName === undefined) throw malformed('a Shared iPad user has no UserShortName');
    return user(udid, shortName, 'Shared iPad', udid, { userId, ...names });
  }
  if (enrollmentID === undefined) throw malformed('neither UDID nor EnrollmentID is present');
  const enrollmentUserID = identifier(message, 'EnrollmentUserID');
  if (enrollmentUserID === undefined) return device(enrollmentID, 'User Enrollment (Device)', undefined);
  return user(enrollmentID, enrollmentUserID, 'User Enrollment', undefined, { userId: enrollmentUserID, ...names });
}

function device(deviceKey: string, type: Claimant['type'], udid: string | undefined): Claimant {
  // `A:B` as a device would be spelt like user B of device A.
  if (deviceKey.includes(':')) throw malformed('a device identifier contains a colon');
  return {
    enrollmentId: deviceKey,
    deviceKey,
    type,
    channel: 'device',
    udid,
    userId: undefined,
    userShortName: undefined,
    userLongName: undefined,
  };
}

function user(
  deviceKey: string,
  userPart: string,
  type: Claimant['type'],
  udid: string | undefined,
  names: Pick<Claimant, 'userId' | 'userShortName' | 'userLongName'>,
): Claimant {
  return { ...device(deviceKey, type, udid), ...names, channel: 'user', enrollmentId: `${deviceKey}:${userPart}` };
}

/** Compared exactly: no trimming, no case folding (IDN-03, H-09). */
function identifier(message: PlistDict, key: string): string | undefined {
  const value = optionalString(message, key, { code: 'mdm_message_malformed' });
  if (value === undefined) return undefined;
  if (value === '') throw malformed(`${key} is empty`);
  if (value.length > MAX_PART) throw malformed(`${key} is longer than ${MAX_PART} characters`);
  if (value.includes('\0')) throw malformed(`${key} contains a NUL`);
  return value;
}

function name(message: PlistDict, key: string): string | undefined {
  const value = message.get(key);
  return typeof value === 'string' ? storable(value) : undefined;
}

/**
 * Text for display: PostgreSQL cannot hold a NUL or half of a surrogate pair, which the cut may leave, and a name needs no
 * megabyte (H-09). What it cannot hold would be a 503 for ever, since the device sends the same result again.
 */
export function storable(text: string): string {
  return text.slice(0, 1024).toWellFormed().replaceAll('\0', '\u{fffd}');
}

function malformed(detail: string): EspalierError {
  return new EspalierError('mdm_message_malformed', detail);
}

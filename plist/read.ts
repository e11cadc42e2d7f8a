import { EspalierError } from '../core/errors.ts';
import { RESULT_LIMITS, type ReadOptions, refuseOversize } from './limits.ts';
import { readBinaryPlist } from './read-binary.ts';
import { readXmlPlist } from './read-xml.ts';
import type { PlistValue } from './types.ts';

export {
  CHECKIN_LIMITS,
  newWork,
  PROFILE_LIMITS,
  RESULT_LIMITS,
  type ReadLimits,
  type ReadOptions,
  type ReadWork,
} from './limits.ts';

/** `bplist0`: the digit after it is a minor version that CoreFoundation does not look at either. */
const MAGIC = [0x62, 0x70, 0x6c, 0x69, 0x73, 0x74, 0x30] as const;

export function isBinaryPlist(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, index) => bytes[index] === byte);
}

/** Bytes from outside → values, in work bounded by the limits. */
export function readPlist(bytes: Uint8Array, options: ReadOptions = RESULT_LIMITS): PlistValue {
  refuseOversize(bytes, options);
  if (!isBinaryPlist(bytes)) return readXmlPlist(bytes, options);
  if (options.binary === false) {
    throw new EspalierError('plist_binary_refused', 'A binary property list is not accepted here', {
      place: { offset: 0 },
      fix: 'Send the property list as XML.',
    });
  }
  return readBinaryPlist(bytes, options);
}

/**
 * A copy of a string that does not keep its document alive: V8 cuts long substrings as views of the whole text, so a
 * 36-character UDID in a cache would hold the message it came from.
 */
export function detach(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le');
}

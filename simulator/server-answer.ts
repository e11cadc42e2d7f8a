import { RESULT_LIMITS, readPlist } from '../plist/read.ts';
import { isDict, type PlistDict } from '../plist/types.ts';
import type { MacResponse } from './transport.ts';

/** Undefined: not a property list of a dictionary. */
export function readAnswer(body: Buffer): PlistDict | undefined {
  try {
    const value = readPlist(body, RESULT_LIMITS);
    return isDict(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** CHK-07: the 403 that replaces the 401 from macOS 14 on; JSON or a property list, as its media type says. */
export function isUnrecognized(response: MacResponse): boolean {
  if (response.status !== 403) return false;
  try {
    const code =
      response.mediaType === 'application/json'
        ? (JSON.parse(response.body.toString('utf8')) as { code?: unknown }).code
        : readAnswer(response.body)?.get('code');
    return code === 'com.apple.unrecognized.device';
  } catch {
    return false;
  }
}

/** CMD-11: what a Mac survives in a command and no server should write. */
export function formFaults(response: MacResponse): string[] {
  const text = response.body.toString('utf8');
  const faults: string[] = [];
  if (response.mediaType !== 'application/xml') faults.push(`came as ${response.mediaType || 'no media type'}`);
  if (!text.startsWith('<?xml')) faults.push('is not an XML property list');
  if (/<!--|<!\[CDATA\[|<!ENTITY/.test(text)) faults.push('has a comment, a CDATA section or an entity');
  return faults;
}

import { createHash, type Hash } from 'node:crypto';
import { isDict, kindOf, type PlistDict, type PlistValue, Real } from '../plist/types.ts';
import type { Mobileconfig, PayloadSummary } from './types.ts';

/** More payloads than any profile has; what is kept for comparison is bounded, what is delivered is not. */
const MAX_PAYLOADS = 1000;
/** Say who a payload is, not what it sets. */
const NAMES: ReadonlySet<string> = new Set([
  'PayloadIdentifier',
  'PayloadUUID',
  'PayloadDisplayName',
  'PayloadDescription',
  'PayloadOrganization',
]);

/** What other profiles of the team are compared with, so that nobody has to read this one again. */
export function summaryOf({ payloads }: Pick<Mobileconfig, 'payloads'>): readonly PayloadSummary[] {
  return payloads.slice(0, MAX_PAYLOADS).map(({ index, type, identifier, uuid, content }) => ({
    index,
    // No text column holds a NUL, which a binary list cannot bring past the reader but an inner type may name.
    type: shortened(type),
    identifier: shortened(identifier),
    uuid: shortened(uuid),
    settings: settingsOf(content),
  }));
}

/** iPhone, Watch, HomePod, Apple TV, Mac, Vision (apple-protocol §3.1); undefined = any device, or a number of no meaning. */
export function targetDeviceTypeOf({ root }: Pick<Mobileconfig, 'root'>): number | undefined {
  const target = root.get('TargetDeviceType');
  return typeof target === 'number' && target >= 1 && target <= 6 ? target : undefined;
}

function shortened(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 255)
    .toWellFormed();
}

/** Equal for equal settings: the order of keys and the payload's names are none of it. Lower-case hex. */
function settingsOf(content: PlistDict): string {
  const hash = createHash('sha256');
  feedDict(hash, new Map([...content].filter(([key]) => !NAMES.has(key))));
  return hash.digest('hex');
}

/** Recursion is as deep as the reader lets a list be. Lengths stand before contents: no two values feed the same bytes. */
function feed(hash: Hash, value: PlistValue): void {
  if (isDict(value)) feedDict(hash, value);
  else if (Array.isArray(value)) {
    hash.update(`array ${value.length};`);
    for (const item of value) feed(hash, item);
  } else if (value instanceof Uint8Array) hash.update(`data ${value.length};`).update(value);
  else feedText(hash, kindOf(value), textOf(value));
}

function feedDict(hash: Hash, dict: PlistDict): void {
  hash.update(`dict ${dict.size};`);
  for (const key of [...dict.keys()].sort()) {
    feedText(hash, 'key', key);
    feed(hash, dict.get(key) as PlistValue);
  }
}

function feedText(hash: Hash, kind: string, text: string): void {
  hash.update(`${kind} ${text.length};`).update(text, 'utf16le');
}

function textOf(value: Exclude<PlistValue, PlistDict | PlistValue[] | Uint8Array>): string {
  if (value instanceof Real) return String(value.value);
  return value instanceof Date ? String(value.getTime()) : String(value);
}

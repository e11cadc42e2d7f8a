import { createHash } from 'node:crypto';
import type { MacKey } from '../keys/types.ts';
import { isDict, type PlistDict, type PlistValue } from '../plist/types.ts';
import { writePlistBytes } from '../plist/write.ts';

/** An unsigned upload as it will travel, before signing. */
export interface Rewritten {
  readonly plist: Buffer;
  readonly witness: string;
  readonly contentSha256: Buffer;
}

/** Keeps witnesses apart from every other use of the same key. */
const WITNESS_DOMAIN = 'espalier profile witness v1\0';

/**
 * Puts a keyed hash of the content in place of the top-level PayloadUUID, so that what a Mac reports names the version it
 * holds (design §4). Content is the canonical form without that UUID: the order of dict keys, white space, comments and
 * the old UUID are not content, everything else is. Inner UUIDs are never touched, since payloads refer to each other by
 * them (PRF-02). Same content, same witness, in every team.
 * Throws plist_unencodable for text that XML cannot carry (possible in a binary upload).
 */
export function rewriteWitness(root: PlistDict, key: MacKey): Rewritten {
  const content = new Map(canonical(root));
  content.delete('PayloadUUID');
  const bytes = writePlistBytes(content);
  const witness = uuidShaped(key.digest(WITNESS_DOMAIN, bytes));
  content.set('PayloadUUID', witness);
  return {
    plist: writePlistBytes(canonical(content)),
    witness,
    contentSha256: createHash('sha256').update(bytes).digest(),
  };
}

/** Dicts in code-unit order of their keys, at every depth; arrays as they are. */
function canonical(dict: PlistDict): Map<string, PlistValue> {
  const keys = [...dict.keys()].sort();
  return new Map(keys.map((key) => [key, canonicalValue(dict.get(key) as PlistValue)]));
}

function canonicalValue(value: PlistValue): PlistValue {
  if (Array.isArray(value)) return value.map(canonicalValue);
  return isDict(value) ? canonical(value) : value;
}

/** The first 122 usable bits as a version 8 UUID (RFC 9562 §5.8), upper case as Apple writes them. */
function uuidShaped(digest: Buffer): string {
  const bytes = Buffer.from(digest.subarray(0, 16));
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex').toUpperCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

import { EspalierError } from '../core/errors.ts';

export interface ReadLimits {
  readonly maxBytes: number;
  /** Values, containers included; in a binary list a shared object counts every time something refers to it. */
  readonly maxNodes: number;
  /** Containers inside containers; a lone dict has depth 1. */
  readonly maxDepth: number;
}

/** What a read has cost so far, also when it ends in a refusal: tests bound work, not milliseconds. */
export interface ReadWork {
  nodes: number;
  /** The deepest nesting seen. */
  depth: number;
  /** XML: bytes scanned. Binary: bytes of strings and data decoded. */
  bytes: number;
}

export interface ReadOptions extends ReadLimits {
  /** Default true. False refuses binary property lists by their magic. */
  readonly binary?: boolean;
  /** Keys that may stand only once in the top-level dict; every other repeated key: the last one wins. */
  readonly uniqueKeys?: ReadonlySet<string>;
  readonly work?: ReadWork;
}

/** The keys that say who is talking and about what: two readers that disagree on them could be shown two devices (H-06). */
export const MESSAGE_KEYS: ReadonlySet<string> = new Set([
  'UDID',
  'EnrollmentID',
  'MessageType',
  'Status',
  'CommandUUID',
]);

const MIB = 1024 * 1024;

export const CHECKIN_LIMITS: ReadOptions = Object.freeze({ maxBytes: MIB, maxNodes: 10_000, maxDepth: 32 });
export const RESULT_LIMITS: ReadOptions = Object.freeze({ maxBytes: 16 * MIB, maxNodes: 1_000_000, maxDepth: 32 });
export const PROFILE_LIMITS: ReadOptions = Object.freeze({ maxBytes: 32 * MIB, maxNodes: 1_000_000, maxDepth: 64 });

export function newWork(): ReadWork {
  return { nodes: 0, depth: 0, bytes: 0 };
}

export function refuseOversize(bytes: Uint8Array, limits: ReadLimits): void {
  if (bytes.length > limits.maxBytes) {
    throw new EspalierError(
      'plist_too_large',
      `The property list has ${bytes.length} bytes; at most ${limits.maxBytes} are read`,
    );
  }
}

const PATH_KEY_LENGTH = 64;

/** `PayloadContent` + `PayloadType` → `PayloadContent.PayloadType`; the sender chose the key, so its length is cut. */
export function joinPath(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  const short = key.length > PATH_KEY_LENGTH ? `${key.slice(0, PATH_KEY_LENGTH)}…` : key;
  return path === '' ? short : `${path}.${short}`;
}

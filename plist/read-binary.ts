import { type ErrorCode, EspalierError } from '../core/errors.ts';
import { BplistObjects } from './bplist-objects.ts';
import { joinPath, MESSAGE_KEYS, newWork, type ReadOptions, type ReadWork, refuseOversize } from './limits.ts';
import type { PlistValue } from './types.ts';

/**
 * `bplist00`. Objects refer to each other by number, so 138 bytes can describe 2^30 values: every reference followed is
 * paid for from the node budget, and a count is compared with the bytes and the budget left before anything is made.
 */
export function readBinaryPlist(bytes: Uint8Array, options: ReadOptions): PlistValue {
  refuseOversize(bytes, options);
  const work = options.work ?? newWork();
  return new BinaryReader(new BplistObjects(bytes, work), options, work).read();
}

const ARRAY = 0xa;
const DICT = 0xd;

interface Frame {
  readonly object: number;
  readonly dict: Map<string, PlistValue> | undefined;
  readonly array: PlistValue[];
  readonly keysAt: number;
  readonly refsAt: number;
  readonly count: number;
  next: number;
  key: string;
}

class BinaryReader {
  readonly #objects: BplistObjects;
  readonly #options: ReadOptions;
  readonly #uniqueKeys: ReadonlySet<string>;
  readonly #work: ReadWork;
  readonly #open = new Set<number>();
  readonly #stack: Frame[] = [];

  constructor(objects: BplistObjects, options: ReadOptions, work: ReadWork) {
    this.#objects = objects;
    this.#options = options;
    this.#uniqueKeys = options.uniqueKeys ?? MESSAGE_KEYS;
    this.#work = work;
  }

  read(): PlistValue {
    try {
      return this.#tree();
    } catch (error) {
      const path = this.#path();
      if (!(error instanceof EspalierError) || path === '') throw error;
      throw new EspalierError(error.code, error.message, { place: { ...error.place, path }, cause: error });
    }
  }

  #tree(): PlistValue {
    const root = this.#value(this.#objects.top);
    for (let frame = this.#stack.at(-1); frame !== undefined; frame = this.#stack.at(-1)) {
      const index = frame.next;
      if (index === frame.count) {
        this.#stack.pop();
        this.#open.delete(frame.object);
        continue;
      }
      frame.next += 1;
      if (frame.dict === undefined) {
        frame.array.push(this.#value(this.#objects.ref(frame.refsAt, index)));
      } else {
        frame.key = this.#key(frame.dict, this.#objects.ref(frame.keysAt, index));
        frame.dict.set(frame.key, this.#value(this.#objects.ref(frame.refsAt, index)));
      }
    }
    return root;
  }

  /** A scalar, or a container that is still empty and whose frame is on the stack. */
  #value(object: number): PlistValue {
    this.#work.nodes += 1;
    if (this.#work.nodes > this.#options.maxNodes) throw this.#tooMany();
    const at = this.#objects.offset(object);
    const type = this.#objects.marker(at) >> 4;
    return type === ARRAY || type === DICT ? this.#container(object, at, type) : this.#objects.scalar(object, at);
  }

  #container(object: number, at: number, type: number): PlistValue {
    if (this.#open.has(object)) throw refusal('plist_malformed', 'A container holds itself', at);
    const depth = this.#stack.length + 1;
    if (depth > this.#options.maxDepth) {
      throw refusal('plist_too_deep', `The property list nests deeper than ${this.#options.maxDepth} levels`, at);
    }
    if (depth > this.#work.depth) this.#work.depth = depth;
    const { count, start } = this.#objects.count(at);
    const refSize = this.#objects.refSize;
    if (count > this.#objects.room(start, type === DICT ? 2 * refSize : refSize)) {
      throw refusal('plist_malformed', 'A container is cut off', at);
    }
    if (count > this.#options.maxNodes - this.#work.nodes) throw this.#tooMany();
    const dict = type === DICT ? new Map<string, PlistValue>() : undefined;
    const array: PlistValue[] = [];
    const refsAt = dict === undefined ? start : start + count * refSize;
    this.#open.add(object);
    this.#stack.push({ object, dict, array, keysAt: start, refsAt, count, next: 0, key: '' });
    return dict ?? array;
  }

  #key(dict: Map<string, PlistValue>, object: number): string {
    const at = this.#objects.offset(object);
    const type = this.#objects.marker(at) >> 4;
    const key = type === 0x5 || type === 0x6 ? this.#objects.scalar(object, at) : undefined;
    if (typeof key !== 'string') throw refusal('plist_malformed', 'A dictionary key is not a string', at);
    if (this.#stack.length === 1 && this.#uniqueKeys.has(key) && dict.has(key)) {
      throw refusal('plist_duplicate_key', `The key ${key} stands twice`, at);
    }
    return key;
  }

  #tooMany(): EspalierError {
    return refusal('plist_too_many_nodes', `The property list holds more than ${this.#options.maxNodes} values`);
  }

  #path(): string {
    return this.#stack.reduce<string>(
      (path, frame) => joinPath(path, frame.dict === undefined ? frame.next - 1 : frame.key),
      '',
    );
  }
}

function refusal(code: ErrorCode, detail: string, offset?: number): EspalierError {
  return new EspalierError(code, detail, offset === undefined ? {} : { place: { offset } });
}

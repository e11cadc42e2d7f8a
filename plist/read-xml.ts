import { EspalierError } from '../core/errors.ts';
import { joinPath, MESSAGE_KEYS, newWork, type ReadOptions, type ReadWork, refuseOversize } from './limits.ts';
import { parseData, parseDate, parseInteger, parseReal } from './scalars.ts';
import { type PlistValue, Real } from './types.ts';
import { XmlCursor } from './xml-cursor.ts';
import { doctypeEnd, misspeltEncoding, type Tag, tagAt } from './xml-lexis.ts';

/**
 * One pass over the document, no recursion, nothing fetched, nothing the document declares believed. A Mac's own writer
 * puts control characters into strings as they are, so the reader takes them (all but NUL, which no text column can
 * hold); our writer refuses them.
 */
export function readXmlPlist(bytes: Uint8Array, options: ReadOptions): PlistValue {
  refuseOversize(bytes, options);
  return new XmlReader(bytes, options).read();
}

const SLASH = 0x2f;

type Container = Map<string, PlistValue> | PlistValue[];
type ValueTag = Exclude<Tag, 'plist' | 'key'>;

class XmlReader {
  readonly #size: number;
  readonly #options: ReadOptions;
  readonly #uniqueKeys: ReadonlySet<string>;
  readonly #work: ReadWork;
  readonly #cursor: XmlCursor;
  #root: PlistValue | undefined;
  /** The innermost open container is one of these two; the open ones around it are in `#outer`, itself included. */
  #dict: Map<string, PlistValue> | undefined;
  #array: PlistValue[] | undefined;
  #key: string | undefined;
  readonly #outer: Container[] = [];
  /** The key under which each open container stands in its parent; only error paths read it. */
  readonly #outerKeys: (string | undefined)[] = [];

  constructor(bytes: Uint8Array, options: ReadOptions) {
    this.#size = bytes.length;
    this.#options = options;
    this.#uniqueKeys = options.uniqueKeys ?? MESSAGE_KEYS;
    this.#work = options.work ?? newWork();
    this.#cursor = new XmlCursor(bytes, (code, detail, place) => {
      this.#work.bytes = place.offset;
      const path = this.#path();
      return new EspalierError(code, detail, { place: path === '' ? place : { ...place, path } });
    });
  }

  read(): PlistValue {
    const cursor = this.#cursor;
    this.#prolog();
    for (;;) {
      cursor.toTag('inside');
      const at = cursor.pos + 1;
      if (cursor.text.charCodeAt(at) === SLASH) {
        if (this.#outer.length === 0) break;
        this.#closeContainer();
        continue;
      }
      const tag = tagAt(cursor.text, at);
      if (tag === 'key') this.#readKey();
      else if (tag === undefined || tag === 'plist') {
        throw cursor.error('plist_malformed', 'An element is not a property-list type');
      } else this.#readValue(tag);
    }
    if (this.#root === undefined) throw cursor.error('plist_malformed', 'The <plist> element holds no value');
    cursor.closeTag('plist');
    cursor.toTag('after');
    this.#work.bytes = this.#size;
    return this.#root;
  }

  #prolog(): void {
    const cursor = this.#cursor;
    const nul = cursor.text.indexOf('\0');
    if (nul !== -1) throw cursor.error('plist_malformed', 'A NUL character stands in the property list', nul);
    if (misspeltEncoding(cursor.text)) {
      throw cursor.error('plist_malformed', 'The XML declaration names an encoding other than UTF-8');
    }
    cursor.toTag('before');
    if (cursor.text.startsWith('<!DOCTYPE', cursor.pos)) {
      cursor.pos = doctypeEnd(cursor.text, cursor.pos, cursor.refuse);
      cursor.toTag('before');
    }
    if (tagAt(cursor.text, cursor.pos + 1) !== 'plist') {
      throw cursor.error('plist_malformed', 'The document is not a property list: its first element is not <plist>');
    }
    if (cursor.openTag('plist')) throw cursor.error('plist_malformed', 'The <plist> element holds no value');
  }

  #readKey(): void {
    const cursor = this.#cursor;
    if (this.#dict === undefined) throw cursor.error('plist_malformed', 'A <key> stands outside a <dict>');
    if (this.#key !== undefined) throw cursor.error('plist_malformed', 'A <key> is followed by another <key>');
    const at = cursor.pos;
    const key = cursor.openTag('key') ? '' : cursor.content('key', '</key>');
    if (this.#outer.length === 1 && this.#uniqueKeys.has(key) && this.#dict.has(key)) {
      throw cursor.error('plist_duplicate_key', `The key ${key} stands twice`, at);
    }
    this.#key = key;
  }

  #readValue(tag: ValueTag): void {
    const cursor = this.#cursor;
    if (this.#dict !== undefined && this.#key === undefined) {
      throw cursor.error('plist_malformed', `A <${tag}> stands in a <dict> without a <key>`);
    }
    if (this.#root !== undefined && this.#outer.length === 0) {
      throw cursor.error('plist_malformed', 'The <plist> element holds more than one value');
    }
    this.#work.nodes += 1;
    if (this.#work.nodes > this.#options.maxNodes) {
      throw cursor.error('plist_too_many_nodes', `The property list holds more than ${this.#options.maxNodes} values`);
    }
    if (tag === 'dict' || tag === 'array') this.#openContainer(tag);
    else this.#place(this.#scalar(tag));
  }

  #scalar(tag: Exclude<ValueTag, 'dict' | 'array'>): PlistValue {
    const cursor = this.#cursor;
    const at = cursor.pos;
    const empty = cursor.openTag(tag);
    if (tag === 'true' || tag === 'false') {
      if (!empty) cursor.closeTag(tag);
      return tag === 'true';
    }
    if (tag === 'string') return empty ? '' : cursor.content('string', '</string>');
    const value = parseScalar(tag, empty ? '' : cursor.content(tag));
    if (value === undefined) throw cursor.error('plist_malformed', `The content of <${tag}> is not valid`, at);
    return value;
  }

  #place(value: PlistValue): void {
    if (this.#dict !== undefined && this.#key !== undefined) {
      this.#dict.set(this.#key, value);
      this.#key = undefined;
    } else if (this.#array !== undefined) this.#array.push(value);
    else this.#root = value;
  }

  #openContainer(tag: 'dict' | 'array'): void {
    const depth = this.#outer.length + 1;
    if (depth > this.#options.maxDepth) {
      throw this.#cursor.error(
        'plist_too_deep',
        `The property list nests deeper than ${this.#options.maxDepth} levels`,
      );
    }
    if (depth > this.#work.depth) this.#work.depth = depth;
    const key = this.#key;
    const empty = this.#cursor.openTag(tag);
    const container: Container = tag === 'dict' ? new Map<string, PlistValue>() : [];
    this.#place(container);
    if (empty) return;
    this.#outer.push(container);
    this.#outerKeys.push(key);
    this.#enter(container);
  }

  #closeContainer(): void {
    if (this.#key !== undefined) throw this.#cursor.error('plist_malformed', 'A <key> has no value');
    this.#cursor.closeTag(this.#dict === undefined ? 'array' : 'dict');
    this.#outer.pop();
    this.#outerKeys.pop();
    this.#enter(this.#outer.at(-1));
  }

  #enter(container: Container | undefined): void {
    this.#dict = container instanceof Map ? container : undefined;
    this.#array = Array.isArray(container) ? container : undefined;
  }

  #path(): string {
    const innermost = this.#outer.length - 1;
    return this.#outer.reduce<string>((path, container, level) => {
      // An outer array already holds the container that is being filled; the innermost one not yet its next element.
      if (Array.isArray(container))
        return joinPath(path, level === innermost ? container.length : container.length - 1);
      const key = level === innermost ? this.#key : this.#outerKeys[level + 1];
      return key === undefined ? path : joinPath(path, key);
    }, '');
  }
}

function parseScalar(tag: 'integer' | 'real' | 'date' | 'data', text: string): PlistValue | undefined {
  switch (tag) {
    case 'integer':
      return parseInteger(text);
    case 'date':
      return parseDate(text);
    case 'data':
      return parseData(text);
    case 'real': {
      const value = parseReal(text);
      return value === undefined ? undefined : new Real(value);
    }
  }
}

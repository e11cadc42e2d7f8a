import { EspalierError } from '../core/errors.ts';
import { isBinaryPlist } from './read.ts';
import { XmlCursor } from './xml-cursor.ts';
import { doctypeEnd, tagAt } from './xml-lexis.ts';

/** Keys and indices from the top: `['PayloadContent', 0, 'PayloadType']`. */
export type PlistPath = readonly (string | number)[];

/** Both from 1; columns count UTF-16 units, as editors do. */
export interface LinePlace {
  readonly line: number;
  readonly column: number;
}

const SLASH = 0x2f;

/** The wanted paths as a tree; `at` and the counters say where the document last had this part. */
interface Wanted {
  readonly parts: Map<string | number, Wanted>;
  at: number;
  /** How often it was met: a key that stands twice makes what was found under the first stale. */
  met: number;
  parentMet: number;
}

interface Open {
  readonly tag: 'dict' | 'array';
  readonly wanted: Wanted | undefined;
  next: number;
  key: string;
  keyAt: number;
}

/**
 * Where each path stands in an XML property list that has been read before: its `<key>`, or the tag of an array's element.
 * A path that is not there is answered with its deepest part that is. Undefined for a binary list, which has no lines.
 * One pass, no recursion, memory by paths and depth; only worth running when there is something to point at.
 * Errors: plist_malformed for what the reader would have refused.
 */
export function locate(bytes: Uint8Array, paths: readonly PlistPath[]): readonly LinePlace[] | undefined {
  if (isBinaryPlist(bytes)) return undefined;
  const root = newWanted();
  for (const path of paths) want(root, path);
  const cursor = new XmlCursor(bytes, (code, detail, place) => new EspalierError(code, detail, { place }));
  scan(cursor, root);
  const offsets = paths.map((path) => foundAt(root, path));
  const places = placesOf(cursor.text, offsets);
  return offsets.map((offset) => places.get(offset) ?? { line: 1, column: 1 });
}

function newWanted(): Wanted {
  return { parts: new Map(), at: 0, met: 0, parentMet: 0 };
}

function want(root: Wanted, path: PlistPath): void {
  let here = root;
  for (const part of path) {
    let next = here.parts.get(part);
    if (next === undefined) {
      next = newWanted();
      here.parts.set(part, next);
    }
    here = next;
  }
}

function scan(cursor: XmlCursor, root: Wanted): void {
  cursor.toTag('before');
  if (cursor.text.startsWith('<!DOCTYPE', cursor.pos)) {
    cursor.pos = doctypeEnd(cursor.text, cursor.pos, cursor.refuse);
    cursor.toTag('before');
  }
  cursor.openTag('plist');
  const open: Open[] = [];
  do {
    cursor.toTag('inside');
    const top = open.at(-1);
    if (cursor.text.charCodeAt(cursor.pos + 1) === SLASH) {
      if (top === undefined) return;
      cursor.closeTag(top.tag);
      open.pop();
      continue;
    }
    const at = cursor.pos;
    const tag = tagAt(cursor.text, at + 1);
    if (tag === undefined || tag === 'plist') throw cursor.error('plist_malformed', 'not a property-list element');
    if (tag === 'key') {
      const key = cursor.openTag('key') ? '' : cursor.content('key', '</key>');
      if (top !== undefined) Object.assign(top, { key, keyAt: at });
      continue;
    }
    const wanted = meet(root, top, at);
    const empty = cursor.openTag(tag);
    if (tag !== 'dict' && tag !== 'array') {
      if (!empty) cursor.content(tag);
    } else if (!empty) open.push({ tag, wanted, next: 0, key: '', keyAt: at });
  } while (open.length > 0);
}

/** A value begins here; answers its node where somebody asked for it or for something inside. */
function meet(root: Wanted, top: Open | undefined, at: number): Wanted | undefined {
  if (top === undefined) return found(root, at, 0);
  const part = top.tag === 'dict' ? top.key : top.next;
  top.next += 1;
  const wanted = top.wanted?.parts.get(part);
  return wanted && found(wanted, top.tag === 'dict' ? top.keyAt : at, top.wanted?.met ?? 0);
}

function found(wanted: Wanted, at: number, parentMet: number): Wanted {
  wanted.at = at;
  wanted.met += 1;
  wanted.parentMet = parentMet;
  return wanted;
}

function foundAt(root: Wanted, path: PlistPath): number {
  let here = root;
  for (const part of path) {
    const next = here.parts.get(part);
    if (next === undefined || next.met === 0 || next.parentMet !== here.met) break;
    here = next;
  }
  return here.at;
}

/** One walk over the line breaks for all offsets together. */
function placesOf(text: string, offsets: readonly number[]): ReadonlyMap<number, LinePlace> {
  const places = new Map<number, LinePlace>();
  let line = 1;
  let start = 0;
  for (const offset of [...new Set(offsets)].sort((a, b) => a - b)) {
    for (let next = text.indexOf('\n', start); next !== -1 && next < offset; next = text.indexOf('\n', start)) {
      line += 1;
      start = next + 1;
    }
    places.set(offset, { line, column: offset - start + 1 });
  }
  return places;
}

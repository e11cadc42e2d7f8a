import type { ErrorCode, EspalierError } from '../core/errors.ts';
import { expandReferences } from './scalars.ts';
import { decodeUtf8, isSpace, type Refuse } from './xml-lexis.ts';

const LT = 0x3c;
const GT = 0x3e;
const SLASH = 0x2f;
const BANG = 0x21;
const QUESTION = 0x3f;

const STRAY_TEXT = {
  before: 'Text stands before the <plist> element',
  inside: 'Text stands between two elements',
  after: 'Something follows </plist>',
} as const;

export type LocatedRefuse = (
  code: ErrorCode,
  detail: string,
  place: { offset: number; line: number; column: number },
) => EspalierError;

/** A position in the document and the ways to move it forward; knows XML, not property lists. */
export class XmlCursor {
  readonly text: string;
  pos = 0;
  readonly #bom: number;
  readonly #located: LocatedRefuse;
  /** For the functions that do not know where they are. */
  readonly refuse: Refuse = (code, detail) => this.error(code, detail);
  // Where the next `&` and `\r` are, looked up again only once passed: a search per string would read the rest of the
  // document per string.
  #nextReference = -1;
  #nextReturn = -1;

  constructor(bytes: Uint8Array, located: LocatedRefuse) {
    const { text, bom } = decodeUtf8(bytes);
    this.text = text;
    this.#bom = bom;
    this.#located = located;
  }

  /** To the next tag. Whitespace, comments and processing instructions mean nothing between elements. */
  toTag(where: 'before' | 'inside' | 'after'): void {
    const text = this.text;
    for (;;) {
      let pos = this.pos;
      while (isSpace(text.charCodeAt(pos))) pos += 1;
      this.pos = pos;
      if (pos >= text.length) {
        if (where === 'after') return;
        throw this.error('plist_malformed', 'The property list ends too early');
      }
      if (text.charCodeAt(pos) !== LT) throw this.error('plist_malformed', STRAY_TEXT[where]);
      const next = text.charCodeAt(pos + 1);
      if (next === BANG && text.startsWith('<!--', pos)) this.skipPast('-->', 4);
      else if (next === QUESTION) this.skipPast('?>', 2);
      else if (where === 'after') throw this.error('plist_malformed', STRAY_TEXT.after);
      else return;
    }
  }

  skipPast(end: string, opening: number): void {
    const at = this.text.indexOf(end, this.pos + opening);
    if (at === -1) throw this.error('plist_malformed', `The property list ends before "${end}"`);
    this.pos = at + end.length;
  }

  /** Returns whether the element closed itself. Attributes mean nothing in a property list and are passed over. */
  openTag(tag: string): boolean {
    const text = this.text;
    let quote = 0;
    for (let pos = this.pos + 1 + tag.length; pos < text.length; pos += 1) {
      const code = text.charCodeAt(pos);
      if (code === LT) break;
      if (quote !== 0) {
        if (code === quote) quote = 0;
      } else if (code === GT) {
        this.pos = pos + 1;
        return false;
      } else if (code === SLASH) {
        if (text.charCodeAt(pos + 1) !== GT) break;
        this.pos = pos + 2;
        return true;
      } else if (code === 0x22 || code === 0x27) quote = code;
    }
    throw this.error('plist_malformed', `The tag <${tag}> does not end`);
  }

  closeTag(tag: string): void {
    const text = this.text;
    let pos = this.pos + 2 + tag.length;
    while (isSpace(text.charCodeAt(pos))) pos += 1;
    if (!text.startsWith(`</${tag}`, this.pos) || text.charCodeAt(pos) !== GT) {
      throw this.error('plist_malformed', `</${tag}> was expected`);
    }
    this.pos = pos + 1;
  }

  /** The text of an element that has just been opened, up to and past its closing tag. */
  content(tag: string, close = `</${tag}>`): string {
    const from = this.pos;
    const end = this.text.indexOf('<', from);
    if (end !== -1 && this.text.startsWith(close, end)) {
      this.pos = end + close.length;
      return this.#decode(from, end);
    }
    return this.#mixedContent(tag);
  }

  #mixedContent(tag: string): string {
    const text = this.text;
    let out = '';
    for (;;) {
      const end = text.indexOf('<', this.pos);
      if (end === -1) throw this.error('plist_malformed', `The property list ends inside <${tag}>`);
      out += this.#decode(this.pos, end);
      this.pos = end;
      if (text.charCodeAt(end + 1) === SLASH) break;
      if (text.startsWith('<!--', end)) this.skipPast('-->', 4);
      else if (text.startsWith('<?', end)) this.skipPast('?>', 2);
      else if (text.startsWith('<![CDATA[', end)) {
        this.skipPast(']]>', 9);
        out += unifyLines(text.slice(end + 9, this.pos - 3));
      } else throw this.error('plist_malformed', `An element stands inside <${tag}>`);
    }
    this.closeTag(tag);
    return out;
  }

  #decode(from: number, end: number): string {
    const text = this.text;
    if (this.#nextReference < from) this.#nextReference = positionOf(text, '&', from);
    if (this.#nextReturn < from) this.#nextReturn = positionOf(text, '\r', from);
    const raw = text.slice(from, end);
    // Lines first: a CR that was written as a reference is meant (XML 1.0 §2.11).
    const lines = this.#nextReturn < end ? unifyLines(raw) : raw;
    return this.#nextReference < end ? expandReferences(lines, this.refuse) : lines;
  }

  /** Offsets in bytes are worked out only here: the scan itself counts UTF-16 units. */
  error(code: ErrorCode, detail: string, at = this.pos): EspalierError {
    let line = 1;
    for (let next = this.text.indexOf('\n'); next !== -1 && next < at; next = this.text.indexOf('\n', next + 1))
      line += 1;
    const column = at === 0 ? 1 : at - this.text.lastIndexOf('\n', at - 1);
    return this.#located(code, detail, { offset: this.#bom + Buffer.byteLength(this.text.slice(0, at)), line, column });
  }
}

const CR = 0x0d;
const LF = 0x0a;

/** CRLF and CR become LF. In place in a buffer: a regular expression takes six seconds over 32 MB that are all CR. */
function unifyLines(text: string): string {
  const units = Buffer.from(text, 'utf16le');
  let to = 0;
  for (let from = 0; from < units.length; from += 2) {
    const low = units[from] as number;
    const high = units[from + 1] as number;
    const isReturn = low === CR && high === 0;
    if (isReturn && units[from + 2] === LF && units[from + 3] === 0) continue;
    units[to] = isReturn ? LF : low;
    units[to + 1] = high;
    to += 2;
  }
  return units.toString('utf16le', 0, to);
}

function positionOf(text: string, what: string, from: number): number {
  const at = text.indexOf(what, from);
  return at === -1 ? text.length : at;
}

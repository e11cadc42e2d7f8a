import { isBinaryPlist } from './read.ts';

const MARKUP = /<(?:(\/?)(dict|array|key|string)\b([^<>]*)>|!--|!\[CDATA\[|!DOCTYPE[^<>[]{0,400}\[)/g;

/**
 * The named top-level strings of an XML list that the reader refused: a result is authenticated before it is read, so it
 * has to be filed under its CommandUUID even when it is too large, cut off or broken elsewhere. Memory does not grow with
 * nesting. Everything ends at the first thing by which text could pass for markup (comment, CDATA, internal subset), and
 * a name that stands twice is left out: a guess here would finish the wrong command.
 */
export function skimStrings(bytes: Uint8Array, names: ReadonlySet<string>): Map<string, string> {
  const found = new Map<string, string>();
  if (isBinaryPlist(bytes)) return found;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const seen = new Set<string>();
  const repeated = new Set<string>();
  let depth = 0;
  let key: string | undefined;
  for (const match of text.matchAll(MARKUP)) {
    const [markup, closing, tag, rest = ''] = match;
    const empty = rest.endsWith('/');
    if (tag === undefined || !/^[\t\n\r ]*\/?$/.test(rest)) break;
    if (tag === 'dict' || tag === 'array') {
      if (closing === '/') depth -= 1;
      else if (!empty) depth += 1;
      if (depth <= 0) break;
      key = undefined;
    }
    if (depth !== 1 || closing === '/') continue;
    const content = empty ? '' : plainContent(text, match.index + markup.length);
    if (tag === 'key') key = content;
    else if (tag === 'string') {
      if (key !== undefined && names.has(key)) {
        if (seen.has(key)) repeated.add(key);
        seen.add(key);
        if (content !== undefined) found.set(key, content);
      }
      key = undefined;
    }
  }
  for (const name of repeated) found.delete(name);
  return found;
}

const LONGEST = 1024;

/** Identifiers are short and hold nothing to decode; anything else is not one. */
function plainContent(text: string, start: number): string | undefined {
  const window = text.slice(start, start + LONGEST);
  const end = window.indexOf('</');
  if (end === -1) return undefined;
  const content = window.slice(0, end);
  return /[&<\0\ufffd]/.test(content) ? undefined : content;
}

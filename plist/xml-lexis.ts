import { type ErrorCode, EspalierError } from '../core/errors.ts';

/** Makes the located error, so that these functions need not know where in the document they are. */
export type Refuse = (code: ErrorCode, detail: string) => EspalierError;

export type Tag =
  | 'plist'
  | 'dict'
  | 'array'
  | 'key'
  | 'string'
  | 'integer'
  | 'real'
  | 'date'
  | 'data'
  | 'true'
  | 'false';

export function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Dispatch on the first letter: cutting the name out and comparing strings costs a third of the whole scan. */
export function tagAt(text: string, at: number): Tag | undefined {
  const tag = candidate(text, at);
  if (tag === undefined || !text.startsWith(tag, at)) return undefined;
  const next = text.charCodeAt(at + tag.length);
  return next === 0x3e || next === 0x2f || isSpace(next) ? tag : undefined;
}

function candidate(text: string, at: number): Tag | undefined {
  switch (text.charCodeAt(at)) {
    case 0x6b:
      return 'key';
    case 0x73:
      return 'string';
    case 0x64:
      if (text.charCodeAt(at + 1) === 0x69) return 'dict';
      return text.charCodeAt(at + 3) === 0x61 ? 'data' : 'date';
    case 0x61:
      return 'array';
    case 0x74:
      return 'true';
    case 0x66:
      return 'false';
    case 0x69:
      return 'integer';
    case 0x72:
      return 'real';
    case 0x70:
      return 'plist';
    default:
      return undefined;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function decodeUtf8(bytes: Uint8Array): { text: string; bom: number } {
  const [first, second, third] = bytes;
  if ((first === 0xfe && second === 0xff) || (first === 0xff && second === 0xfe)) {
    throw new EspalierError('plist_malformed', 'The property list is UTF-16; only UTF-8 is read', {
      place: { offset: 0 },
    });
  }
  const bom = first === 0xef && second === 0xbb && third === 0xbf ? 3 : 0;
  try {
    return { text: decoder.decode(bom === 0 ? bytes : bytes.subarray(bom)), bom };
  } catch (cause) {
    throw new EspalierError('plist_malformed', 'The property list is not valid UTF-8', { cause });
  }
}

const DECLARED_ENCODING = /^<\?xml[^>]{0,200}?\sencoding\s{0,8}=\s{0,8}["']([^"'>]{0,40})["']/;

/** The bytes are UTF-8; a declaration that says otherwise means that one of us reads the wrong text. */
export function misspeltEncoding(text: string): boolean {
  const declared = DECLARED_ENCODING.exec(text)?.[1]?.toLowerCase();
  return declared !== undefined && declared !== 'utf-8' && declared !== 'utf8' && declared !== 'us-ascii';
}

/**
 * Past the document type. Its identifiers may be spelt in any way, since nothing is fetched (H-02); an internal subset
 * is where entities come from, so its bracket is refused unread (H-01).
 */
export function doctypeEnd(text: string, start: number, refuse: Refuse): number {
  for (let pos = start + '<!DOCTYPE'.length; pos < text.length; pos += 1) {
    const code = text.charCodeAt(pos);
    if (code === 0x3e) return pos + 1;
    if (code === 0x5b) throw refuse('plist_entity_refused', 'The document type has an internal subset');
    if (code === 0x3c) break;
    if (code === 0x22 || code === 0x27) {
      pos = text.indexOf(text.charAt(pos), pos + 1);
      if (pos === -1) break;
    }
  }
  throw refuse('plist_malformed', 'The document type does not end');
}

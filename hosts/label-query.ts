import { EspalierError } from '../core/errors.ts';

/** Characters. It travels to every agent each hour. */
const MAX_QUERY = 8192;

/** Read-only is osquery's own rule; these say it before a fleet is asked, and a WITH may begin any of the others. */
const REFUSED = new Set(
  'ATTACH DETACH PRAGMA INSERT UPDATE DELETE DROP CREATE ALTER VACUUM REINDEX ANALYZE BEGIN COMMIT ROLLBACK SAVEPOINT RELEASE EXPLAIN'.split(
    ' ',
  ),
);

type Token =
  | { readonly kind: 'word'; readonly text: string; readonly at: number }
  | { readonly kind: 'symbol'; readonly text: string; readonly at: number };

/**
 * The query of a dynamic label: one SELECT or WITH statement. Text, identifiers in quotes and comments are passed over,
 * so a semicolon in a text is none; one at the very end is dropped, as people paste it. Errors: request_malformed, with line
 * and offset.
 */
export function checkedQuery(text: string): string {
  const query = text.trim().replace(/;\s*$/, '').trimEnd();
  const refuse = (detail: string, at: number): never => {
    const line = query.slice(0, at).split('\n').length;
    throw new EspalierError('request_malformed', `line ${line} of the query: ${detail}`, {
      place: { path: 'query', line, offset: at },
      fix: "A label has one SELECT statement; the host is a member when it gives a row, for instance SELECT 1 FROM apps WHERE bundle_identifier = 'org.mozilla.firefox'.",
    });
  };
  if (query === '') return refuse('it is empty', 0);
  if (query.length > MAX_QUERY)
    return refuse(`it has ${query.length} characters; at most ${MAX_QUERY} are sent`, MAX_QUERY);
  if (!query.isWellFormed() || query.includes('\0')) return refuse('it holds half a character, or NUL', 0);

  const tokens = tokensOf(query, refuse);
  const first = tokens.find((token) => token.kind === 'word' || token.text !== '(');
  if (first === undefined || first.kind !== 'word' || !/^(SELECT|WITH)$/i.test(first.text)) {
    return refuse('it must begin with SELECT or WITH', first?.at ?? 0);
  }
  const open: number[] = [];
  for (const token of tokens) {
    if (token.kind === 'word') {
      if (REFUSED.has(token.text.toUpperCase())) refuse(`${token.text.toUpperCase()} may not be in it`, token.at);
    } else if (token.text === ';') refuse('a semicolon would begin a second statement', token.at);
    else if (token.text === '(') open.push(token.at);
    else if (token.text === ')' && open.pop() === undefined) refuse('this ) closes nothing', token.at);
  }
  const unclosed = open.pop();
  if (unclosed !== undefined) refuse('this ( is never closed', unclosed);
  return query;
}

/** SQLite's lexis (sqlite.org/lang_keywords.html): 'text', "name", `name`, [name], -- and block comments. */
function tokensOf(query: string, refuse: (detail: string, at: number) => never): readonly Token[] {
  const tokens: Token[] = [];
  const end = (closing: string, from: number, what: string): number => {
    const at = query.indexOf(closing, from);
    return at === -1 ? refuse(`this ${what} never ends`, from - 1) : at + closing.length;
  };
  for (let at = 0; at < query.length; ) {
    const rest = query.slice(at, at + 2);
    const char = rest[0] as string;
    if (rest === '--') {
      const newline = query.indexOf('\n', at);
      at = newline === -1 ? query.length : newline;
    } else if (rest === '/*') at = end('*/', at + 2, 'comment');
    else if (char === "'" || char === '"' || char === '`') at = end(char, at + 1, 'text in quotes');
    else if (char === '[') at = end(']', at + 1, 'name in brackets');
    else if (/[A-Za-z_\u0080-\uffff]/.test(char)) {
      const word = /^[\w$\u0080-\uffff]+/.exec(query.slice(at))?.[0] ?? char;
      tokens.push({ kind: 'word', text: word, at });
      at += word.length;
    } else {
      if (';()'.includes(char)) tokens.push({ kind: 'symbol', text: char, at });
      // A number is no word, though 0x1F has letters.
      at += /\d/.test(char) ? (/^\d[\w.]*/.exec(query.slice(at))?.[0].length ?? 1) : 1;
    }
  }
  return tokens;
}

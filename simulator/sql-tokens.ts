/** SQLite's own words, because servers tell "no such table" from other errors by them. */
export class SqlError extends Error {}

export interface Token {
  readonly kind: 'number' | 'string' | 'word' | 'quoted' | 'symbol';
  /** Without its quotes. */
  readonly text: string;
  /** Offsets in the SQL. */
  readonly from: number;
  readonly to: number;
}

/** What a server asks of an agent is a page of SQL at most; more is refused before it costs anything. */
const MAX_TOKENS = 5_000;
const SPACE = /(?:\s+|--[^\n]*|\/\*[\s\S]*?\*\/)*/y;
const TOKEN =
  /(\d+(?:\.\d+)?)|'((?:[^']|'')*)'|([A-Za-z_]\w*)|(?:"((?:[^"]|"")*)"|\[([^\]]*)\]|`([^`]*)`)|(==|!=|<>|<=|>=|\|\||[=<>(),*.+\-/%])/y;

/** Words that end an expression or a name, wherever they stand. */
export const RESERVED: ReadonlySet<string> = new Set(
  `SELECT FROM WHERE AND OR NOT IN LIKE GLOB BETWEEN IS ISNULL NOTNULL LIMIT OFFSET ORDER GROUP BY HAVING JOIN ON USING AS INNER
  CROSS LEFT OUTER NATURAL UNION EXCEPT INTERSECT CASE WHEN THEN ELSE END ASC DESC DISTINCT WITH COLLATE`.split(/\s+/),
);

/** The words of one statement, with a place to stand. */
export class Tokens {
  readonly sql: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(sql: string) {
    this.sql = sql.trim().replace(/(?:;\s*)+$/, '');
    this.#tokens = tokensOf(this.sql);
  }

  get place(): number {
    return this.#at;
  }

  return(place: number): void {
    this.#at = place;
  }

  peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#at + ahead];
  }

  next(): Token {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw this.error();
    this.#at += 1;
    return token;
  }

  isWord(word: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token?.kind === 'word' && token.text.toUpperCase() === word;
  }

  isSymbol(symbol: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token?.kind === 'symbol' && token.text === symbol;
  }

  /** All of the words, in this order, or none. */
  accept(...words: readonly string[]): boolean {
    if (!words.every((word, index) => this.isWord(word, index))) return false;
    this.#at += words.length;
    return true;
  }

  acceptSymbol(symbol: string): boolean {
    if (!this.isSymbol(symbol)) return false;
    this.#at += 1;
    return true;
  }

  word(word: string): void {
    if (!this.accept(word)) throw this.error();
  }

  symbol(symbol: string): void {
    if (!this.acceptSymbol(symbol)) throw this.error();
  }

  /** A name, bare or quoted. */
  identifier(): string {
    const token = this.peek();
    if (token?.kind !== 'word' && token?.kind !== 'quoted') throw this.error();
    return this.next().text;
  }

  end(): void {
    if (this.peek() !== undefined) throw this.error();
  }

  /** The statement's own text from a place to here: what SQLite names a column by. */
  textSince(place: number): string {
    return this.sql.slice(this.#tokens[place]?.from ?? 0, this.#tokens[this.#at - 1]?.to ?? 0);
  }

  error(): SqlError {
    const token = this.peek();
    if (token === undefined) return new SqlError('incomplete input');
    return new SqlError(`near "${this.sql.slice(token.from, token.to)}": syntax error`);
  }
}

function tokensOf(sql: string): Token[] {
  const tokens: Token[] = [];
  let at = afterSpace(sql, 0);
  while (at < sql.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(sql);
    if (match === null) throw new SqlError(`unrecognized token: "${sql.slice(at, at + 20)}"`);
    if (tokens.length >= MAX_TOKENS) throw new SqlError('string or blob too big');
    const to = TOKEN.lastIndex;
    tokens.push({ ...contentOf(match), from: at, to });
    at = afterSpace(sql, to);
  }
  return tokens;
}

function contentOf(match: RegExpExecArray): Pick<Token, 'kind' | 'text'> {
  const [, number, string, word, double, bracket, tick, symbol] = match;
  if (number !== undefined) return { kind: 'number', text: number };
  if (string !== undefined) return { kind: 'string', text: string.replaceAll("''", "'") };
  if (word !== undefined) return { kind: 'word', text: word };
  const quoted = double?.replaceAll('""', '"') ?? bracket ?? tick;
  return quoted === undefined ? { kind: 'symbol', text: symbol ?? '' } : { kind: 'quoted', text: quoted };
}

function afterSpace(sql: string, at: number): number {
  SPACE.lastIndex = at;
  SPACE.exec(sql);
  return Math.max(at, SPACE.lastIndex);
}

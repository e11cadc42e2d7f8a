/** Every value is text, as osquery sends it. */
export type Row = Readonly<Record<string, string>>;

export interface Table {
  readonly columns: readonly string[];
  rows(): readonly Row[];
}

/** SQLite's own words, because servers tell "no such table" from other errors by them. */
export class SqlError extends Error {}

type Condition = (row: Row) => boolean;
type Column = { readonly name: string; readonly value: (row: Row) => string };

/**
 * The part of SQLite that agent queries of this kind use: SELECT columns, `*`, literals or count(*) FROM one table,
 * WHERE comparisons joined by AND (=, ==, !=, <>, LIKE, IN), LIMIT. Anything else is a syntax error, not a guess.
 */
export function runQuery(sql: string, tables: ReadonlyMap<string, Table>): Row[] {
  const tokens = new Tokens(sql);
  tokens.keyword('SELECT');
  const select = readSelect(tokens);
  let table: Table = NO_TABLE;
  if (tokens.accept('FROM')) {
    const name = tokens.identifier();
    const found = tables.get(name.toLowerCase());
    if (found === undefined) throw new SqlError(`no such table: ${name}`);
    table = found;
  }
  const where = tokens.accept('WHERE') ? readConditions(tokens, table) : () => true;
  const limit = tokens.accept('LIMIT') ? Number(tokens.literal()) : Number.POSITIVE_INFINITY;
  tokens.end();
  const rows = table.rows().filter(where);
  if (select === 'count') return [{ 'count(*)': String(rows.length) }].slice(0, limit);
  const columns = select.flatMap((item) => columnsOf(item, table));
  return rows.slice(0, limit).map((row) => Object.fromEntries(columns.map(({ name, value }) => [name, value(row)])));
}

/** SELECT without FROM sees one row without columns. */
const NO_TABLE: Table = { columns: [], rows: () => [{}] };

type Item =
  | { readonly kind: 'all' }
  | { readonly kind: 'literal'; readonly text: string; readonly alias: string | undefined }
  | { readonly kind: 'column'; readonly name: string; readonly alias: string | undefined };

function readSelect(tokens: Tokens): Item[] | 'count' {
  if (tokens.accept('count')) {
    for (const part of ['(', '*', ')']) tokens.symbol(part);
    return 'count';
  }
  const items: Item[] = [];
  do {
    if (tokens.acceptSymbol('*')) items.push({ kind: 'all' });
    else {
      const text = tokens.acceptLiteral();
      const name = text === undefined ? tokens.identifier() : '';
      const alias = tokens.accept('AS') ? tokens.identifier() : undefined;
      items.push(text === undefined ? { kind: 'column', name, alias } : { kind: 'literal', text, alias });
    }
  } while (tokens.acceptSymbol(','));
  return items;
}

function columnsOf(item: Item, table: Table): Column[] {
  switch (item.kind) {
    case 'all':
      return table.columns.map((name) => ({ name, value: (row) => row[name] ?? '' }));
    case 'literal':
      return [{ name: item.alias ?? item.text, value: () => item.text }];
    case 'column': {
      const name = requireColumn(item.name, table);
      return [{ name: item.alias ?? name, value: (row) => row[name] ?? '' }];
    }
  }
}

function requireColumn(name: string, table: Table): string {
  const column = table.columns.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
  if (column === undefined) throw new SqlError(`no such column: ${name}`);
  return column;
}

function readConditions(tokens: Tokens, table: Table): Condition {
  const conditions: Condition[] = [];
  do conditions.push(readCondition(tokens, table));
  while (tokens.accept('AND'));
  return (row) => conditions.every((holds) => holds(row));
}

function readCondition(tokens: Tokens, table: Table): Condition {
  const column = requireColumn(tokens.identifier(), table);
  const value = (row: Row): string => row[column] ?? '';
  if (tokens.accept('IN')) {
    tokens.symbol('(');
    const wanted = [tokens.literal()];
    while (tokens.acceptSymbol(',')) wanted.push(tokens.literal());
    tokens.symbol(')');
    return (row) => wanted.includes(value(row));
  }
  if (tokens.accept('LIKE')) {
    const pattern = likePattern(tokens.literal());
    return (row) => pattern.test(value(row));
  }
  const equal = tokens.acceptSymbol('=') || tokens.acceptSymbol('==');
  if (!equal && !tokens.acceptSymbol('!=') && !tokens.acceptSymbol('<>')) throw tokens.error();
  const wanted = tokens.literal();
  return (row) => (value(row) === wanted) === equal;
}

const likePattern = (like: string): RegExp =>
  new RegExp(
    `^${like
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replace(/%/g, '[^]*')
      .replace(/_/g, '[^]')}$`,
    'i',
  );

const TOKEN = /\s*(?:('(?:[^']|'')*'|\d+)|([A-Za-z_]\w*|"[^"]*")|(==|!=|<>|[=(),*;]))/y;

interface Token {
  readonly kind: 'literal' | 'word' | 'symbol';
  readonly text: string;
}

class Tokens {
  readonly #tokens: Token[] = [];
  #at = 0;

  constructor(sql: string) {
    const text = sql.trim().replace(/;\s*$/, '');
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length) {
      const from = TOKEN.lastIndex;
      const match = TOKEN.exec(text);
      if (match === null) throw new SqlError(`unrecognized token: "${text.slice(from, from + 20).trim()}"`);
      const [, literal, word, symbol] = match;
      if (literal !== undefined) this.#tokens.push({ kind: 'literal', text: literal });
      else if (word !== undefined) this.#tokens.push({ kind: 'word', text: word });
      else this.#tokens.push({ kind: 'symbol', text: symbol ?? '' });
    }
  }

  keyword(word: string): void {
    if (!this.accept(word)) throw this.error();
  }

  accept(word: string): boolean {
    return (
      this.#take((token) => token.kind === 'word' && token.text.toUpperCase() === word.toUpperCase()) !== undefined
    );
  }

  symbol(symbol: string): void {
    if (!this.acceptSymbol(symbol)) throw this.error();
  }

  acceptSymbol(symbol: string): boolean {
    return this.#take((token) => token.kind === 'symbol' && token.text === symbol) !== undefined;
  }

  identifier(): string {
    const token = this.#take(({ kind }) => kind === 'word');
    if (token === undefined) throw this.error();
    return token.text.replace(/^"|"$/g, '');
  }

  literal(): string {
    const text = this.acceptLiteral();
    if (text !== undefined) return text;
    // osquery_registry is asked for `active = true`; SQLite knows true and false as 1 and 0.
    if (this.accept('TRUE')) return '1';
    if (this.accept('FALSE')) return '0';
    throw this.error();
  }

  acceptLiteral(): string | undefined {
    const text = this.#take(({ kind }) => kind === 'literal')?.text;
    return text?.startsWith("'") === true ? text.slice(1, -1).replaceAll("''", "'") : text;
  }

  end(): void {
    if (this.#at < this.#tokens.length) throw this.error();
  }

  error(): SqlError {
    const token = this.#tokens[this.#at];
    return new SqlError(token === undefined ? 'incomplete input' : `near "${token.text}": syntax error`);
  }

  #take(wanted: (token: Token) => boolean): Token | undefined {
    const token = this.#tokens[this.#at];
    if (token === undefined || !wanted(token)) return undefined;
    this.#at += 1;
    return token;
  }
}

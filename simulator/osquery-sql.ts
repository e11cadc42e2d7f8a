import { readExpression } from './sql-expression.ts';
import {
  join,
  nothing,
  type ReadExpression,
  readAlias,
  readFrom,
  readList,
  requireConstraints,
  type Tables,
} from './sql-from.ts';
import {
  type AggregateUse,
  aggregated,
  type Env,
  type Evaluable,
  type Row,
  type Scope,
  type Source,
} from './sql-scope.ts';
import { SqlError, Tokens } from './sql-tokens.ts';
import { asText, type SqlValue, truth } from './sql-values.ts';

export type { Row, Table } from './sql-scope.ts';
export { SqlError } from './sql-tokens.ts';

const MAX_DEPTH = 8;

/**
 * The part of SQLite that admins' label queries and servers' own queries use: SELECT [DISTINCT], expressions, joins, WHERE,
 * GROUP BY, HAVING, ORDER BY, LIMIT, and SELECTs that do not look outside themselves as EXISTS, IN or a value. Anything else
 * is a syntax error, not a guess; what is missing has SQLite's words.
 */
export function runQuery(sql: string, tables: Tables): Row[] {
  const tokens = new Tokens(sql);
  const select = readSelect(tokens, tables, 0);
  tokens.end();
  const names = select.names;
  return select
    .run()
    .map((values) => Object.fromEntries(names.map((name, at) => [name, asText(values[at] ?? null) ?? ''])));
}

interface Select {
  readonly names: readonly string[];
  run(): readonly (readonly SqlValue[])[];
}

interface Output extends Evaluable {
  readonly name: string;
}

function readSelect(tokens: Tokens, tables: Tables, depth: number): Select {
  if (depth > MAX_DEPTH) throw new SqlError(`Expression tree is too large (maximum depth ${MAX_DEPTH})`);
  tokens.word('SELECT');
  const inner = (from: Tokens) => {
    const select = readSelect(from, tables, depth + 1);
    let rows: readonly (readonly SqlValue[])[] | undefined;
    return () => {
      rows ??= select.run();
      return rows;
    };
  };
  const expression = (scope: Scope) => readExpression(tokens, scope, inner);
  const distinct = tokens.accept('DISTINCT');
  const items = tokens.place;
  const { sources, joins, constrained } = skipToFrom(tokens) ? readFrom(tokens, tables, expression) : nothing();
  const behind = tokens.place;

  // Names mean nothing before FROM has been read.
  tokens.return(items);
  const aggregates: AggregateUse[] = [];
  const scope: Scope = { sources, aggregates, constrained };
  const outputs = readOutputs(tokens, scope, expression);
  if (tokens.isWord('FROM')) tokens.return(behind);

  const where = tokens.accept('WHERE') ? expression({ ...scope, aggregates: undefined }) : undefined;
  const groupBy = tokens.accept('GROUP', 'BY') ? readList(tokens, () => expression(scope)) : [];
  const having = tokens.accept('HAVING') ? expression(scope) : undefined;
  const order = tokens.accept('ORDER', 'BY')
    ? readList(tokens, () => readOrder(tokens, outputs, () => expression(scope)))
    : [];
  const limit = tokens.accept('LIMIT') ? expression(scope) : undefined;
  const offset = limit !== undefined && tokens.accept('OFFSET') ? expression(scope) : undefined;
  requireConstraints(sources, constrained);

  return {
    names: outputs.map(({ name }) => name),
    run() {
      const joined = join(sources, joins);
      const kept = where === undefined ? joined : joined.filter((env) => truth(where.evaluate(env)) === true);
      const isGrouped = aggregates.length > 0 || groupBy.length > 0;
      const grouped = isGrouped ? groupsOf(kept, groupBy, aggregates) : kept;
      const chosen = having === undefined ? grouped : grouped.filter((env) => truth(having.evaluate(env)) === true);
      const rows = sorted(chosen, order).map((env) => outputs.map((output) => output.evaluate(env)));
      const unique = distinct ? [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()] : rows;
      const from = Number(offset?.evaluate(NO_ROWS) ?? 0);
      const most = Number(limit?.evaluate(NO_ROWS) ?? -1);
      return unique.slice(from, most < 0 ? undefined : from + most);
    },
  };
}

const NO_ROWS: Env = { rows: [], aggregates: [] };
/** To behind the FROM of this SELECT; false where it has none. */
function skipToFrom(tokens: Tokens): boolean {
  let open = 0;
  const items = tokens.place;
  for (; tokens.peek() !== undefined && open >= 0; tokens.next()) {
    if (tokens.isSymbol('(')) open += 1;
    if (tokens.isSymbol(')')) open -= 1;
    if (open === 0 && tokens.accept('FROM')) return true;
  }
  tokens.return(items);
  return false;
}

function readOutputs(tokens: Tokens, scope: Scope, expression: ReadExpression): Output[] {
  return readList(tokens, () => readOutput(tokens, scope, expression)).flat();
}

function readOutput(tokens: Tokens, scope: Scope, expression: ReadExpression): Output[] {
  const { sources } = scope;
  if (tokens.acceptSymbol('*')) {
    if (sources.length === 0) throw new SqlError('no tables specified');
    return sources.flatMap((_, index) => everyColumn(sources, index));
  }
  if (tokens.isSymbol('.', 1) && tokens.isSymbol('*', 2)) {
    const name = tokens.identifier();
    tokens.symbol('.');
    tokens.symbol('*');
    const index = sources.findIndex((source) => source.name.toLowerCase() === name.toLowerCase());
    if (index < 0) throw new SqlError(`no such table: ${name}`);
    return everyColumn(sources, index);
  }
  const place = tokens.place;
  const value = expression(scope);
  const written = tokens.textSince(place);
  const name = readAlias(tokens) ?? declaredName(written, sources);
  return [{ name, evaluate: (env) => value.evaluate(env) }];
}

const everyColumn = (sources: readonly Source[], index: number): Output[] =>
  (sources[index]?.table.columns ?? []).map((name) => ({ name, evaluate: ({ rows }) => rows[index]?.[name] ?? null }));

/** A bare column has its declared name, whatever case it was asked in; anything else its own text. */
function declaredName(written: string, sources: readonly Source[]): string {
  const bare = written
    .replace(/^\w+\./, '')
    .replace(/^"|"$/g, '')
    .toLowerCase();
  const columns = sources.flatMap(({ table }) => table.columns);
  return columns.find((column) => column.toLowerCase() === bare) ?? written;
}

interface Order extends Evaluable {
  readonly descending: boolean;
}

/** By a column's number or alias, or by any expression. */
function readOrder(tokens: Tokens, outputs: readonly Output[], expression: () => Evaluable): Order {
  const token = tokens.peek();
  const named = outputs.find(({ name }) => token?.kind !== 'number' && name === token?.text);
  const chosen = token?.kind === 'number' ? outputs[Number(token.text) - 1] : named;
  if (chosen !== undefined) tokens.next();
  const value = chosen ?? expression();
  const descending = tokens.accept('DESC');
  if (!descending) tokens.accept('ASC');
  return { descending, evaluate: (env) => value.evaluate(env) };
}

/** Without GROUP BY all rows are one group, also when there are none. */
function groupsOf(rows: readonly Env[], by: readonly Evaluable[], uses: readonly AggregateUse[]): Env[] {
  const groups = new Map<string, Env[]>(by.length === 0 ? [['[]', []]] : []);
  for (const env of rows) {
    const key = JSON.stringify(by.map((expression) => expression.evaluate(env)));
    groups.set(key, [...(groups.get(key) ?? []), env]);
  }
  return [...groups.values()].map((group) => ({
    rows: group[0]?.rows ?? [],
    aggregates: uses.map((use) => aggregated(use, group)),
  }));
}

function sorted(rows: readonly Env[], order: readonly Order[]): readonly Env[] {
  if (order.length === 0) return rows;
  return rows.toSorted((a, b) => {
    for (const key of order) {
      const [x, y] = [key.evaluate(a) ?? '', key.evaluate(b) ?? ''];
      if (x !== y) return (x < y ? -1 : 1) * (key.descending ? -1 : 1);
    }
    return 0;
  });
}

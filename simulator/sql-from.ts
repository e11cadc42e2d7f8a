import { readExpression } from './sql-expression.ts';
import { type Env, type Evaluable, keyOf, type Scope, type Source, type Table } from './sql-scope.ts';
import { RESERVED, SqlError, Tokens } from './sql-tokens.ts';
import { truth } from './sql-values.ts';

export type Tables = ReadonlyMap<string, Table>;
const MAX_JOINED_ROWS = 100_000;

interface Join {
  /** The matching rows of the source are kept, or with `outer` also a row without partner. */
  readonly outer: boolean;
  readonly on: readonly Evaluable[];
}

/** SELECT without FROM sees one row without columns. */
export const nothing = (): From => ({ sources: [], joins: [], constrained: new Set() });

export interface From {
  readonly sources: readonly Source[];
  readonly joins: readonly Join[];
  readonly constrained: Set<string>;
}

export type ReadExpression = (scope: Scope) => Evaluable;

export function readFrom(tokens: Tokens, tables: Tables, expression: ReadExpression): From {
  const sources: Source[] = [readSource(tokens, tables)];
  const joins: Join[] = [{ outer: false, on: [] }];
  const constrained = new Set<string>();
  for (let kind = joinKind(tokens); kind !== undefined; kind = joinKind(tokens)) {
    sources.push(readSource(tokens, tables));
    const scope = { sources: [...sources], aggregates: undefined, constrained };
    joins.push({ outer: kind === 'left', on: readJoinCondition(tokens, scope, expression) });
  }
  return { sources, joins, constrained };
}

function joinKind(tokens: Tokens): 'inner' | 'left' | undefined {
  if (
    tokens.acceptSymbol(',') ||
    tokens.accept('JOIN') ||
    tokens.accept('INNER', 'JOIN') ||
    tokens.accept('CROSS', 'JOIN')
  )
    return 'inner';
  return tokens.accept('LEFT', 'JOIN') || tokens.accept('LEFT', 'OUTER', 'JOIN') ? 'left' : undefined;
}

function readSource(tokens: Tokens, tables: Tables): Source {
  const name = tokens.identifier();
  const table = tables.get(name.toLowerCase());
  if (table === undefined) throw new SqlError(`no such table: ${name}`);
  return { name: readAlias(tokens) ?? name, table };
}

export function readAlias(tokens: Tokens): string | undefined {
  if (tokens.accept('AS')) return tokens.identifier();
  const token = tokens.peek();
  const isName = token?.kind === 'quoted' || (token?.kind === 'word' && !RESERVED.has(token.text.toUpperCase()));
  return isName ? tokens.identifier() : undefined;
}

function readJoinCondition(tokens: Tokens, scope: Scope, expression: ReadExpression): Evaluable[] {
  if (tokens.accept('ON')) return [expression(scope)];
  if (!tokens.accept('USING')) return [];
  tokens.symbol('(');
  const names = readList(tokens, () => tokens.identifier());
  tokens.symbol(')');
  const last = scope.sources.at(-1)?.name ?? '';
  const first = scope.sources[0]?.name ?? '';
  return names.map((name) => expressionOf(`"${first}"."${name}" = "${last}"."${name}"`, scope));
}

const expressionOf = (sql: string, scope: Scope): Evaluable => readExpression(new Tokens(sql), scope, () => () => []);

export function readList<T>(tokens: Tokens, read: () => T): T[] {
  const list = [read()];
  while (tokens.acceptSymbol(',')) list.push(read());
  return list;
}

/** Some tables answer only when they are told whose rows are wanted. */
export function requireConstraints(sources: readonly Source[], constrained: ReadonlySet<string>): void {
  for (const [index, { table }] of sources.entries()) {
    if (table.requires !== undefined && !constrained.has(keyOf(index, table.requires)))
      throw new SqlError(`constraint failed: an equality condition on ${table.requires} is required`);
  }
}

export function join(sources: readonly Source[], joins: readonly Join[]): Env[] {
  let joined: Env[] = [{ rows: [], aggregates: [] }];
  for (const [index, { table }] of sources.entries()) {
    const rows = table.rows();
    const { on, outer } = joins[index] ?? { on: [], outer: false };
    if (joined.length * rows.length > MAX_JOINED_ROWS) throw new SqlError('too many rows');
    joined = joined.flatMap((env) => {
      const partners = rows
        .map((row) => ({ ...env, rows: [...env.rows, row] }))
        .filter((wider) => on.every((condition) => truth(condition.evaluate(wider)) === true));
      return partners.length === 0 && outer ? [{ ...env, rows: [...env.rows, undefined] }] : partners;
    });
  }
  return joined;
}

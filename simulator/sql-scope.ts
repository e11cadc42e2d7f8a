import { type AggregateName, aggregate } from './sql-functions.ts';
import { SqlError } from './sql-tokens.ts';
import type { Affinity, Operand, SqlValue } from './sql-values.ts';

/** Every value is text, as osquery sends it. */
export type Row = Readonly<Record<string, string>>;

export interface Table {
  readonly columns: readonly string[];
  /** The columns osquery declares as INTEGER or BIGINT; empty text in them is NULL. */
  readonly integers?: readonly string[];
  /** A column that must be compared with a literal by `=`, as some extension tables demand. */
  readonly requires?: string;
  rows(): readonly Row[];
}

export interface Source {
  /** The alias, or the table's name. */
  readonly name: string;
  readonly table: Table;
}

/** What an expression is evaluated on: a row per source (none: an outer join found no partner), and the aggregates. */
export interface Env {
  readonly rows: readonly (Row | undefined)[];
  readonly aggregates: readonly SqlValue[];
}

export interface Evaluable {
  evaluate(env: Env): SqlValue;
}

export interface AggregateUse {
  readonly name: AggregateName;
  readonly distinct: boolean;
  /** Undefined: count(*). */
  readonly argument: Evaluable | undefined;
}

/** What the names in one SELECT mean. */
export interface Scope {
  readonly sources: readonly Source[];
  /** Where aggregates may stand, the ones that do. */
  readonly aggregates: AggregateUse[] | undefined;
  /** Columns seen in `column = literal`, in lower case with their source's number. */
  readonly constrained: Set<string>;
}

export interface Column {
  /** As its table declares it. */
  readonly name: string;
  readonly key: string;
  read(env: Env): Operand;
}

/** Undefined where no source has it. Errors: an ambiguous name. */
export function findColumn(scope: Scope, name: string, qualifier: string | undefined): Column | undefined {
  const found = scope.sources.flatMap(({ name: source, table }, index) => {
    if (qualifier !== undefined && source.toLowerCase() !== qualifier.toLowerCase()) return [];
    const column = table.columns.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
    return column === undefined ? [] : [{ index, column, affinity: affinityOf(table, column) }];
  });
  if (found.length > 1) throw new SqlError(`ambiguous column name: ${name}`);
  const [one] = found;
  if (one === undefined) return undefined;
  const { index, column, affinity } = one;
  return {
    name: column,
    key: keyOf(index, column),
    read: ({ rows }) => ({ value: valueFrom(rows[index]?.[column], affinity), affinity }),
  };
}

export const keyOf = (source: number, column: string): string => `${source}.${column.toLowerCase()}`;

const affinityOf = (table: Table, column: string): Affinity => (table.integers?.includes(column) ? 'integer' : 'text');

function valueFrom(text: string | undefined, affinity: Affinity): SqlValue {
  if (text === undefined) return null;
  if (affinity !== 'integer') return text;
  return text === '' ? null : Number(text);
}

export function aggregated({ name, distinct, argument }: AggregateUse, group: readonly Env[]): SqlValue {
  if (argument === undefined) return group.length;
  const values = group.map((env) => argument.evaluate(env));
  return aggregate(name, distinct ? [...new Set(values)] : values);
}

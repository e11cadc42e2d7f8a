/** What a scenario saw: one JSON line each, and a table of all at the end. */

export interface Result {
  readonly scenario: string;
  readonly name: string;
  /** Numbers by name; the unit is the end of the name (Ms, Us, MiB, PerSecond, PerCpuSecond) or a plain count. */
  readonly values: Readonly<Record<string, number | string | undefined>>;
}

export type Report = (result: Result) => void;

export function jsonLine(result: Result): string {
  return JSON.stringify({ scenario: result.scenario, name: result.name, ...result.values });
}

export function table(results: readonly Result[]): string {
  const scenarios = [...new Set(results.map(({ scenario }) => scenario))];
  return scenarios.map((scenario) => tableOf(scenario, results)).join('\n\n');
}

/** Markdown, so that it can be kept as it is printed. */
function tableOf(scenario: string, all: readonly Result[]): string {
  const rows = all.filter((result) => result.scenario === scenario);
  const columns = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))];
  const cells = [
    [scenario, ...columns],
    ...rows.map(({ name, values }) => [name, ...columns.map((column) => shown(values[column]))]),
  ];
  const widths = ['', ...columns].map((_, index) => Math.max(...cells.map((row) => row[index]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0))).join(' | ')} |`;
  const [head = [], ...body] = cells;
  const rule = widths.map((width, index) => (index === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...body.map(line)].join('\n');
}

function shown(value: number | string | undefined): string {
  return value === undefined ? '' : String(value);
}

/** Three figures are all that a shared machine gives. */
export function round(value: number): number {
  return Number(value.toPrecision(3));
}

export function mebibytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : Math.round(bytes / 1024 / 1024);
}

/** Milliseconds, of a sorted list. */
export function quantile(sorted: readonly number[], share: number): number | undefined {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return value === undefined ? undefined : round(value);
}

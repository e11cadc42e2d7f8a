/** Rows as aligned columns with a heading, for a terminal. Control characters of device names must not reach it (I13). */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const last = headings.length - 1;
  const clean = rows.map((row) =>
    row.map((cell, column) => (column === last ? printable(cell) : cut(printable(cell)))),
  );
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...clean.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(headings.map((heading) => heading.toUpperCase())), ...clean.map(line)].join('\n');
}

/** Characters of a column but the last: a name may have 255, and the columns after it must stay on the screen. */
const WIDEST = 60;

function cut(cell: string): string {
  return cell.length <= WIDEST ? cell : `${cell.slice(0, WIDEST - 1).toWellFormed()}…`;
}

export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '�');
}

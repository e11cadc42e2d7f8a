import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { faultsOf, patternOf, readSpec } from '../../scripts/spec.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(new URL('../../docs/SPEC.md', import.meta.url), 'utf8');
const rows = readSpec(page);

describe('docs/SPEC.md', () => {
  test('every mutation on the page belongs to a row', () => {
    expect(rows.length).toBeGreaterThan(0);
    expect(page.match(/^```diff$/gm)).toHaveLength(rows.length);
  });

  test.each(rows)('$id: its test is there by name, its line is there once', (row) => {
    expect(faultsOf(root, row)).toEqual([]);
  });

  test('rows are numbered by room, without a gap', () => {
    const next = new Map<string, number>();
    for (const { id } of rows) {
      const [room = '', number] = id.split('-');
      const expected = (next.get(room) ?? 0) + 1;
      next.set(room, expected);
      expect(`${room}-${number}`).toBe(`${room}-${String(expected).padStart(2, '0')}`);
    }
  });
});

describe('reading the page', () => {
  const row = (id: string) =>
    `### ${id} · It holds.\n\nR1 · \`test/a.test.ts\` › \`a (b) %s\`\n\n\`\`\`diff\n--- a/b.ts\n- if (x)\n+ if (y)\n\`\`\`\n\n`;

  test('an id twice, and a section of another form, are refused by name', () => {
    expect(readSpec(row('DB-01') + row('DB-02'))).toHaveLength(2);
    expect(() => readSpec(row('DB-01') + row('DB-01'))).toThrow('DB-01 stands twice');
    expect(() => readSpec(row('DB-01').replace('- if (x)\n', ''))).toThrow('DB-01');
    expect(() => readSpec(row('DB-01').replace('- if (x)\n', '- if (x)\n- then\n'))).toThrow('DB-01');
  });

  test('a name means the tests that end with it, whatever stands for its parameters', () => {
    const [found] = readSpec(row('DB-01'));
    const pattern = new RegExp(patternOf(found?.testName ?? ''));
    expect(pattern.test('pglite a (b) anything')).toBe(true);
    expect(pattern.test('pglite a b anything')).toBe(false);
    expect(new RegExp(patternOf('$name: $code')).test('one: two')).toBe(true);
    expect(new RegExp(patternOf('one')).test('one and more')).toBe(false);
  });

  test('a line that is there twice, or not at all, is a fault', () => {
    const [first] = rows;
    if (first === undefined) throw new Error('no rows');
    expect(faultsOf(root, { ...first, search: 'const ' })).toHaveLength(1);
    expect(faultsOf(root, { ...first, search: 'no such line' })).toHaveLength(1);
    expect(faultsOf(root, { ...first, testName: 'no such test' })).toHaveLength(1);
    expect(faultsOf(root, { ...first, testFile: 'test/none.test.ts', file: 'none.ts' })).toHaveLength(2);
    expect(faultsOf(root, { ...first, replace: first.search })).toHaveLength(1);
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const filesOf = (folder: string, suffix: string): string[] =>
  readdirSync(new URL(folder, root)).filter((name) => name.endsWith(suffix));
const idsIn = (text: string): string[] => [...new Set(text.match(/MAC-\d\d/g) ?? [])].toSorted();

interface Rule {
  readonly id: string;
  readonly tests: readonly string[];
}

const spec = read('docs/SPEC-mac.md');
const rules: Rule[] = [...spec.matchAll(/^\| (MAC-\d\d) \|.*\| ([a-z, -]+) \|$/gm)].map(([, id = '', tests = '']) => ({
  id,
  tests: tests.trim().split(', '),
}));

/** A title begins with its rule and goes on; an id alone in quotes is an expected value, in a comment it tests nothing. */
const titled = (file: string): string[] =>
  [...read(`test/simulator/${file}.test.ts`).matchAll(/['"`](MAC-\d\d) /g)].map(([, id = '']) => id);

describe('docs/SPEC-mac.md', () => {
  it('lists every rule once', () => {
    const ids = rules.map(({ id }) => id);
    expect(ids).toEqual(idsIn(spec));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('lists every rule the simulator refuses or complains by', () => {
    const used = idsIn(
      filesOf('simulator', '.ts')
        .map((name) => read(`simulator/${name}`))
        .join('\n'),
    );
    const known = rules.map(({ id }) => id);
    expect(used.filter((id) => !known.includes(id))).toEqual([]);
  });

  it.each(rules)('$id has a test in each file it names', ({ id, tests }) => {
    for (const file of tests) expect(titled(file), `test/simulator/${file}.test.ts`).toContain(id);
  });
});

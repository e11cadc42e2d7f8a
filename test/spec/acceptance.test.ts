import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { timesNamed } from '../../scripts/spec.mjs';

const IDEAS = 27;
const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('docs/acceptance.md', root), 'utf8');
const NAMED = /`(test\/[^`]+)` › `([^`]+)`/g;

/** A section per idea, by its number. */
const sections = new Map(
  page.split(/^(?=#{1,6} )/m).flatMap((section) => {
    const number = /^### (\d+) · /.exec(section)?.[1];
    return number === undefined ? [] : [[Number(number), section] as const];
  }),
);
const named = [...new Set([...page.matchAll(NAMED)].map(([, file = '', name = '']) => `${file} › ${name}`))];

describe('docs/acceptance.md', () => {
  test('every idea is there once, in order, with a test or a refusal that says why', () => {
    expect([...sections.keys()]).toEqual(Array.from({ length: IDEAS }, (_, index) => index + 1));
    const bare = [...sections].filter(
      ([, text]) => text.match(NAMED) === null && !/\*\*Refused\*\*: \S.{20}/s.test(text),
    );
    expect(bare.map(([number]) => number)).toEqual([]);
  });

  test.each(named)('%s is there by its name, once', (reference) => {
    const [file = '', name = ''] = reference.split(' › ');
    expect(timesNamed(readFileSync(new URL(file, root), 'utf8'), name)).toBe(1);
  });
});

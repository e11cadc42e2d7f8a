import { describe, expect, it } from 'vitest';
import { DRIFT_WORDS } from '../../reconciler/drift-words.ts';
import { DEVICE_ERRORS, ERROR_KINDS, type ErrorKind } from '../../reconciler/error-catalogue.ts';
import { classify, saysGone, saysNotOurs } from '../../reconciler/errors.ts';
import { REASONS } from '../../reconciler/reasons.ts';

const entries = Object.entries(DEVICE_ERRORS).flatMap(([domain, kinds]) =>
  kinds.flatMap(([code, numbers]) => numbers.map((number) => ({ domain, code, number }))),
);
const said = (domain: string, code: number) => [{ domain, code, description: 'x' }];

const CLASSES: Readonly<Record<ErrorKind['class'], string>> = {
  transient: 'sent again, each time later, then daily',
  needs_user: 'sent again daily',
  permanent: 'not sent again before content or scope changes',
  unclassified: 'sent again a few times, then not before content or scope changes',
};

/** docs/errors.md as the tables of the code say it. */
function page(): string {
  const table = (headings: readonly string[], rows: readonly (readonly string[])[]) =>
    [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  const of = (code: string) => {
    const domains = new Map<string, number[]>();
    for (const one of entries.filter((entry) => entry.code === code))
      domains.set(one.domain, [...(domains.get(one.domain) ?? []), one.number]);
    return [...domains].map(([domain, numbers]) => `${domain} ${numbers.join(', ')}`).join('; ');
  };
  const refused = classify('CommandFormatError', []);
  const kinds: [string, ErrorKind][] = [...Object.entries(ERROR_KINDS), [refused.code, refused]];
  return `# Errors of devices, and what reports say

<!-- Held to the tables of the code by test/reconciler/errors.test.ts; \`npx vitest run test/reconciler/errors.test.ts -u\` writes it anew. -->

## Codes of failed commands

The code is stable; scripts may match on it. Apple's domain and number are read from the whole error chain, a cause before
the top-level error, and are always compared together. What is not in this table has the code \`device_error\` and the
device's own words. A removal that ends with MDMClientError 89 or MCMDMErrorDomain 12075 is done: the profile is gone. One
that ends with MCMDMErrorDomain 12013 is not repeated: the profile is not ours, and shown as drift \`not_ours\`.

${table(
  ['class', 'what follows'],
  Object.entries(CLASSES).map(([name, what]) => [`\`${name}\``, what]),
)}

${table(
  ['code', 'class', 'what happened', 'what to do', 'from'],
  kinds.map(([code, kind]) => [
    `\`${code}\``,
    `\`${kind.class}\``,
    kind.words,
    kind.next,
    code === refused.code ? 'Status CommandFormatError' : of(code),
  ]),
)}

## Codes of what reports show

${table(
  ['code', 'what happened', 'what to do'],
  Object.entries(REASONS).map(([code, { words, next }]) => [`\`${code}\``, words, next]),
)}

## Drift

${table(
  ['kind', 'what it is', 'what to do'],
  Object.entries(DRIFT_WORDS).map(([kind, { words, next }]) => [`\`${kind}\``, words, next]),
)}
`;
}

describe('the catalogue of errors', () => {
  it('docs/errors.md is the catalogue', async () => {
    await expect(page()).toMatchFileSnapshot('../../docs/errors.md');
  });

  it('a domain and number mean one thing', () => {
    const named = entries.map(({ domain, number }) => `${domain} ${number}`);
    expect(new Set(named).size).toBe(named.length);
  });

  it('every code can occur, and its words and next step are sentences', () => {
    expect([...new Set(entries.map(({ code }) => code))].sort()).toEqual(Object.keys(ERROR_KINDS).sort());
    for (const { words, next } of [
      ...Object.values(ERROR_KINDS),
      ...Object.values(REASONS),
      ...Object.values(DRIFT_WORDS),
    ])
      for (const text of [words, next]) expect(text).toMatch(/^[A-Z][^|]*\.$/);
  });

  it.each(entries)('$domain $number is $code', ({ domain, number, code }) => {
    expect(classify('Error', said(domain, number))).toMatchObject({ code, class: ERROR_KINDS[code].class });
  });

  it.each([
    ['MDMClientError', 89, true],
    ['MCMDMErrorDomain', 12075, true],
    ['MCMDMErrorDomain', 89, false],
    ['MDMClientError', 12075, false],
    ['MCInstallationErrorDomain', 12075, false],
  ])('gone is a number and its domain: %s %i', (domain, code, gone) => {
    expect(saysGone('remove', said(domain, code))).toBe(gone);
    expect(saysGone('install', said(domain, code))).toBe(false);
  });

  it('not ours is 12013 of MCMDMErrorDomain, and only for a removal', () => {
    expect(saysNotOurs('remove', said('MCMDMErrorDomain', 12013))).toBe(true);
    expect(saysNotOurs('remove', said('MCInstallationErrorDomain', 12013))).toBe(false);
    expect(saysNotOurs('install', said('MCMDMErrorDomain', 12013))).toBe(false);
  });

  it.each(['__proto__', 'constructor', 'toString'])('a domain called %s is none of the catalogue', (domain) => {
    expect(classify('Error', said(domain, 1000)).code).toBe('device_error');
  });
});

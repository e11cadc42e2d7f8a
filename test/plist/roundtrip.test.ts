import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import * as oracle from 'plist';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { detach, PROFILE_LIMITS, readPlist } from '../../plist/read.ts';
import type { PlistValue } from '../../plist/types.ts';
import { Real } from '../../plist/types.ts';
import { writePlist, writePlistBytes } from '../../plist/write.ts';
import { toolPath } from '../support/tool.ts';
import { canonical, encodable, plistValues, scalarValues } from './support.ts';

const LIMITS = { ...PROFILE_LIMITS, uniqueKeys: new Set<string>() };

test('what is written is read back unchanged', () => {
  fc.assert(
    fc.property(plistValues(), (value) => {
      expect(readPlist(writePlistBytes(value), LIMITS)).toEqual(value);
    }),
    { numRuns: 300 },
  );
});

test('writing what was read gives the same bytes', () => {
  fc.assert(
    fc.property(plistValues(), (value) => {
      const first = writePlist(value);
      expect(writePlist(readPlist(Buffer.from(first), LIMITS))).toBe(first);
    }),
    { numRuns: 100 },
  );
});

test('a detached string equals its source', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => detach(text) === text));
});

// The library cannot say these, or says something else for them (dependencies.md §3).
// It also reads U+0085 and U+2028 as line ends, which is XML 1.1, and U+2029, which is not even that.
const xml11 = /[\u0085\u2028\u2029]/;
const shared = scalarValues.filter(
  (value) => !(value instanceof Real || typeof value === 'bigint' || (typeof value === 'string' && xml11.test(value))),
);
const plainKeys = encodable.filter((key) => key !== '__proto__' && key !== '' && !xml11.test(key));

describe('against the plist package', () => {
  test('it reads what we write', () => {
    fc.assert(
      fc.property(plistValues(plainKeys, shared), (value) => {
        expect(canonical(oracle.parse(writePlist(value)))).toEqual(canonical(value));
      }),
      { numRuns: 150 },
    );
  });

  test('we read what it writes', () => {
    fc.assert(
      fc.property(plistValues(plainKeys, shared), (value) => {
        const built = oracle.build(toPlain(value) as never);
        expect(canonical(readPlist(Buffer.from(built), LIMITS))).toEqual(canonical(value));
      }),
      { numRuns: 150 },
    );
  });

  test('we read the binary lists it writes', () => {
    fc.assert(
      fc.property(plistValues(plainKeys, shared), (value) => {
        const built = oracle.buildBinary(toPlain(value) as never);
        expect(canonical(readPlist(built, LIMITS))).toEqual(canonical(value));
      }),
      { numRuns: 150 },
    );
  });
});

const seed = Date.now() % 2 ** 31;

describe(`against the system’s own tools, seed ${seed}`, () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'plist-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const sample = fc.sample(
    fc.array(
      plistValues(
        plainKeys,
        scalarValues.filter((value) => !(value instanceof Real) || Number.isFinite(value.value)),
      ),
      {
        minLength: 40,
        maxLength: 40,
      },
    ),
    { numRuns: 1, seed },
  )[0] as PlistValue[];
  const xmllint = toolPath('xmllint');
  const plistutil = toolPath('plistutil');

  test.skipIf(xmllint === undefined)('xmllint finds every written list well-formed', () => {
    const files = sample.map((value, index) => {
      const file = join(folder, `${index}.plist`);
      writeFileSync(file, writePlist(value));
      return file;
    });
    execFileSync(xmllint ?? '', ['--noout', '--nonet', ...files]);
  });

  test.skipIf(plistutil === undefined)('plistutil turns it into a binary list that we read as the same values', () => {
    for (const value of [...sample.slice(0, 20), manyObjects(300), manyObjects(9000)]) {
      const [from, to] = [join(folder, 'in.plist'), join(folder, 'out.bplist')];
      writeFileSync(from, writePlist([value]));
      execFileSync(plistutil ?? '', ['-i', from, '-f', 'bin', '-o', to]);
      expect(canonical(readPlist(readFileSync(to), LIMITS))).toEqual(canonical([value]));
    }
  });
});

/** Enough distinct objects for references of two bytes, and for offsets of three. */
function manyObjects(count: number): PlistValue {
  return Array.from({ length: count }, (_, index) => `object number ${index}`);
}

function toPlain(value: PlistValue): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, inner]) => [key, toPlain(inner)]));
  return Array.isArray(value) ? value.map(toPlain) : value;
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EspalierError } from '../../core/errors.ts';
import { checkedQuery } from '../../hosts/label-query.ts';

function refused(query: string): EspalierError {
  try {
    checkedQuery(query);
  } catch (error) {
    if (error instanceof EspalierError) return error;
  }
  throw new Error(`let ${JSON.stringify(query)} pass`);
}

describe('the query of a label', () => {
  it.each([
    ["SELECT 1 FROM os_version WHERE version >= '13.0.0';", "SELECT 1 FROM os_version WHERE version >= '13.0.0'"],
    ['  select 1\n', 'select 1'],
    ['WITH a AS (SELECT 1) SELECT * FROM a', undefined],
    ["SELECT 1 FROM apps WHERE name = 'Drop; Insert; It''s'", undefined],
    ['SELECT "update", `drop`, [delete] FROM t -- attach; pragma', undefined],
    ['SELECT 1 /* ; DELETE ( */ FROM t', undefined],
    ['/* why */ SELECT 1', undefined],
    ['(SELECT 1)', undefined],
    ["SELECT replace(name, 'a', 'b') FROM apps WHERE x = 0x1F AND y = 1e3", undefined],
    ["SELECT 1 FROM plist WHERE path = '/Library/Ä.plist'", undefined],
  ])('%s is one', (query, kept = query) => {
    expect(checkedQuery(query)).toBe(kept);
  });

  it.each([
    ['', 'it is empty', 1],
    [' ; ', 'it is empty', 1],
    ['-- only this', 'must begin with SELECT', 1],
    ['DELETE FROM apps', 'must begin with SELECT', 1],
    ['SELECT 1; SELECT 2', 'second statement', 1],
    ['SELECT 1;\n\nDROP TABLE x;', 'second statement', 1],
    ['WITH a AS (SELECT 1)\nDELETE FROM b', 'DELETE may not', 2],
    ["SELECT 1\nUNION\nattach 'x' as y", 'ATTACH may not', 3],
    ['SELECT 1 FROM (pragma)', 'PRAGMA may not', 1],
    ["SELECT\n'open", 'text in quotes never ends', 2],
    ['SELECT "open', 'text in quotes never ends', 1],
    ['SELECT /* open', 'comment never ends', 1],
    ['SELECT [open', 'name in brackets never ends', 1],
    ['SELECT (1', 'this ( is never closed', 1],
    ['SELECT 1\n)', 'this ) closes nothing', 2],
    ['SELECT 1\0', 'NUL', 1],
    ['SELECT \ud800', 'half a character', 1],
    [`SELECT ${'1'.repeat(9000)}`, 'at most 8192', 1],
    ['SELECTED 1', 'must begin with SELECT', 1],
  ])('%j is not: %s', (query, detail, line) => {
    const { code, message, place, fix } = refused(query);
    expect(code).toBe('request_malformed');
    expect(message).toContain(detail);
    expect(message).toContain(`line ${line} `);
    expect(place).toMatchObject({ path: 'query', line });
    expect(fix).toBeDefined();
  });

  it('any text ends in a query or a refusal that says where', () => {
    const piece = fc.constantFrom(
      "'",
      '"',
      '`',
      '[',
      ']',
      '(',
      ')',
      ';',
      '--',
      '/*',
      '*/',
      '\n',
      'SELECT',
      'DROP',
      '1',
      ' ',
      'ü',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((parts) => `SELECT ${parts.join('')}`),
        ),
        (text) => {
          try {
            expect(text).toContain(checkedQuery(text));
          } catch (error) {
            expect(error).toBeInstanceOf(EspalierError);
            expect((error as EspalierError).place?.line).toBeGreaterThan(0);
          }
        },
      ),
    );
  });
});

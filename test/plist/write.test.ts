import { describe, expect, test } from 'vitest';
import { Secret } from '../../core/secret.ts';
import { Real, type Writable } from '../../plist/types.ts';
import { escapeXml, writePlist, writePlistBytes } from '../../plist/write.ts';

const body = (value: Writable): string => /<plist version="1.0">(.*)<\/plist>\n$/s.exec(writePlist(value))?.[1] ?? '';

test('a whole document', () => {
  expect(writePlistBytes({ A: 1 }).toString()).toBe(
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
      '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n' +
      '<plist version="1.0"><dict><key>A</key><integer>1</integer></dict></plist>\n',
  );
});

test.each<[string, Writable, string]>([
  ['escapes', '<a> & "b"\r\n', '<string>&lt;a&gt; &amp; "b"&#xD;\n</string>'],
  ['emoji', '🌳', '<string>🌳</string>'],
  ['negative zero', -0, '<integer>0</integer>'],
  ['fraction', 1.5, '<real>1.5</real>'],
  ['whole real', new Real(1), '<real>1</real>'],
  ['infinite real', new Real(Number.POSITIVE_INFINITY), '<real>+infinity</real>'],
  ['undefined reals', new Real(Number.NaN), '<real>nan</real>'],
  ['largest', 2n ** 64n - 1n, '<integer>18446744073709551615</integer>'],
  ['date without its fraction', new Date('2024-05-06T07:08:09.999Z'), '<date>2024-05-06T07:08:09Z</date>'],
  ['part of a buffer', Buffer.from('xhellox').subarray(1, 6), '<data>aGVsbG8=</data>'],
  [
    'a Map keeps its order',
    new Map([
      ['2', true],
      ['1', false],
    ]),
    '<dict><key>2</key><true/><key>1</key><false/></dict>',
  ],
  ['undefined is left out', { a: undefined, b: [] }, '<dict><key>b</key><array></array></dict>'],
  ['no prototype', Object.assign(Object.create(null), { a: 'b' }), '<dict><key>a</key><string>b</string></dict>'],
])('%s', (_, value, expected) => {
  expect(body(value)).toBe(expected);
});

const cyclic: Writable[] = [];
cyclic.push(cyclic);

test.each<[string, unknown, string | undefined]>([
  ['NUL', { a: ['b', 'c\0'] }, 'a[1]'],
  ['control character', '\u0001', undefined],
  ['control character in a key', { '\u001b': 1 }, '\u001b'],
  ['lone surrogate', ['\ud800'], '[0]'],
  ['U+FFFE', '\ufffe', undefined],
  ['NaN', { a: Number.NaN }, 'a'],
  ['infinity', Number.POSITIVE_INFINITY, undefined],
  ['2^53', 2 ** 53, undefined],
  ['1e21', 1e21, undefined],
  ['below int64', -(2n ** 63n) - 1n, undefined],
  ['above uint64', 2n ** 64n, undefined],
  ['invalid date', new Date(Number.NaN), undefined],
  ['year 10000', new Date('+010000-01-01T00:00:00Z'), undefined],
  ['null', { a: null }, 'a'],
  ['undefined in an array', [undefined], '[0]'],
  ['a hole', Array.from({ length: 1 }).concat(new Array(1)), '[0]'],
  ['function', () => 1, undefined],
  ['symbol', Symbol('x'), undefined],
  ['a secret', { key: new Secret('x') }, 'key'],
  ['a set', new Set([1]), undefined],
])('refused: %s', (_, value, path) => {
  expect(() => writePlist(value as Writable)).toThrow(
    expect.objectContaining({ code: 'plist_unencodable', place: path === undefined ? undefined : { path } }),
  );
});

describe('bounds', () => {
  test('a long string of characters outside the BMP does not exhaust a regular expression', () => {
    expect(writePlist('🌳'.repeat(4_000_000)).length).toBeGreaterThan(8_000_000);
  });

  test('a value that holds itself is refused', () => {
    expect(() => writePlist(cyclic)).toThrow(expect.objectContaining({ code: 'plist_unencodable' }));
  });
});

test('fragments are escaped the same way', () => {
  expect(escapeXml('a<b>&\r')).toBe('a&lt;b&gt;&amp;&#xD;');
  expect(() => escapeXml('\0')).toThrow(expect.objectContaining({ code: 'plist_unencodable' }));
});

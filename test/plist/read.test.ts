import { describe, expect, test } from 'vitest';
import { CHECKIN_LIMITS, isBinaryPlist, newWork, RESULT_LIMITS, readPlist } from '../../plist/read.ts';
import { skimStrings } from '../../plist/skim.ts';
import { kindOf, type PlistValue, Real } from '../../plist/types.ts';
import { bplist, HEAD, xml } from './support.ts';

const read = (body: string): PlistValue => readPlist(xml(body));

describe('XML', () => {
  test.each<[string, PlistValue]>([
    ['<string>a &amp; b &#x41;&#66; &lt;&gt;&quot;&apos;</string>', `a & b AB <>"'`],
    ['<string>a\r\nb\rc&#xD;</string>', 'a\nb\nc\r'],
    ['<string>x<!-- y --><![CDATA[<&]]><?z?>w</string >', 'x<&w'],
    ['<string/>', ''],
    ['<string>  </string>', '  '],
    ['<string>&#x1F333;🌳</string>', '🌳🌳'],
    ['<string>&amp;lt;</string>', '&lt;'],
    ['<string>\u0001</string>', '\u0001'],
    ['<integer> 42 </integer>', 42],
    ['<integer>-0</integer>', 0],
    ['<integer>+7</integer>', 7],
    ['<integer>0x1F</integer>', 31],
    ['<integer>9007199254740993</integer>', 9007199254740993n],
    ['<integer>-9223372036854775808</integer>', -(2n ** 63n)],
    ['<integer>18446744073709551615</integer>', 2n ** 64n - 1n],
    ['<integer>0xFFFFFFFFFFFFFFFF</integer>', 2n ** 64n - 1n],
    ['<integer>00000000000000000000000000001</integer>', 1],
    ['<real>1</real>', new Real(1)],
    ['<real>-1.5e3</real>', new Real(-1500)],
    ['<real>nan</real>', new Real(Number.NaN)],
    ['<real>-infinity</real>', new Real(Number.NEGATIVE_INFINITY)],
    ['<true/>', true],
    ['<false></false>', false],
    ['<date>2024-02-29T23:59:59Z</date>', new Date('2024-02-29T23:59:59Z')],
    ['<date>0001-01-01T00:00:00Z</date>', new Date('0001-01-01T00:00:00Z')],
    ['<data>\n\taGVs\n\tbG8=\n</data>', Buffer.from('hello')],
    ['<data/>', Buffer.alloc(0)],
    ['<array/>', []],
    ['<dict></dict>', new Map()],
    ['<dict><!-- c --><key>a</key><!-- c --><?p?><array><dict/></array></dict>', new Map([['a', [new Map()]]])],
    ['<dict><key/><true/></dict>', new Map([['', true]])],
    ['<dict><key>a</key><true/><key>a</key><false/></dict>', new Map([['a', false]])],
    ['<dict note="a > b" other=\'c\'></dict >', new Map()],
  ])('%s', (body, value) => {
    expect(read(body)).toEqual(value);
  });

  test('dangerous keys are keys like any other', () => {
    const names = ['__proto__', 'constructor', 'prototype', 'toString'];
    const value = read(`<dict>${names.map((name) => `<key>${name}</key><true/>`).join('')}</dict>`);
    expect(value instanceof Map && [...value.keys()]).toEqual(names);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  test.each([
    ['no declaration, no document type', '<plist><true/></plist>'],
    ['byte-order mark', '\ufeff<plist><true/></plist>'],
    [
      'another public id',
      '<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://x/y[z]>.dtd"><plist><true/></plist>',
    ],
    ['system id', "<!DOCTYPE plist SYSTEM 'file:///etc/passwd'>\r\n<plist><true/></plist>"],
    ['comments all around', '<!-- a --><?b?><plist><!-- --><true/><!-- --></plist>\n<!-- c -->\n'],
    ['encoding in lower case', '<?xml version="1.0" encoding="utf-8"?><plist><true/></plist>'],
  ])('accepted: %s', (_, document) => {
    expect(readPlist(Buffer.from(document))).toBe(true);
  });

  test('the place of a fault: byte offset, line and path', () => {
    const document = Buffer.from(
      `${HEAD}\n<dict><key>é</key><array><true/><integer>x</integer></array></dict></plist>`,
    );
    expect(() => readPlist(document)).toThrow(
      expect.objectContaining({
        code: 'plist_malformed',
        place: { offset: document.indexOf('<integer>'), line: 3, column: 33, path: 'é[1]' },
      }),
    );
  });

  test('the key of a container is not confused with the keys inside it', () => {
    expect(() => read('<dict><key>A</key><dict><key>B</key><true/></dict><key>C</key><date/></dict>')).toThrow(
      expect.objectContaining({ place: expect.objectContaining({ path: 'C' }) }),
    );
  });

  test('work is counted', () => {
    const work = newWork();
    const bytes = xml('<dict><key>a</key><array><true/><array/></array></dict>');
    readPlist(bytes, { ...RESULT_LIMITS, work });
    expect(work).toEqual({ nodes: 4, depth: 3, bytes: bytes.length });
  });

  test('limits are inclusive', () => {
    const bytes = xml('<array><array/></array>');
    const limits = { maxBytes: bytes.length, maxNodes: 2, maxDepth: 2 };
    expect(readPlist(bytes, limits)).toEqual([[]]);
    expect(() => readPlist(bytes, { ...limits, maxNodes: 1 })).toThrow(
      expect.objectContaining({ code: 'plist_too_many_nodes' }),
    );
    expect(() => readPlist(bytes, { ...limits, maxDepth: 1 })).toThrow(
      expect.objectContaining({ code: 'plist_too_deep' }),
    );
    expect(() => readPlist(bytes, { ...limits, maxBytes: bytes.length - 1 })).toThrow(
      expect.objectContaining({ code: 'plist_too_large' }),
    );
  });

  test('message keys may repeat below the top, and where the caller says so', () => {
    const twice = '<key>UDID</key><true/><key>UDID</key><false/>';
    expect(read(`<dict><key>a</key><dict>${twice}</dict></dict>`)).toEqual(
      new Map([['a', new Map([['UDID', false]])]]),
    );
    expect(readPlist(xml(`<dict>${twice}</dict>`), { ...CHECKIN_LIMITS, uniqueKeys: new Set() })).toEqual(
      new Map([['UDID', false]]),
    );
  });

  test('long scalars are read without exhausting a regular expression', () => {
    const size = 4_000_000;
    const limits = { ...RESULT_LIMITS, maxNodes: 10 };
    expect(readPlist(xml(`<data>${'A'.repeat(size)}</data>`), limits)).toHaveLength((size / 4) * 3);
    expect(readPlist(xml(`<string>${'&amp;'.repeat(size / 5)}</string>`), limits)).toHaveLength(size / 5);
    for (const body of [
      `<real>${'1'.repeat(size)}x</real>`,
      `<integer>${'0'.repeat(size)}x</integer>`,
      `<integer>${' '.repeat(size)}x</integer>`,
      `<data>${'A'.repeat(size)}!</data>`,
    ]) {
      expect(() => readPlist(xml(body), limits)).toThrow(expect.objectContaining({ code: 'plist_malformed' }));
    }
  });
});

describe('binary', () => {
  test.each<[string, number[], PlistValue]>([
    ['false', [0x08], false],
    ['one byte, unsigned', [0x10, 0xff], 255],
    ['four bytes, unsigned', [0x12, 0xff, 0xff, 0xff, 0xff], 4294967295],
    ['eight bytes, signed', [0x13, 255, 255, 255, 255, 255, 255, 255, 254], -2],
    ['sixteen bytes', [0x14, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255], 2n ** 64n - 1n],
    ['sixteen bytes, negative', [0x14, ...Array.from({ length: 16 }, () => 255)], -1],
    ['float', [0x22, 0x3f, 0x80, 0, 0], new Real(1)],
    ['double', [0x23, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0], new Real(-1.5)],
    ['date', [0x33, 0, 0, 0, 0, 0, 0, 0, 0], new Date('2001-01-01T00:00:00Z')],
    ['data', [0x42, 1, 2], Buffer.from([1, 2])],
    ['ASCII', [0x52, 0x68, 0x69], 'hi'],
    ['long length', [0x5f, 0x11, 0, 2, 0x68, 0x69], 'hi'],
    ['UTF-16', [0x62, 0xd8, 0x3c, 0xdf, 0x33], '🌳'],
  ])('%s', (_, object, value) => {
    expect(readPlist(bplist({ objects: [object] }))).toEqual(value);
  });

  test.each([1, 2, 3, 4, 8])('offsets and references of %i bytes', (size) => {
    const ref = (object: number): number[] => [...Array.from({ length: size - 1 }, () => 0), object];
    const objects = [
      [0xd1, ...ref(1), ...ref(2)],
      [0x51, 0x61],
      [0xa2, ...ref(1), ...ref(1)],
    ];
    expect(readPlist(bplist({ objects, offsetSize: size, refSize: size }))).toEqual(new Map([['a', ['a', 'a']]]));
  });

  test('only where it is allowed', () => {
    const bytes = bplist({ objects: [[0x09]] });
    expect(isBinaryPlist(bytes)).toBe(true);
    expect(readPlist(bytes)).toBe(true);
    expect(() => readPlist(bytes, { ...RESULT_LIMITS, binary: false })).toThrow(
      expect.objectContaining({ code: 'plist_binary_refused' }),
    );
  });

  test('a shared string is decoded once and counted twice', () => {
    const work = newWork();
    readPlist(
      bplist({
        objects: [
          [0xa2, 1, 1],
          [0x54, 0x61, 0x62, 0x63, 0x64],
        ],
      }),
      { ...RESULT_LIMITS, work },
    );
    expect(work).toEqual({ nodes: 3, depth: 1, bytes: 4 });
  });
});

test('every value names its kind', () => {
  const values = ['', 1, 1n, true, new Real(1), new Date(0), Buffer.alloc(1), [], new Map<string, PlistValue>()];
  expect(values.map(kindOf)).toEqual([
    'string',
    'integer',
    'integer',
    'boolean',
    'real',
    'date',
    'data',
    'array',
    'dict',
  ]);
});

describe('skimming a refused result', () => {
  const names = new Set(['CommandUUID', 'Status', 'UDID']);
  const skim = (body: string): Record<string, string> => Object.fromEntries(skimStrings(Buffer.from(body), names));

  test('finds the identifiers around broken, deep and cut-off contents', () => {
    const body = `${HEAD}<dict><key>CommandUUID</key><string>c</string><key>L</key>${'<array>'.repeat(50)}<key>UDID</key><string>no</string>`;
    expect(skim(body)).toEqual({ CommandUUID: 'c' });
    const deep = '</array>'.repeat(50);
    expect(skim(`${body}${deep}<key>Status</key><string>Error</string><key>UDID</key><string>u`)).toEqual({
      CommandUUID: 'c',
      Status: 'Error',
    });
  });

  test.each([
    ['a repeated name', '<key>UDID</key><string>a</string><key>UDID</key><string>b</string>'],
    ['a comment', '<!-- <dict> --><key>UDID</key><string>a</string>'],
    ['CDATA', '<key>N</key><string><![CDATA[</string><key>UDID</key><string>a</string>]]></string>'],
    ['attributes', '<dict x=""><key>UDID</key><string>a</string></dict>'],
    ['an entity in the value', '<key>UDID</key><string>a&amp;</string>'],
    ['another type', '<key>UDID</key><integer>1</integer><dict/><string>a</string>'],
  ])('finds nothing behind %s', (_, body) => {
    expect(skim(`${HEAD}<dict>${body}</dict></plist>`)).toEqual({});
  });

  test('finds nothing in a binary list', () => {
    expect(skimStrings(bplist({ objects: [[0x09]] }), names).size).toBe(0);
  });
});

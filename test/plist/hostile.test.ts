import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../core/errors.ts';
import { CHECKIN_LIMITS, newWork, RESULT_LIMITS } from '../../plist/read.ts';
import { bplist, doublingBomb, HEAD, refusal, xml } from './support.ts';

const raw = (text: string): Buffer => Buffer.from(text);
const bytes = (...values: number[]): number[] => values;

const XML: [string, ErrorCode, Buffer][] = [
  ['empty', 'plist_malformed', raw('')],
  ['byte-order mark only', 'plist_malformed', raw('\ufeff')],
  ['spaces only', 'plist_malformed', raw(' \n')],
  ['text', 'plist_malformed', raw('hello')],
  ['OpenStep', 'plist_malformed', raw('{ UDID = "x"; }')],
  ['no plist element', 'plist_malformed', raw('<dict/>')],
  ['an element that begins like plist', 'plist_malformed', raw('<plists><true/></plists>')],
  ['empty plist', 'plist_malformed', raw('<plist></plist>')],
  ['self-closed plist', 'plist_malformed', raw('<plist/>')],
  ['two values', 'plist_malformed', xml('<true/><false/>')],
  ['two documents', 'plist_malformed', Buffer.concat([xml('<true/>'), xml('<true/>')])],
  ['trailing text', 'plist_malformed', Buffer.concat([xml('<true/>'), raw('x')])],
  ['trailing NUL', 'plist_malformed', Buffer.concat([xml('<true/>'), raw('\0')])],
  ['cut in a tag', 'plist_malformed', raw(`${HEAD}<dic`)],
  ['cut in a container', 'plist_malformed', raw(`${HEAD}<dict><key>a</key><array>`)],
  ['cut in a string', 'plist_malformed', raw(`${HEAD}<string>abc`)],
  ['cut in a comment', 'plist_malformed', raw(`${HEAD}<!-- `)],
  ['cut in CDATA', 'plist_malformed', raw(`${HEAD}<string><![CDATA[ ]]`)],
  ['cut before </plist>', 'plist_malformed', raw(`${HEAD}<true/>`)],
  ['cut in an attribute', 'plist_malformed', raw('<plist version="1.0>')],
  ['mismatched container', 'plist_malformed', xml('<dict></array>')],
  ['mismatched scalar', 'plist_malformed', xml('<string>a</data>')],
  ['container left open', 'plist_malformed', xml('<array><true/>')],
  ['container closed twice', 'plist_malformed', xml('<array></array></array>')],
  ['key without a value', 'plist_malformed', xml('<dict><key>a</key></dict>')],
  ['two keys', 'plist_malformed', xml('<dict><key>a</key><key>b</key><true/></dict>')],
  ['value without a key', 'plist_malformed', xml('<dict><true/></dict>')],
  ['key in an array', 'plist_malformed', xml('<array><key>a</key></array>')],
  ['key at the top', 'plist_malformed', xml('<key>a</key>')],
  ['element in a key', 'plist_malformed', xml('<dict><key>a<b/></key><true/></dict>')],
  ['unknown element', 'plist_malformed', xml('<null/>')],
  ['upper case', 'plist_malformed', xml('<TRUE/>')],
  ['plist in plist', 'plist_malformed', xml('<plist><true/></plist>')],
  ['text in a dict', 'plist_malformed', xml('<dict>a</dict>')],
  ['CDATA between elements', 'plist_malformed', xml('<array><![CDATA[ ]]></array>')],
  ['slash inside a tag', 'plist_malformed', xml('<true / >')],
  ['content in true', 'plist_malformed', xml('<true>1</true>')],
  ['NUL', 'plist_malformed', xml('<string>a\0b</string>')],
  ['NUL by reference', 'plist_malformed', xml('<string>&#0;</string>')],
  ['surrogate by reference', 'plist_malformed', xml('<string>&#xD800;</string>')],
  ['reference past Unicode', 'plist_malformed', xml('<string>&#x110000;</string>')],
  ['endless reference', 'plist_malformed', xml(`<string>&#${'9'.repeat(1000)};</string>`)],
  ['bare ampersand', 'plist_malformed', xml('<string>a & b</string>')],
  ['ampersand at the end', 'plist_malformed', xml('<string>a &</string>')],
  ['undeclared entity', 'plist_entity_refused', xml('<string>&xxe;</string>')],
  ['HTML entity', 'plist_entity_refused', xml('<string>&nbsp;</string>')],
  ['empty internal subset', 'plist_entity_refused', raw('<!DOCTYPE plist []><plist><true/></plist>')],
  ['document type without an end', 'plist_malformed', raw('<!DOCTYPE plist')],
  ['document type with an open literal', 'plist_malformed', raw('<!DOCTYPE plist SYSTEM "')],
  ['two document types', 'plist_malformed', raw('<!DOCTYPE plist><!DOCTYPE plist><plist><true/></plist>')],
  ['entity outside a document type', 'plist_malformed', raw('<!ENTITY a "b"><plist><true/></plist>')],
  [
    'invalid UTF-8',
    'plist_malformed',
    Buffer.concat([raw(`${HEAD}<string>`), Buffer.from([0xff]), raw('</string></plist>')]),
  ],
  [
    'overlong UTF-8',
    'plist_malformed',
    Buffer.concat([raw(`${HEAD}<string>`), Buffer.from([0xc0, 0xbc]), raw('</string></plist>')]),
  ],
  [
    'surrogate in UTF-8',
    'plist_malformed',
    Buffer.concat([raw(`${HEAD}<string>`), Buffer.from([0xed, 0xa0, 0x80]), raw('</string></plist>')]),
  ],
  ['UTF-16 without a mark', 'plist_malformed', Buffer.from('<plist><true/></plist>', 'utf16le')],
  ['UTF-16 by declaration', 'plist_malformed', raw('<?xml version="1.0" encoding="UTF-16"?><plist><true/></plist>')],
  [
    'Latin-1 by declaration',
    'plist_malformed',
    raw("<?xml version='1.0' encoding='ISO-8859-1'?><plist><true/></plist>"),
  ],
  ...[
    '',
    '12abc',
    '1.5',
    '0x',
    '0x1FFFFFFFFFFFFFFFF',
    '1e3',
    '--1',
    '18446744073709551616',
    '-9223372036854775809',
    '１',
  ].map((text): [string, ErrorCode, Buffer] => [
    `integer ${text}`,
    'plist_malformed',
    xml(`<integer>${text}</integer>`),
  ]),
  ...['', 'x', '1.2.3', '0x1p3', '1e400', '1e', '.'].map((text): [string, ErrorCode, Buffer] => [
    `real ${text}`,
    'plist_malformed',
    xml(`<real>${text}</real>`),
  ]),
  ...[
    '',
    'now',
    '2024-02-30T00:00:00Z',
    '2024-01-01T24:00:00Z',
    '2024-01-01T00:00:00',
    '2024-01-01T00:00:00.5Z',
    '2024-01-01',
  ].map((text): [string, ErrorCode, Buffer] => [`date ${text}`, 'plist_malformed', xml(`<date>${text}</date>`)]),
  ...['A', 'AAA', 'AA=A', 'AAAA====', 'AA-_', '====', 'AA!=', 'QQ==QQ=='].map((text): [string, ErrorCode, Buffer] => [
    `data ${text}`,
    'plist_malformed',
    xml(`<data>${text}</data>`),
  ]),
  ...['UDID', 'EnrollmentID', 'MessageType', 'Status', 'CommandUUID'].map((key): [string, ErrorCode, Buffer] => [
    `two of ${key}`,
    'plist_duplicate_key',
    xml(`<dict><key>${key}</key><string>a</string><key>${key}</key><string>b</string></dict>`),
  ]),
  [
    'two of UDID, one in disguise',
    'plist_duplicate_key',
    xml('<dict><key>UDID</key><true/><key>U<!-- -->&#68;ID</key><true/></dict>'),
  ],
  ['10^6 nested arrays', 'plist_too_deep', xml('<array>'.repeat(1_000_000))],
];

const key = (name: string): number[] => [0x50 + name.length, ...Buffer.from(name)];

const BINARY: [string, ErrorCode, Buffer][] = [
  ['magic only', 'plist_malformed', raw('bplist00')],
  ['no objects', 'plist_malformed', bplist({ objects: [] })],
  ['self reference', 'plist_malformed', bplist({ objects: [[0xa1, 0]] })],
  ['reference in a circle', 'plist_malformed', bplist({ objects: [[0xa1, 1], [0xd1, 2, 0], key('a')] })],
  ['reference past the table', 'plist_malformed', bplist({ objects: [[0xa1, 9]] })],
  ['top past the table', 'plist_malformed', bplist({ objects: [[0x09]], top: 1 })],
  ['2^63 objects', 'plist_malformed', bplist({ objects: [[0x09]], trailer: { objects: 2n ** 63n } })],
  ['more objects than bytes', 'plist_malformed', bplist({ objects: [[0x09]], trailer: { objects: 2n } })],
  ['table past the end', 'plist_malformed', bplist({ objects: [[0x09]], trailer: { tableAt: 2n ** 64n - 1n } })],
  ['table over the header', 'plist_malformed', bplist({ objects: [[0x09]], trailer: { tableAt: 0n } })],
  ['offset past the table', 'plist_malformed', bplist({ objects: [[0x09]], offsets: [9] })],
  ['offset into the header', 'plist_malformed', bplist({ objects: [[0x09]], offsets: [0] })],
  ['offset of 2^32-1', 'plist_malformed', bplist({ objects: [[0x09]], offsets: [0xffffffff] })],
  [
    'zero-byte offsets',
    'plist_malformed',
    bplist({ objects: [[0x09]], offsetSize: 0, offsets: [], trailer: { objects: 1n } }),
  ],
  ['nine-byte references', 'plist_malformed', bplist({ objects: [[0x09]], refSize: 9 })],
  ['2^63 items', 'plist_malformed', bplist({ objects: [bytes(0xaf, 0x13, 0x7f, 255, 255, 255, 255, 255, 255, 255)] })],
  ['2^32 characters', 'plist_malformed', bplist({ objects: [bytes(0x5f, 0x12, 255, 255, 255, 255)] })],
  ['2^31 UTF-16 units', 'plist_malformed', bplist({ objects: [bytes(0x6f, 0x12, 0x7f, 255, 255, 255)] })],
  ['data cut off', 'plist_malformed', bplist({ objects: [bytes(0x44, 1, 2)] })],
  ['length that is not an integer', 'plist_malformed', bplist({ objects: [bytes(0x5f, 0x23, 0, 0)] })],
  ['length cut off', 'plist_malformed', bplist({ objects: [bytes(0x5f, 0x13, 0)] })],
  ['length missing', 'plist_malformed', bplist({ objects: [[0x5f]] })],
  ['integer cut off', 'plist_malformed', bplist({ objects: [bytes(0x13, 0)] })],
  ['integer of 32 bytes', 'plist_malformed', bplist({ objects: [[0x15, ...Array.from({ length: 32 }, () => 0)]] })],
  ['integer past uint64', 'plist_malformed', bplist({ objects: [[0x14, 1, ...Array.from({ length: 15 }, () => 0)]] })],
  ['real of 2 bytes', 'plist_malformed', bplist({ objects: [bytes(0x21, 0, 0)] })],
  ['date of not-a-number', 'plist_malformed', bplist({ objects: [bytes(0x33, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0)] })],
  ['date in the year 10^300', 'plist_malformed', bplist({ objects: [bytes(0x33, 0x7f, 0x01, 0, 0, 0, 0, 0, 0)] })],
  ['null', 'plist_malformed', bplist({ objects: [[0x00]] })],
  ['UID', 'plist_malformed', bplist({ objects: [bytes(0x80, 1)] })],
  ['set', 'plist_malformed', bplist({ objects: [[0xc0]] })],
  ['key that is an integer', 'plist_malformed', bplist({ objects: [[0xd1, 1, 1], bytes(0x10, 1)] })],
  ['key that is a dict', 'plist_malformed', bplist({ objects: [[0xd1, 0, 0]] })],
  ['ASCII with the eighth bit', 'plist_malformed', bplist({ objects: [bytes(0x51, 0xe9)] })],
  ['lone surrogate', 'plist_malformed', bplist({ objects: [bytes(0x61, 0xd8, 0)] })],
  ['NUL in a string', 'plist_malformed', bplist({ objects: [bytes(0x51, 0)] })],
  ['two of UDID', 'plist_duplicate_key', bplist({ objects: [[0xd2, 1, 2, 3, 3], key('UDID'), key('UDID'), [0x09]] })],
  ['one UDID key twice', 'plist_duplicate_key', bplist({ objects: [[0xd2, 1, 1, 2, 2], key('UDID'), [0x09]] })],
  ['30 doublings', 'plist_too_many_nodes', doublingBomb(30)],
  [
    '200 levels',
    'plist_too_deep',
    bplist({ objects: [...Array.from({ length: 200 }, (_, level) => [0xa1, level + 1]), [0x09]] }),
  ],
];

describe.each([...XML, ...BINARY])('%s', (_, code, input) => {
  test(`is refused: ${code}`, () => {
    const { error, work } = refusal(input);
    expect(error.code).toBe(code);
    expect(work.nodes).toBeLessThanOrEqual(RESULT_LIMITS.maxNodes + 1);
    expect(work.bytes).toBeLessThanOrEqual(input.length);
    expect(work.depth).toBeLessThanOrEqual(RESULT_LIMITS.maxDepth);
  });
});

const corpus = fileURLToPath(new URL('../corpora/plist/', import.meta.url));
test.each(readdirSync(corpus))('corpus: %s', (name) => {
  expect(refusal(readFileSync(corpus + name)).error.code).toBe(name.split('.')[0]);
});

describe('bounded work', () => {
  test('a nest bomb stops at the first level too many', () => {
    const { error, work } = refusal(xml('<array>'.repeat(1_000_000)));
    expect(error.place?.offset).toBe(HEAD.length + RESULT_LIMITS.maxDepth * '<array>'.length);
    expect(work.nodes).toBe(RESULT_LIMITS.maxDepth + 1);
  });

  test('a flat bomb stops at the first value too many', () => {
    const { error, work } = refusal(xml(`<array>${'<true/>'.repeat(20_000)}</array>`), CHECKIN_LIMITS);
    expect(error.code).toBe('plist_too_many_nodes');
    expect(work.nodes).toBe(CHECKIN_LIMITS.maxNodes + 1);
    expect(work.bytes).toBeLessThan(HEAD.length + 7 * (CHECKIN_LIMITS.maxNodes + 1));
  });

  test('an internal subset is refused before its first declaration is read', () => {
    const { work } = refusal(readFileSync(`${corpus}plist_entity_refused.billion-laughs.plist`));
    expect(work).toEqual({ nodes: 0, depth: 0, bytes: '<?xml version="1.0"?>\n'.length });
  });

  test('a doubling bomb costs its budget, whatever its height', () => {
    for (const height of [20, 30, 31]) {
      const { work } = refusal(doublingBomb(height), CHECKIN_LIMITS);
      expect(work.nodes).toBeLessThanOrEqual(CHECKIN_LIMITS.maxNodes + 1);
    }
  });

  test('a count above the budget is refused before its items are touched', () => {
    const items = Array.from({ length: 300 }, () => 1);
    const { error, work } = refusal(bplist({ objects: [[0xaf, 0x11, 1, 44, ...items], [0x09]] }), {
      ...CHECKIN_LIMITS,
      maxNodes: 300,
    });
    expect(error.code).toBe('plist_too_many_nodes');
    expect(work.nodes).toBe(1);
  });

  test('many objects laid over one string are decoded no further than the file is long', () => {
    const long = bytes(0x5f, 0x11, 0x40, 0, ...Array.from({ length: 0x4000 }, () => 0x61));
    const many = 1000;
    const refs = Array.from({ length: many }, (_, index) => [(index + 1) >> 8, (index + 1) & 255]).flat();
    const top = [0xaf, 0x11, many >> 8, many & 255, ...refs];
    const offsets = [8, ...Array.from({ length: many }, () => 8 + top.length)];
    const input = bplist({ objects: [top, long], offsets, refSize: 2 });
    const { error, work } = refusal(input);
    expect(error.code).toBe('plist_malformed');
    expect(work.bytes).toBeLessThan(input.length + 0x4001);
    expect(work.nodes).toBeLessThan(10);
  });

  test('size is refused before anything is looked at', () => {
    const { error, work } = refusal(Buffer.alloc(CHECKIN_LIMITS.maxBytes + 1), CHECKIN_LIMITS);
    expect(error.code).toBe('plist_too_large');
    expect(work).toEqual(newWork());
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { locate, type PlistPath } from '../../plist/locate.ts';
import { RESULT_LIMITS } from '../../plist/read.ts';
import { readXmlPlist } from '../../plist/read-xml.ts';
import { escapeXml } from '../../plist/write.ts';

type Tree = string | number | boolean | Tree[] | { readonly [key: string]: Tree };

interface Printed {
  readonly lines: string[];
  /** Path → where it was printed. */
  readonly places: { readonly path: PlistPath; readonly line: number; readonly column: number }[];
}

/** An XML list with one tag per line, at depths that vary the column, and the place of everything in it. */
function print(tree: Tree, noise: readonly string[]): Printed {
  const printed: Printed = {
    lines: ['<?xml version="1.0"?>', '<!DOCTYPE plist>', '<plist version="1.0">'],
    places: [],
  };
  let turn = 0;
  const put = (indent: number, text: string): void => {
    const extra = noise[turn % Math.max(1, noise.length)];
    turn += 1;
    if (extra !== undefined && extra !== '') printed.lines.push(...extra.split('\n'));
    printed.lines.push(' '.repeat(indent) + text);
  };
  const mark = (path: PlistPath, indent: number): void => {
    printed.places.push({ path, line: printed.lines.length, column: indent + 1 });
  };
  const value = (node: Tree, path: PlistPath, indent: number, own: boolean): void => {
    const begin = (text: string): void => {
      put(indent, text);
      if (own) mark(path, indent);
    };
    if (typeof node === 'string') begin(`<string>${escapeXml(node)}</string>`);
    else if (typeof node === 'number') begin(`<integer>${node}</integer>`);
    else if (typeof node === 'boolean') begin(node ? '<true/>' : '<false></false>');
    else if (Array.isArray(node)) {
      begin('<array>');
      for (const [index, item] of node.entries()) value(item, [...path, index], indent + 1, true);
      put(indent, '</array>');
    } else {
      begin('<dict>');
      for (const [key, item] of Object.entries(node)) {
        put(indent + 2, `<key>${escapeXml(key)}</key>`);
        mark([...path, key], indent + 2);
        value(item, [...path, key], indent + 2, false);
      }
      put(indent, '</dict>');
    }
  };
  value(tree, [], 0, true);
  printed.lines.push('</plist>');
  return printed;
}

const text = fc.string({ unit: fc.constantFrom('a', 'Z', '<', '&', '\n', 'ü', '😀', '.', '0'), maxLength: 6 });
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.integer(),
    fc.boolean(),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.dictionary(text, tie('tree'), { maxKeys: 4 }),
  ),
}));
const noise = fc.array(fc.constantFrom('', '', '<!-- <key>x</key> -->', '<!--\n</dict>\n-->', '<?note?>'), {
  maxLength: 7,
});

const bytesOf = (printed: Printed, end: string): Buffer => Buffer.from(printed.lines.join(end));

describe('locate', () => {
  it('finds the line and column of every key and element of any list', () => {
    fc.assert(
      fc.property(tree, noise, fc.constantFrom('\n', '\r\n'), (root, between, end) => {
        // A value that spans lines moves what follows by as many.
        const printed = print(root, between);
        const bytes = bytesOf(printed, end);
        readXmlPlist(bytes, RESULT_LIMITS);
        const text = bytes.toString('utf8').split('\n');
        let shift = 0;
        const shifts = printed.lines.map((line) => {
          const here = shift;
          shift += line.split('\n').length - 1;
          return here;
        });
        const found = locate(
          bytes,
          printed.places.map(({ path }) => path),
        );
        expect(found).toEqual(
          printed.places.map(({ line, column }) => ({ line: line + (shifts[line - 1] ?? 0), column })),
        );
        for (const { line, column } of found ?? []) expect(text[line - 1]?.[column - 1]).toBe('<');
      }),
    );
  });

  const lines = (...all: string[]) => Buffer.from(['<plist>', ...all, '</plist>'].join('\n'));

  it('answers a path that is not there with its deepest part that is', () => {
    const bytes = lines('<dict>', '<key>A</key>', '<array>', '<dict><key>B</key><true/></dict>', '</array>', '</dict>');
    const paths: PlistPath[] = [['Z'], ['A', 7], ['A', 0, 'Q', 'R'], ['A', 0, 'B', 'C'], ['A', 0, 'B']];
    expect(locate(bytes, paths)).toEqual([
      { line: 2, column: 1 },
      { line: 3, column: 1 },
      { line: 5, column: 1 },
      { line: 5, column: 7 },
      { line: 5, column: 7 },
    ]);
  });

  it('a key that stands twice is where it stands last, and so is all under it', () => {
    const bytes = lines('<dict>', '<key>A</key><dict><key>B</key><true/></dict>', '<key>A</key>', '<dict/>', '</dict>');
    expect(locate(bytes, [['A'], ['A', 'B']])).toEqual([
      { line: 4, column: 1 },
      { line: 4, column: 1 },
    ]);
  });

  it('keys with dots, empty ones and those that look like indices are keys', () => {
    const bytes = lines('<dict>', '<key>a.b</key><true/>', '<key/><true/>', '<key>0</key><true/>', '</dict>');
    expect(locate(bytes, [['a.b'], [''], ['0'], [0]])?.map(({ line }) => line)).toEqual([3, 4, 5, 2]);
  });

  it('a binary list has no lines', () => {
    expect(locate(Buffer.from('bplist00'), [[]])).toBeUndefined();
  });

  it('a byte order mark and markup inside text move nothing', () => {
    const bytes = Buffer.concat([
      Buffer.from([0xef, 0xbb, 0xbf]),
      lines(
        '<dict>',
        '<key>A<!-- <key>B</key> --></key><string><![CDATA[</dict>\n]]></string>',
        '<key>B</key><true/>',
        '</dict>',
      ),
    ]);
    expect(locate(bytes, [['A'], ['B'], []])).toEqual([
      { line: 3, column: 1 },
      { line: 5, column: 1 },
      { line: 2, column: 1 },
    ]);
  });
});

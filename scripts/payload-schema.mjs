// Makes profiles/payload-schema.ts from Apple's device-management data as compact JSON (github.com/apple/device-management).
//
//     node scripts/payload-schema.mjs FOLDER      FOLDER has profiles.json
//
// The grammar of a row is described in the file it writes; test/conformance/tables.test.ts holds that file to the data.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

/** @type {Record<string, string>} */
const LETTERS = {
  string: 's',
  integer: 'i',
  real: 'r',
  boolean: 'b',
  date: 't',
  data: 'x',
  array: 'a',
  dictionary: 'd',
  any: '*',
};

/** Where Macs take more than the data says: these keys are not judged. */
const NOT_JUDGED = new Set([
  // A dictionary language → text; the data shows a dictionary more.
  'TopLevel.ConsentText',
  // A string or an array of strings.
  'com.apple.security.scep.PayloadContent.SubjectAltName',
]);
/** The rows of these keys are in `validate.ts`, with messages of their own. */
const JUDGED_ELSEWHERE = new Set([
  'PayloadIdentifier',
  'PayloadUUID',
  'PayloadType',
  'PayloadVersion',
  'PayloadScope',
  'EncryptedPayloadContent',
  'IsEncrypted',
]);

/**
 * @typedef {{ macOS?: { introduced?: string, multiple?: boolean } }} Os
 * @typedef {{ key: string, type: string, presence?: string, os?: Os, recursive?: boolean, subkeys?: Node[] }} Node
 * @typedef {{ letter: string, required: boolean, children: Rules }} Rule
 * @typedef {Map<string, Rule>} Rules
 */

/** @param {Os | null | undefined} os */
const isForMac = (os) => os?.macOS !== undefined && os.macOS.introduced !== 'n/a';

/**
 * @param {Node} node
 * @param {string} trail
 * @returns {Rule}
 */
function ruleOf(node, trail) {
  const here = `${trail}.${node.key}`;
  const macKey = node.os?.macOS;
  const required = node.presence === 'required' && macKey?.introduced !== 'n/a';
  if (NOT_JUDGED.has(here)) return { letter: '*', required: false, children: new Map() };
  return {
    letter: LETTERS[node.type] ?? '*',
    required,
    children: rulesOf(node.subkeys ?? [], here, node.type === 'array'),
  };
}

/**
 * @param {Node[]} nodes
 * @param {string} trail
 * @param {boolean} isArray
 * @returns {Rules}
 */
function rulesOf(nodes, trail, isArray) {
  /** @type {Rules} */
  const rules = new Map();
  for (const node of nodes) {
    if (node.recursive) rules.set('ANY', { letter: '*', required: false, children: new Map() });
    else rules.set(isArray ? '' : node.key, ruleOf(node, trail));
  }
  return rules;
}

/**
 * Two descriptions of one type: what either knows is known, what both want is wanted.
 * @param {Rules} one
 * @param {Rules} other
 * @returns {Rules}
 */
function merged(one, other) {
  /** @type {Rules} */
  const all = new Map();
  for (const [name, rule] of [...one, ...other]) {
    const [a, b] = [one.get(name), other.get(name)];
    if (a === undefined || b === undefined) all.set(name, { ...rule, required: false });
    else if (a.letter !== b.letter) throw new Error(`${name} is ${a.letter} in one file and ${b.letter} in another`);
    else all.set(name, { ...a, required: a.required && b.required, children: merged(a.children, b.children) });
  }
  return all;
}

/**
 * @param {Rules} rules
 * @returns {string}
 */
function written(rules) {
  return [...rules]
    .map(([name, { letter, required, children }]) => {
      const inner = children.size === 0 ? '' : `(${written(children)})`;
      return `${name}:${letter}${required ? '!' : ''}${inner}`;
    })
    .join('|');
}

const folder = process.argv[2];
if (folder === undefined) throw new Error('name the folder that has profiles.json');
/** @type {{ source: { commit: string, license: string }, items: { id?: string, os?: Os, keys: Node[] }[] }} */
const { source, items } = JSON.parse(readFileSync(path.join(folder, 'profiles.json'), 'utf8'));
/** @type {Map<string, Rules>} */
const types = new Map();
/** @type {Map<string, boolean>} */
const exclusive = new Map();
for (const { id, os, keys } of items) {
  if (id === undefined || id === 'CommonPayloadKeys' || !isForMac(os)) continue;
  const judged = keys.filter(
    (node) => !(id === 'TopLevel' && (JUDGED_ELSEWHERE.has(node.key) || node.key === 'PayloadContent')),
  );
  const rules = rulesOf(judged, id, false);
  const earlier = types.get(id);
  types.set(id, earlier === undefined ? rules : merged(earlier, rules));
  exclusive.set(id, (exclusive.get(id) ?? true) && os?.macOS?.multiple === false);
}
exclusive.delete('TopLevel');
/** @param {string} text */
const quoted = (text) => `'${text}'`;
const rows = [...types]
  .toSorted(([a], [b]) => (a < b ? -1 : 1))
  .map(([id, rules]) => {
    const text = written(rules);
    const line = `  [${quoted(id)}, ${quoted(text)}],`;
    return line.length <= 120 ? line : `  [\n    ${quoted(id)},\n    ${quoted(text)},\n  ],`;
  });
const only = [...exclusive]
  .filter(([, is]) => is)
  .map(([id]) => `  ${quoted(id)},`)
  .toSorted();

writeFileSync(
  new URL('../profiles/payload-schema.ts', import.meta.url),
  `/*
 * Made by scripts/payload-schema.mjs from Apple's device-management data, which is
 * ${source.license.includes('MIT') ? 'Copyright (c) 2022-2024 Apple Inc., under the MIT licence:' : source.license}
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
 * files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
 * modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
 * Software is furnished to do so, subject to the following conditions: The above copyright notice and this permission notice
 * shall be included in all copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY
 * OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR
 * PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR
 * THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 */

/** The data's commit in github.com/apple/device-management: macOS 15.1. */
export const PAYLOAD_SCHEMA_COMMIT = '${source.commit}';

/**
 * PayloadType → its keys on macOS; \`TopLevel\` is the profile itself. A row is \`name:type\` joined by \`|\`, with \`!\` where Apple
 * requires the key, and what a dict or an array holds in brackets; an item of an array has no name, \`ANY\` is every other
 * name. Types: s string, i integer, r real, b boolean, t date, x data, a array, d dict, * anything.
 */
export const PAYLOAD_SCHEMA: ReadonlyMap<string, string> = new Map([
${rows.join('\n')}
]);

/** Of these a Mac takes one per channel: every description says \`multiple: false\`. */
export const EXCLUSIVE_PAYLOAD_TYPES: ReadonlySet<string> = new Set([
${only.join('\n')}
]);
`,
);

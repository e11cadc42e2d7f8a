// Reads docs/SPEC.md, the one place where an invariant, its test and its mutation are written down. `mutate.mjs` carries the
// mutations out; test/spec holds the page to the tree.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * @typedef {object} Invariant
 * @property {string} id ROOM-NN
 * @property {string} says The invariant, one sentence.
 * @property {string} source Rule ids and sections of the design.
 * @property {string} testFile
 * @property {string} testName As the test's source spells it; `%s` and `$name` stand for a parameter.
 * @property {string} file Where the mutation is made.
 * @property {string} search Part of one line; stands once in the file.
 * @property {string} replace What takes its place; '' where the line just goes.
 */

const ROW =
  /^### (?<id>[A-Z]+-\d\d) · (?<says>\S.*)\n\n(?<source>\S.*) · `(?<testFile>test\/[^`]+)` › `(?<testName>[^`]+)`\n\n```diff\n--- (?<file>\S+)\n- (?<search>\S.*)\n(?:\+ (?<replace>\S.*)\n)?```\n/;

/**
 * The rows of the page, in its order. Throws where a row has another form, or an id stands twice.
 * @param {string} markdown
 * @returns {Invariant[]}
 */
export function readSpec(markdown) {
  const sections = markdown.split(/^(?=#{1,6} )/m).filter((section) => section.startsWith('### '));
  const rows = sections.map((section) => {
    const found = ROW.exec(section)?.groups;
    if (found === undefined) throw new Error(`not a row: ${section.slice(0, section.indexOf('\n'))}`);
    return /** @type {Invariant} */ ({
      ...found,
      search: found['search']?.trim(),
      replace: found['replace']?.trim() ?? '',
    });
  });
  const ids = rows.map((row) => row.id);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw new Error(`${twice} stands twice`);
  return rows;
}

/**
 * What is wrong with a row, held against the tree: a test or a line that is not there, or is there more than once.
 * @param {string} root
 * @param {Invariant} row
 * @returns {string[]}
 */
export function faultsOf(root, row) {
  const faults = [];
  const test = path.join(root, row.testFile);
  if (!existsSync(test)) faults.push(`${row.testFile} does not exist`);
  else {
    const found = timesNamed(readFileSync(test, 'utf8'), row.testName);
    if (found !== 1) faults.push(`${row.testFile} names ${JSON.stringify(row.testName)} ${found} times`);
  }
  const file = path.join(root, row.file);
  if (!existsSync(file)) faults.push(`${row.file} does not exist`);
  else {
    const found = readFileSync(file, 'utf8').split(row.search).length - 1;
    if (found !== 1) faults.push(`${row.file} has ${found} times: ${row.search}`);
  }
  if (row.search === row.replace) faults.push('the mutation changes nothing');
  return faults;
}

/**
 * How often a name stands in a source as a whole string literal.
 * @param {string} source
 * @param {string} name
 */
export function timesNamed(source, name) {
  const literals = ["'", '"', '`'].map(
    (quote) => quote + name.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`) + quote,
  );
  return literals.reduce((sum, literal) => sum + source.split(literal).length - 1, 0);
}

/**
 * The tests that a row means, by their full names.
 * @param {string} testName
 */
export function patternOf(testName) {
  const literal = testName.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  return `${literal.replace(/%[sdijo#]|\\\$[a-z]\w*/gi, '.*')}$`;
}

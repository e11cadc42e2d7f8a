// Proves docs/SPEC.md: makes each row's one-line mutation in a copy of the tree, runs the row's test there, and expects it to
// fail. A mutation that no test notices is a survivor, and the exit code is 1. The working tree is only read.
import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { faultsOf, patternOf, readSpec } from './spec.mjs';

/** @typedef {import('./spec.mjs').Invariant} Invariant */
/** @typedef {{ fullName: string, status: string }} TestResult */
/** @typedef {{ tests: TestResult[], timedOut: boolean, output: string }} Run */

/** Milliseconds for one test under one mutation; what hangs is not killed by a test, and is reported. */
const RUN_MS = 240_000;
/** A mutation may make a test, or what cleans up after it, wait for ever; one failure is enough. */
const IMPATIENT = ['--testTimeout=30000', '--hookTimeout=60000', '--bail=1'];

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/**
 * A copy of the tracked and new files. Packages are links to those here; the cache among them is a copy, so that nothing is
 * written here.
 */
function copyTree() {
  const copy = mkdtempSync(path.join(tmpdir(), 'espalier-mutate-'));
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (listed.status !== 0) throw new Error(`git ls-files: ${listed.stderr}`);
  for (const file of listed.stdout.split('\0')) {
    if (file === '' || !existsSync(path.join(root, file))) continue;
    mkdirSync(path.dirname(path.join(copy, file)), { recursive: true });
    cpSync(path.join(root, file), path.join(copy, file));
  }
  mkdirSync(path.join(copy, 'node_modules', '.cache'), { recursive: true });
  for (const name of readdirSync(path.join(root, 'node_modules'))) {
    if (name.startsWith('.') && name !== '.bin') continue;
    symlinkSync(path.join(root, 'node_modules', name), path.join(copy, 'node_modules', name));
  }
  const templates = path.join(root, 'node_modules', '.cache', 'espalier');
  if (existsSync(templates))
    cpSync(templates, path.join(copy, 'node_modules', '.cache', 'espalier'), { recursive: true });
  return copy;
}

/**
 * The named tests, run in the copy.
 * @param {string} copy
 * @param {readonly string[]} files
 * @param {string} pattern
 * @param {number} limitMs
 * @param {readonly string[]} options
 * @returns {Promise<Run>}
 */
async function runTests(copy, files, pattern, limitMs, options = []) {
  const report = path.join(copy, 'node_modules', '.cache', 'report.json');
  rmSync(report, { force: true });
  const vitest = path.join(copy, 'node_modules', 'vitest', 'vitest.mjs');
  const args = ['run', ...files, '-t', pattern, ...options, '--reporter=json', `--outputFile=${report}`];
  const child = spawn(process.execPath, [vitest, ...args], {
    cwd: copy,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => (output = (output + chunk).slice(-4000)));
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    process.kill(-(/** @type {number} */ (child.pid)), 'SIGKILL');
  }, limitMs);
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  /** @type {{ testResults: { assertionResults: TestResult[] }[] }} */
  const { testResults } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : { testResults: [] };
  const named = new RegExp(pattern);
  const tests = testResults.flatMap((file) => file.assertionResults).filter((test) => named.test(test.fullName));
  return { tests, timedOut, output };
}

/**
 * Every named test passes as things are; otherwise its failure under a mutation would prove nothing.
 * @param {string} copy
 * @param {readonly Invariant[]} rows
 */
async function expectBaseline(copy, rows) {
  const files = [...new Set(rows.map((row) => row.testFile))];
  const { tests, output } = await runTests(
    copy,
    files,
    rows.map((row) => patternOf(row.testName)).join('|'),
    20 * RUN_MS,
  );
  const bad = rows.flatMap((row) => {
    const own = tests.filter((test) => new RegExp(patternOf(row.testName)).test(test.fullName));
    if (own.some((test) => test.status === 'failed')) return [`${row.id}: its test fails without any mutation`];
    return own.some((test) => test.status === 'passed') ? [] : [`${row.id}: its test was not run`];
  });
  if (bad.length > 0) throw new Error(`${bad.join('\n')}\n${tests.length === 0 ? output : ''}`);
}

/**
 * @param {string} copy
 * @param {Invariant} row
 * @returns {Promise<'killed' | 'SURVIVED' | 'NOT RUN' | 'HUNG'>}
 */
async function verdictOf(copy, row) {
  const file = path.join(copy, row.file);
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    text.replace(row.search, () => row.replace),
  );
  try {
    const { tests, timedOut } = await runTests(copy, [row.testFile], patternOf(row.testName), RUN_MS, IMPATIENT);
    if (timedOut) return 'HUNG';
    if (tests.some((test) => test.status === 'failed')) return 'killed';
    return tests.some((test) => test.status === 'passed') ? 'SURVIVED' : 'NOT RUN';
  } finally {
    writeFileSync(file, text);
  }
}

/**
 * `count` of the rows, the same ones for the same seed (mulberry32).
 * @template T
 * @param {readonly T[]} rows
 * @param {number} count
 * @param {number} seed
 * @returns {T[]}
 */
function sample(rows, count, seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return rows
    .map((row) => ({ row, at: next() }))
    .sort((one, other) => one.at - other.at)
    .slice(0, count)
    .map(({ row }) => row);
}

/** @param {readonly Invariant[]} all */
function chosen(all) {
  const { values } = parseArgs({
    options: {
      list: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      sample: { type: 'string' },
      seed: { type: 'string' },
    },
  });
  if (values.list) {
    for (const row of all) console.log(`${row.id.padEnd(11)} ${row.says}`);
    return [];
  }
  const only = values.only?.flatMap((ids) => ids.split(','));
  const unknown = only?.filter((id) => !all.some((row) => row.id === id || row.id.startsWith(`${id}-`))) ?? [];
  if (unknown.length > 0) throw new Error(`docs/SPEC.md has no ${unknown.join(', ')}`);
  const rows =
    only === undefined ? all : all.filter((row) => only.some((id) => row.id === id || row.id.startsWith(`${id}-`)));
  if (values.sample === undefined) return rows;
  const seed = values.seed === undefined ? randomInt(2 ** 32) : Number(values.seed);
  console.log(`sample of ${values.sample}, seed ${seed} (again: --sample ${values.sample} --seed ${seed})`);
  return sample(rows, Number(values.sample), seed);
}

async function main() {
  const all = readSpec(readFileSync(path.join(root, 'docs', 'SPEC.md'), 'utf8'));
  const rows = chosen(all);
  if (rows.length === 0) return;
  const copy = copyTree();
  try {
    const faults = rows.flatMap((row) => faultsOf(copy, row).map((fault) => `${row.id}: ${fault}`));
    if (faults.length > 0) throw new Error(faults.join('\n'));
    await expectBaseline(copy, rows);
    const bad = [];
    for (const row of rows) {
      const began = performance.now();
      const verdict = await verdictOf(copy, row);
      console.log(
        `${verdict.padEnd(8)} ${row.id.padEnd(11)} ${((performance.now() - began) / 1000).toFixed(1)} s  ${row.says}`,
      );
      if (verdict !== 'killed') bad.push(`${verdict} ${row.id}: ${row.testFile} › ${row.testName}`);
    }
    console.log(`${rows.length - bad.length} of ${rows.length} mutations killed`);
    for (const line of bad) console.error(line);
    if (bad.length > 0) process.exitCode = 1;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

await main().catch((error) => {
  console.error(`mutate: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});

// The counts of the acceptance lists: npm run soak -- [histories|replicas|epochs|oracle|poisoned …] [--count N] [--seed S]
//
// Each part is a test of test/reconciler with a larger number, in chunks that are tests of their own. A chunk that passed is
// written down and is not run again with the same seed and the same commit, so that a run that was stopped can go on.
// Without names: all parts. --count N: histories, ticks, edits, fleets or hosts of each part named. --workers N: chunks of
// histories at once (default 2). --minutes N: begin no chunk after that long. The table at the end is for docs/measurements/.
import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/**
 * @typedef {object} Part
 * @property {string} test
 * @property {number} count What the acceptance list asks for.
 * @property {string} unit
 * @property {number} chunk At most so many in one run of the test.
 * @property {string} pattern Which tests of the file.
 * @property {string} engine
 * @property {(count: number, seed: number) => Record<string, string>} env
 */

/** @type {Record<string, Part[]>} */
const PARTS = {
  histories: [
    {
      test: 'histories',
      count: 9_500,
      unit: 'histories',
      chunk: 250,
      pattern: 'postgres',
      engine: 'PostgreSQL',
      env: (count, seed) => ({ HISTORIES: String(count), HISTORY_SEED: String(seed) }),
    },
    {
      test: 'histories',
      count: 500,
      unit: 'histories',
      chunk: 100,
      pattern: 'pglite',
      engine: 'PGlite',
      env: (count, seed) => ({ HISTORIES: String(count), HISTORY_SEED: String(seed) }),
    },
  ],
  replicas: [2, 3, 4, 5].map((replicas) => ({
    test: 'replicas',
    count: 200,
    unit: `ticks of ${replicas} processes`,
    chunk: 200,
    pattern: `${replicas} replicas`,
    engine: 'PostgreSQL',
    env: (count, seed) => ({ REPLICA_TICKS: String(count), SOAK_SEED: String(seed) }),
  })),
  epochs: [
    {
      test: 'epochs',
      count: 1_000,
      unit: 'edits',
      chunk: 1_000,
      pattern: 'postgres',
      engine: 'PostgreSQL',
      env: (count, seed) => ({ EPOCH_EDITS: String(count), SOAK_SEED: String(seed) }),
    },
  ],
  oracle: [
    {
      test: 'oracle',
      count: 300,
      unit: 'random fleets, twice',
      chunk: 50,
      pattern: 'postgres',
      engine: 'PostgreSQL',
      env: (count, seed) => ({ FLEETS: String(count), SOAK_SEED: String(seed) }),
    },
  ],
  poisoned: [
    {
      test: 'crash',
      count: 10_000,
      unit: 'hosts, one of them bad',
      chunk: 10_000,
      pattern: 'postgres one bad row',
      engine: 'PostgreSQL',
      env: (count) => ({ POISONED_HOSTS: String(count) }),
    },
  ],
};

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string' },
    seed: { type: 'string' },
    workers: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '600' },
    commit: { type: 'string' },
  },
});
const names = positionals.length === 0 ? Object.keys(PARTS) : positionals;
for (const name of names) {
  if (PARTS[name] !== undefined) continue;
  console.error(`There is no part ${name}; there are ${Object.keys(PARTS).join(', ')}.`);
  process.exit(2);
}
const seed = values.seed === undefined ? randomInt(2 ** 30) : Number(values.seed);
const commit =
  values.commit ??
  git(['rev-parse', '--short', 'HEAD']) + (git(['status', '--porcelain']) === '' ? '' : ' and changes');
const done = path.join(root, 'node_modules', '.cache', 'espalier', 'soak.jsonl');
const until = Date.now() + Number(values.minutes) * 60_000;

/** @param {string[]} args */
function git(args) {
  return spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout?.trim() ?? '';
}

/**
 * @typedef {object} Chunk
 * @property {Part} part
 * @property {number} count
 * @property {number} seed
 * @property {string} key
 */

/** @param {Part} part @returns {Chunk[]} */
function chunksOf(part) {
  const count = values.count === undefined ? part.count : Number(values.count);
  return Array.from({ length: Math.ceil(count / part.chunk) }, (_, index) => {
    const own = Math.min(part.chunk, count - index * part.chunk);
    const key = [commit, part.test, part.pattern, own, seed + index].join(' · ');
    return { part, count: own, seed: seed + index, key };
  });
}

/**
 * @typedef {object} Result
 * @property {string} key
 * @property {string} unit
 * @property {string} engine
 * @property {number} count
 * @property {number} seed
 * @property {number} seconds
 * @property {boolean} passed
 * @property {string[]} said Lines of figures that the test printed.
 */

/** @param {Chunk} chunk @returns {Promise<Result>} */
function run({ part, count, seed: own, key }) {
  const began = Date.now();
  const args = [
    'vitest',
    'run',
    `test/reconciler/${part.test}.test.ts`,
    '-t',
    part.pattern,
    '--disableConsoleIntercept',
  ];
  const child = spawn('npx', args, { cwd: root, env: { ...process.env, ...part.env(count, own), NO_COLOR: '1' } });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  return new Promise((resolve) => {
    child.on('close', (code) => {
      const passed = code === 0 && / passed/.test(output);
      if (!passed) console.error(output);
      const said = output.split('\n').filter((line) => line.startsWith('{'));
      const seconds = Math.round((Date.now() - began) / 1000);
      resolve({ key, unit: part.unit, engine: part.engine, count, seed: own, seconds, passed, said });
    });
  });
}

/** @returns {Map<string, Result>} What has passed already. */
function known() {
  if (!existsSync(done)) return new Map();
  const lines = readFileSync(done, 'utf8').split('\n').filter(Boolean);
  return new Map(lines.map((line) => JSON.parse(line)).map((result) => [result.key, result]));
}

/** @param {Chunk[]} chunks @param {number} workers @returns {Promise<Result[]>} */
async function runAll(chunks, workers) {
  const before = known();
  /** @type {Result[]} */
  const results = [];
  const waiting = [...chunks];
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) {
        const old = before.get(chunk.key);
        if (old === undefined && Date.now() > until) continue;
        const result = old ?? (await run(chunk));
        results.push(result);
        if (old !== undefined) continue;
        console.log(
          `${result.passed ? 'passed' : 'FAILED'} ${result.count} ${result.unit}, seed ${result.seed}, ${result.seconds} s`,
        );
        for (const line of result.said) console.log(`  ${line}`);
        if (result.passed) appendFileSync(done, `${JSON.stringify(result)}\n`);
      }
    }),
  );
  return results;
}

/** @param {Result[]} results @returns {string[]} One row for each unit and engine. */
function table(results) {
  const rows = new Map();
  for (const result of results) {
    const key = `${result.unit} | ${result.engine}`;
    const row = rows.get(key) ?? { count: 0, seconds: 0, failed: 0, seeds: [] };
    rows.set(key, row);
    row.count += result.count;
    row.seconds += result.seconds;
    row.failed += result.passed ? 0 : 1;
    row.seeds.push(result.seed);
  }
  return [...rows].map(
    ([key, { count, seconds, failed, seeds }]) =>
      `| ${count} ${key} | ${Math.min(...seeds)}–${Math.max(...seeds)} | ${seconds} | ${failed === 0 ? 'none' : failed} |`,
  );
}

mkdirSync(path.dirname(done), { recursive: true });
console.log(`Soak of ${commit}, seed ${seed}, Node ${process.version}`);
/** @type {Result[]} */
const results = [];
for (const name of names) {
  const chunks = (PARTS[name] ?? []).flatMap(chunksOf);
  results.push(...(await runAll(chunks, name === 'histories' ? Number(values.workers) : 1)));
}
console.log(
  `\n| what | engine | seeds | seconds | failed chunks |\n|---|---|---|---:|---|\n${table(results).join('\n')}`,
);
process.exitCode = results.every((result) => result.passed) ? 0 : 1;

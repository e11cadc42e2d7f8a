/** `npm run bench [-- scenario…] [--quick] [--million]`: measures, prints one JSON line per measurement on stdout, then a table. */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { inside } from './inside.ts';
import { polls } from './polls.ts';
import { reconcile } from './reconcile.ts';
import type { Scenario } from './scenario.ts';
import { scep } from './scep.ts';
import { POSTGRES_SETTINGS, startCluster } from './support/postgres.ts';
import { jsonLine, type Result, table } from './support/result.ts';

const SCENARIOS: Readonly<Record<string, Scenario>> = { polls, scep, reconcile };
/** Whatever hangs, the bench does not. */
const LIMIT_MINUTES = { usual: 15, million: 60 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    million: { type: 'boolean', default: false },
    inside: { type: 'string' },
  },
});
if (values.inside === undefined) await measure(positionals, values.quick, values.million);
else await inside(values.inside);

async function measure(wanted: readonly string[], quick: boolean, million: boolean): Promise<void> {
  const unknown = wanted.filter((name) => !Object.hasOwn(SCENARIOS, name));
  if (unknown.length > 0)
    throw new Error(`no scenario ${unknown.join(', ')}; there are ${Object.keys(SCENARIOS).join(', ')}`);
  const started = performance.now();
  const folder = mkdtempSync(path.join(tmpdir(), 'espalier-bench-'));
  const cluster = startCluster(folder);
  const cleanUp = (): void => {
    cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  /** Children see our end by their channel, or are killed by whoever started them. */
  const giveUp = (why: string): void => {
    console.error(`bench: ${why}`);
    cleanUp();
    process.exit(1);
  };
  const minutes = million ? LIMIT_MINUTES.million : LIMIT_MINUTES.usual;
  const limit = setTimeout(() => giveUp(`given up after ${minutes} minutes`), minutes * 60_000);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => giveUp(signal));
  const results: Result[] = [];
  const say = (text: string): void => console.error(text);
  const report = (result: Result): void => {
    results.push(result);
    console.log(jsonLine(result));
  };
  try {
    report({ scenario: 'machine', name: cpus()[0]?.model ?? 'unknown', values: machine(cluster?.version) });
    for (const name of wanted.length > 0 ? wanted : Object.keys(SCENARIOS)) {
      await SCENARIOS[name]?.({ folder, cluster, quick, million, report, say });
    }
    console.log(`\n${table(results)}\n`);
    say(`bench: ${Math.round((performance.now() - started) / 1000)} s`);
  } finally {
    clearTimeout(limit);
    cleanUp();
  }
}

function machine(postgres: string | undefined): Result['values'] {
  return {
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    postgres: postgres ?? 'none',
    postgresSettings: `defaults, ${POSTGRES_SETTINGS.join(', ')}`,
  };
}

/** SCEP enrolments per CPU-second: the codec alone, through HTTPS on both databases, and Debian's scepserver beside it. */
import path from 'node:path';
import { enrollLinkStore } from '../db/scep-store.ts';
import { createEnrollLinks } from '../scep/enroll-links.ts';
import type { Bench, Scenario } from './scenario.ts';
import { measureScepserver } from './scepserver.ts';
import { run } from './support/load.ts';
import { startPart } from './support/part.ts';
import { type Result, round } from './support/result.ts';
import { pkcsReqs, post, steps } from './support/scep-requests.ts';
import { prepare, startServer } from './support/server.ts';

const CONNECTIONS = 8;
const LIMIT_MS = 20_000;
const WARM_UP = 100;

export const scep: Scenario = async (bench) => {
  const { cluster, quick, say } = bench;
  const seen: Result[] = [];
  const report = (result: Result): void => {
    seen.push(result);
    bench.report(result);
  };
  say('scep: codec');
  const codec = startPart('scep-codec', { label: 'codec in this process', count: quick ? 100 : 1500 }, (message) => {
    if (message.kind === 'result') report(message.result);
  });
  await codec.ended;
  const url = await cluster?.create('bench_scep');
  if (url !== undefined) {
    await throughServer({ ...bench, report }, 'HTTPS and PostgreSQL', quick ? 100 : 1500, url);
  }
  await throughServer({ ...bench, report }, 'HTTPS and PGlite', quick ? 50 : 500, undefined);
  await measureScepserver({ ...bench, report });
  reportRatios(seen, bench);
};

async function throughServer(bench: Bench, name: string, count: number, databaseUrl: string | undefined) {
  bench.say(`scep: preparing ${count} requests, ${name}`);
  const data = path.join(bench.folder, `scep-${databaseUrl === undefined ? 'pglite' : 'postgres'}`);
  const { prepared, made } = await prepare(data, databaseUrl, async (foundation) => {
    const links = createEnrollLinks({ store: enrollLinkStore, ...foundation });
    const uses = count + WARM_UP;
    const { code } = await links.create({ uses, ttlSeconds: 3600, teamId: 1 });
    const challenges: string[] = [];
    for (let index = 0; index < uses; index += 1) {
      challenges.push((await links.mintChallenge(code, {})).challenge.reveal());
    }
    return pkcsReqs(foundation.keys.identity('scep_ra').certificate, challenges);
  });
  const server = await startServer(prepared);
  const watched = { serverPid: server.pid, databasePid: databaseUrl === undefined ? undefined : bench.cluster?.pid };
  const requests = made.map(post);
  const load = (some: readonly Buffer[]) =>
    run({ target: server.target, connections: CONNECTIONS, limitMs: LIMIT_MS, next: steps(some) }, watched);
  try {
    await load(requests.slice(0, WARM_UP));
    bench.report({ scenario: 'scep', name, values: await load(requests.slice(WARM_UP)) });
  } finally {
    await server.stop();
  }
}

function reportRatios(seen: readonly Result[], { report }: Bench): void {
  const perCpuSecond = (name: string): number | undefined => {
    const value = seen.find((result) => result.name === name)?.values['perServerCpuSecond'];
    return typeof value === 'number' ? value : undefined;
  };
  const theirs = perCpuSecond('scepserver, challenge on');
  if (theirs === undefined) return;
  for (const name of ['HTTPS and PostgreSQL', 'HTTPS and PGlite', 'codec in this process']) {
    const ours = perCpuSecond(name);
    if (ours === undefined) continue;
    const values = { perServerCpuSecond: ours, timesScepserver: round(ours / theirs) };
    report({ scenario: 'scep, server CPU against scepserver', name, values });
  }
}

/** Debian's scepserver (micromdm/scep) with a CA of 2048 bits, driven by requests of the same making. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pemToDer } from '../cms/pem.ts';
import type { Bench } from './scenario.ts';
import { run } from './support/load.ts';
import { pkcsReqs, post, steps } from './support/scep-requests.ts';
import { freePort } from './support/server.ts';
import { Connection } from './support/wire.ts';

const CHALLENGE = 'bench';
/** One after the other: with several at once it fails some ("could not convert  to serial number"), its depot being files. */
const CONNECTIONS = 1;
const LIMIT_MS = 20_000;
const WARM_UP = 30;

export async function measureScepserver(bench: Bench): Promise<void> {
  const program = find('scepserver');
  if (program === undefined) return bench.say('scep: scepserver is not installed, nothing to compare with');
  const count = bench.quick ? 50 : 500;
  for (const withChallenge of [false, true]) {
    bench.say(`scep: scepserver, challenge ${withChallenge ? 'on' : 'off'}`);
    const folder = path.join(bench.folder, `scepserver-${withChallenge}`);
    mkdirSync(folder);
    execFileSync(program, ['ca', '-init', '-keySize', '2048', '-depot', 'depot'], { cwd: folder, stdio: 'ignore' });
    const ca = pemToDer(readFileSync(path.join(folder, 'depot', 'ca.pem'), 'utf8'), 'CERTIFICATE');
    const challenges = Array.from({ length: count + WARM_UP }, () => (withChallenge ? CHALLENGE : undefined));
    const requests = (await pkcsReqs(ca, challenges)).map(post);
    const port = await freePort();
    const challenge = withChallenge ? ['-challenge', CHALLENGE] : [];
    const child = spawn(program, ['-depot', 'depot', '-port', String(port), '-allowrenew', '0', ...challenge], {
      cwd: folder,
      stdio: 'ignore',
    });
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    const load = (some: readonly Buffer[]) =>
      run(
        { target: { port }, connections: CONNECTIONS, limitMs: LIMIT_MS, next: steps(some) },
        { serverPid: child.pid ?? 0, databasePid: undefined },
      );
    try {
      await listening(port, child);
      await load(requests.slice(0, WARM_UP));
      const values = await load(requests.slice(WARM_UP));
      bench.report({ scenario: 'scep', name: `scepserver, challenge ${withChallenge ? 'on' : 'off'}`, values });
    } finally {
      process.off('exit', kill);
      if (child.exitCode === null) {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      }
    }
  }
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  for (let waited = 0; waited < 10_000 && child.exitCode === null; waited += 50) {
    try {
      (await Connection.open({ port })).close();
      return;
    } catch {
      await sleep(50);
    }
  }
  throw new Error('scepserver does not listen');
}

function find(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

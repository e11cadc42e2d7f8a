/** The real server as its own process, prepared through its own foundation before it starts. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { derToPem, readPem } from '../../cms/pem.ts';
import { type Foundation, layFoundation } from '../../server/foundation.ts';
import { readSettings } from '../../server/settings.ts';
import { forgetPeak } from './process.ts';
import type { Target } from './wire.ts';

const START_MS = 60_000;
/** The first audit runs within a second of the start; what it finds would be measured with the first requests. */
const SETTLE_MS = 2500;

export interface Prepared {
  readonly environment: Record<string, string>;
  readonly port: number;
  readonly root: string;
}

/** Runs `work` on an opened installation, and closes it again so that the server can have it. */
export async function prepare<T>(
  folder: string,
  databaseUrl: string | undefined,
  work: (foundation: Foundation) => Promise<T>,
): Promise<{ prepared: Prepared; made: T }> {
  const port = await freePort();
  const environment: Record<string, string> = {
    ESPALIER_PUBLIC_URL: `https://localhost:${port}`,
    ESPALIER_LISTEN: `127.0.0.1:${port}`,
    ESPALIER_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
    ESPALIER_DATA: folder,
    ESPALIER_LOG_LEVEL: 'error',
    // Nothing here may leave the machine; no push certificate exists either.
    ESPALIER_APNS_URL: 'https://127.0.0.1:9',
    ...(databaseUrl === undefined ? {} : { ESPALIER_DATABASE_URL: databaseUrl }),
  };
  const foundation = await layFoundation(readSettings(environment, { demo: true }));
  try {
    const made = await work(foundation);
    const last = readPem(foundation.tls.cert).at(-1);
    if (last === undefined) throw new Error('the demo certificate has no chain');
    return { prepared: { environment, port, root: derToPem(last.der, 'CERTIFICATE') }, made };
  } finally {
    await foundation.db.close();
  }
}

export interface RunningChild {
  readonly pid: number;
  readonly target: Target;
  stop(): Promise<void>;
}

export async function startServer({ environment, port, root }: Prepared): Promise<RunningChild> {
  const main = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
  const profile = process.env['BENCH_CPU_PROFILE'];
  const child = fork(main, ['up', '--demo'], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment },
    execArgv: profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.resolve(profile)}`],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await Promise.race([ready(child), late()]).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  await sleep(SETTLE_MS);
  const pid = child.pid ?? 0;
  forgetPeak(pid);
  return {
    pid,
    target: { port, root },
    async stop() {
      if (child.exitCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await gone;
      clearTimeout(timer);
    },
  };
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`the server ended with code ${code} before it was ready`)));
  });
}

async function late(): Promise<never> {
  await sleep(START_MS, undefined, { ref: false });
  throw new Error('the server was not ready within a minute');
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

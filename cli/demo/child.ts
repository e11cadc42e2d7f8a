import { type ChildProcess, fork } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Failure } from '../failure.ts';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
const START_WITHIN_MS = 60_000;
/** Characters of stderr kept to say why a child ended. */
const KEPT_STDERR = 8_000;

export interface ServerChild {
  readonly process: ChildProcess;
  /** Resolves with the exit code or signal once the child is gone, for whatever reason. */
  readonly gone: Promise<string>;
  /** What it wrote to stderr last. */
  stderr(): string;
  stop(): Promise<void>;
}

/** `espalier up --demo` as a process of its own. Resolves when it listens; rejects with its own words when it cannot. */
export async function startServerChild(
  environment: Readonly<Record<string, string>>,
  main = MAIN,
): Promise<ServerChild> {
  const child = fork(main, ['up', '--demo'], {
    env: { ...withoutEspalier(process.env), ...environment },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [],
  });
  let tail = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-KEPT_STDERR);
  });
  const gone = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Failure(`the server did not listen within ${START_WITHIN_MS} ms\n${tail}`));
    }, START_WITHIN_MS);
    child.once('message', () => {
      clearTimeout(timer);
      resolve();
    });
    void gone.then((how) => {
      clearTimeout(timer);
      reject(new Failure(`the server ended with ${how}\n${tail}`));
    });
  });
  return {
    process: child,
    gone,
    stderr: () => tail,
    async stop() {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

/** The server refuses settings it does not know; ours must be the only ones it sees. */
function withoutEspalier(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('ESPALIER_')));
}

/** A port nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

/** Parts of a scenario that run in a process of their own, so that CPU and memory are theirs alone. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Result } from './result.ts';

export interface PartOptions {
  readonly label: string;
  /** Undefined: PGlite in `dataFolder`. */
  readonly databaseUrl?: string | undefined;
  readonly databasePid?: number | undefined;
  readonly dataFolder?: string;
  readonly count: number;
  readonly profilesPerTeam?: number;
}

export type PartMessage =
  | { readonly kind: 'result'; readonly result: Result }
  | { readonly kind: 'say'; readonly text: string }
  /** It can go on when told to. */
  | { readonly kind: 'ready' };

export interface PartContext {
  readonly tell: (message: PartMessage) => void;
  /** Says `ready`, and waits to be told. */
  readonly turn: () => Promise<void>;
}

export type Part = (options: PartOptions, context: PartContext) => Promise<void>;

export interface StartedPart {
  readonly process: ChildProcess;
  /** Rejects where it ended with anything but 0. */
  readonly ended: Promise<void>;
}

export function startPart(name: string, options: PartOptions, hear: (message: PartMessage) => void): StartedPart {
  const main = fileURLToPath(new URL('../main.js', import.meta.url));
  const profile = globalThis.process.env['BENCH_CPU_PROFILE'];
  const child = fork(main, ['--inside', name], {
    execArgv: profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`],
  });
  child.on('message', (message) => hear(message as PartMessage));
  child.send(options);
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`${name} ended with ${code ?? signal}`)),
    );
  });
  return { process: child, ended };
}

/** In the child: the options come as its first message; every later one is its turn. */
export async function runPart(part: Part): Promise<void> {
  const send = globalThis.process.send?.bind(globalThis.process);
  if (send === undefined) throw new Error('a part is started by the bench, not by hand');
  const next = () => new Promise<unknown>((resolve) => globalThis.process.once('message', resolve));
  // The bench is gone: nobody waits for what this would find.
  globalThis.process.once('disconnect', () => globalThis.process.exit());
  const options = (await next()) as PartOptions;
  const tell = (message: PartMessage): void => void send(message);
  await part(options, {
    tell,
    async turn() {
      const told = next();
      tell({ kind: 'ready' });
      await told;
    },
  });
  globalThis.process.disconnect();
}

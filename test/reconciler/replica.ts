/** Server processes that a test stops, kills and starts again. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Ticked } from '../../reconciler/tick.ts';
import { ENVIRONMENT } from './house.ts';

const PROGRAM = fileURLToPath(new URL('./replica-process.mjs', import.meta.url));

/** How a tick ended. `gone`: the process was killed under it. */
export type TickEnd =
  | { readonly kind: 'ticked'; readonly ticked: Ticked }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'gone' };

interface Message {
  readonly ready?: true;
  readonly ticked?: Ticked;
  readonly failed?: string;
}

export class Replica {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(databaseUrl: string): Promise<Replica> {
    const child = fork(PROGRAM, { env: { ...process.env, ...ENVIRONMENT, REPLICA_DATABASE_URL: databaseUrl } });
    const replica = new Replica(child);
    const first = await replica.#next();
    if (first?.ready !== true) throw new Error('a replica did not start; is dist/ built?');
    return replica;
  }

  /** One tick, as of this time. */
  async tick(at: Date): Promise<TickEnd> {
    const next = this.#next();
    this.#child.send({ at: at.getTime() });
    const message = await next;
    if (message === undefined) return { kind: 'gone' };
    return message.ticked === undefined
      ? { kind: 'failed', message: message.failed ?? '' }
      : { kind: 'ticked', ticked: message.ticked };
  }

  /** The whole process stands still for some milliseconds, with whatever it holds. */
  async pause(ms: number): Promise<void> {
    this.#child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#child.kill('SIGCONT');
  }

  /** kill -9. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Undefined where the process ends first. */
  #next(): Promise<Message | undefined> {
    return new Promise((resolve) => {
      const child = this.#child;
      const onMessage = (message: unknown) => end(message as Message);
      const onExit = () => end(undefined);
      const end = (message: Message | undefined) => {
        child.off('message', onMessage);
        child.off('exit', onExit);
        resolve(message);
      };
      child.on('message', onMessage);
      child.on('exit', onExit);
    });
  }
}

/** The worker thread that holds PGlite, as calls: bytes in, bytes out, in order. */
import { Worker } from 'node:worker_threads';
import { EspalierError } from '../core/errors.ts';

type Response =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'answer'; readonly id: number; readonly bytes: Uint8Array };

interface Waiter {
  resolve(bytes: Uint8Array): void;
  reject(error: unknown): void;
}

export interface PgliteThread {
  /** One exchange of protocol bytes. Rejects with `store_unavailable` once the thread has died. */
  exchange(bytes: Uint8Array): Promise<Uint8Array>;
  /** The data directory as tar.gz, for a template. */
  dump(): Promise<Uint8Array>;
  /** Resolves when the last page is written and the thread has ended. Safe to call twice. */
  close(): Promise<void>;
  /** End the thread as a crash would. */
  terminate(): Promise<void>;
}

function unavailable(reason: string): EspalierError {
  return new EspalierError('store_unavailable', `The embedded database stopped: ${reason}`, {
    fix: 'Restart the server; acknowledged writes are in the data folder.',
  });
}

/** Start PGlite on `directory`; an empty directory is filled from `template` (a tar.gz path) or by initdb. */
export async function startPglite(directory: string, template: string | null): Promise<PgliteThread> {
  const worker = new Worker(new URL('./pglite-worker.mjs', import.meta.url), { workerData: { directory, template } });
  const waiting = new Map<number, Waiter>();
  let lastId = 0;
  let dead: EspalierError | undefined;

  const die = (reason: string) => {
    dead ??= unavailable(reason);
    for (const waiter of waiting.values()) waiter.reject(dead);
    waiting.clear();
  };
  const call = (kind: 'exchange' | 'dump' | 'close', bytes?: Uint8Array): Promise<Uint8Array> => {
    if (dead !== undefined) return Promise.reject(dead);
    return new Promise((resolve, reject) => {
      lastId += 1;
      waiting.set(lastId, { resolve, reject });
      worker.postMessage({ kind, id: lastId, bytes });
    });
  };

  const ended = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      die(`its thread ended with code ${code}`);
      resolve();
    });
  });
  await new Promise<void>((resolve, reject) => {
    waiting.set(0, { resolve: () => resolve(), reject });
    worker.on('error', (error) => die(error.message));
    worker.on('message', (response: Response) => {
      if (response.kind === 'failed') {
        die(response.message);
        return;
      }
      const id = response.kind === 'ready' ? 0 : response.id;
      const waiter = waiting.get(id);
      waiting.delete(id);
      waiter?.resolve(response.kind === 'ready' ? new Uint8Array(0) : response.bytes);
    });
  });

  let closing: Promise<void> | undefined;
  return {
    exchange: (bytes) => call('exchange', bytes),
    dump: () => call('dump'),
    close() {
      closing ??= (dead === undefined ? call('close') : Promise.resolve()).then(
        () => ended,
        () => ended,
      );
      return closing;
    },
    async terminate() {
      await worker.terminate();
    },
  };
}

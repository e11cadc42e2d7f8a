/** The worker thread that holds PGlite, as calls: bytes in, bytes out, in order. */
import { Worker } from 'node:worker_threads';
import { EspalierError } from '../core/errors.ts';

type Response = { readonly id: number; readonly bytes: Uint8Array } | { readonly failed: string };

interface Waiter {
  resolve(bytes: Uint8Array): void;
  reject(error: unknown): void;
}

export interface PgliteThread {
  /** One exchange of protocol bytes. Rejects with `store_unavailable` once the thread has died. */
  exchange(bytes: Uint8Array): Promise<Uint8Array>;
  /** Resolves when the last page is written and the thread has ended. Safe to call twice, and after a crash. */
  close(): Promise<void>;
  /** Ends the thread as a crash would. */
  terminate(): Promise<void>;
}

function stopped(reason: string): EspalierError {
  return new EspalierError('store_unavailable', `The embedded database stopped: ${reason}.`, {
    fix: 'Restart the server; every acknowledged write is in the data folder.',
  });
}

/** Starts PGlite on an existing data directory. Errors: store_unavailable. */
export async function startPglite(directory: string): Promise<PgliteThread> {
  const worker = new Worker(new URL('./pglite-worker.mjs', import.meta.url), { workerData: directory, env: {} });
  const waiting = new Map<number, Waiter>();
  let lastId = 0;
  let dead: EspalierError | undefined;

  const die = (reason: string) => {
    dead ??= stopped(reason);
    for (const waiter of waiting.values()) waiter.reject(dead);
    waiting.clear();
  };
  const answerOf = (id: number, request?: { id: number; bytes?: Uint8Array }): Promise<Uint8Array> => {
    if (dead !== undefined) return Promise.reject(dead);
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      if (request !== undefined) worker.postMessage(request);
    });
  };

  const ended = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      die(`its thread ended with code ${code}`);
      resolve();
    });
  });
  worker.on('error', (error) => die(error instanceof Error ? error.message : String(error)));
  worker.on('message', (response: Response) => {
    if ('failed' in response) {
      die(response.failed);
      return;
    }
    waiting.get(response.id)?.resolve(response.bytes);
    waiting.delete(response.id);
  });
  await answerOf(0);

  let closing: Promise<void> | undefined;
  return {
    exchange: (bytes) => answerOf(++lastId, { id: lastId, bytes }),
    close() {
      closing ??= answerOf(++lastId, { id: lastId }).then(
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

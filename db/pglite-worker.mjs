// The embedded server: PGlite in a thread of its own, so that a long statement never stalls the event loop.
// It speaks bytes of the PostgreSQL protocol and nothing else; the other side (pglite-session.ts) gives them meaning.
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';

/**
 * @typedef {{ directory: string, template: string | null }} Start
 * @typedef {{ kind: 'exchange', id: number, bytes: Uint8Array } | { kind: 'dump', id: number } | { kind: 'close', id: number }} Request
 * @typedef {{ kind: 'ready' } | { kind: 'failed', message: string }
 *   | { kind: 'answer', id: number, bytes: Uint8Array }} Response
 */

const port = parentPort;
if (port === null) throw new Error('pglite-worker.mjs runs as a worker thread');
const { directory, template } = /** @type {Start} */ (workerData);

/** @param {Response} response */
const send = (response) => port.postMessage(response);

/** Anything PGlite throws outside the protocol (a wasm trap, an exit) ends the session: its state is unknown. */
/** @param {unknown} error */
function fail(error) {
  send({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  port?.close();
}

try {
  const database = await PGlite.create(directory, {
    ...(template === null ? {} : { loadDataDir: new Blob([readFileSync(template)], { type: 'application/gzip' }) }),
  });
  port.on('message', async (/** @type {Request} */ request) => {
    try {
      if (request.kind === 'exchange') {
        const bytes = database.execProtocolRawSync(request.bytes);
        send({ kind: 'answer', id: request.id, bytes });
      } else if (request.kind === 'dump') {
        const dump = await database.dumpDataDir('gzip');
        send({ kind: 'answer', id: request.id, bytes: new Uint8Array(await dump.arrayBuffer()) });
      } else {
        await database.close();
        send({ kind: 'answer', id: request.id, bytes: new Uint8Array(0) });
        port.close();
      }
    } catch (error) {
      fail(error);
    }
  });
  send({ kind: 'ready' });
} catch (error) {
  fail(error);
}

// The embedded server: PGlite in a thread of its own, so that a long statement never stalls the event loop.
// It speaks bytes of the PostgreSQL protocol and nothing else; pglite-session.ts on the other side gives them meaning.
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';

/**
 * @typedef {{ id: number, bytes?: Uint8Array }} Request Without bytes: write everything down and end.
 * @typedef {{ id: number, bytes: Uint8Array } | { failed: string }} Response Id 0 says that the server is ready.
 */

/**
 * 16 MB of buffers instead of 128: 110 MB less memory, and the system's page cache stands behind them. A WAL that
 * checkpoints (see housekeeping.ts) keep at 32 MB.
 */
const SETTINGS = ['shared_buffers=16MB', 'min_wal_size=32MB', 'max_wal_size=32MB'];

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
const NOTHING = new Uint8Array(0);

/** @param {Response} response */
const send = (response) => port.postMessage(response);

/**
 * What PGlite throws outside the protocol (a wasm trap, an exit) ends the session: its state is unknown.
 * @param {unknown} error
 */
function fail(error) {
  send({ failed: error instanceof Error ? error.message : String(error) });
  port.close();
}

try {
  const startParams = [...PGlite.defaultStartParams, ...SETTINGS.flatMap((setting) => ['-c', setting])];
  const database = await PGlite.create(/** @type {string} */ (workerData), { startParams });
  port.on('message', async (/** @type {Request} */ { id, bytes }) => {
    try {
      if (bytes !== undefined) {
        send({ id, bytes: database.execProtocolRawSync(bytes) });
        return;
      }
      await database.close();
      send({ id, bytes: NOTHING });
      port.close();
    } catch (error) {
      fail(error);
    }
  });
  send({ id: 0, bytes: NOTHING });
} catch (error) {
  fail(error);
}

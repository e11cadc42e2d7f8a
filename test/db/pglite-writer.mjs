// A process to be killed: inserts 1, 2, 3, … through the worker thread and prints each number once it is acknowledged.
import { Worker } from 'node:worker_threads';

const [directory, first] = process.argv.slice(2);
const worker = new Worker(new URL('../../db/pglite-worker.mjs', import.meta.url), { workerData: directory });

/** A simple Query message. */
function query(sql) {
  const text = Buffer.from(`${sql}\0`);
  const bytes = Buffer.alloc(5 + text.length);
  bytes.write('Q', 'latin1');
  bytes.writeInt32BE(4 + text.length, 1);
  text.copy(bytes, 5);
  return bytes;
}

let n = Number(first) - 1;
worker.on('message', (answer) => {
  if (answer.failed !== undefined) throw new Error(answer.failed);
  if (Buffer.from(answer.bytes).includes('SERROR')) throw new Error(Buffer.from(answer.bytes).toString('latin1'));
  if (answer.id > 0) process.stdout.write(`${answer.id}\n`);
  n += 1;
  worker.postMessage({ id: n, bytes: query(`begin; insert into kept values (${n}, repeat('x', 500)); commit`) });
});

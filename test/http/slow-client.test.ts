import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { adminApp } from '../../http/admin-app.ts';
import { respond } from '../../http/answer.ts';
import { LIMITS } from '../../http/limits.ts';
import { createMetrics } from '../../http/metrics.ts';
import { close, listen, plainServer } from '../../http/raw-server.ts';
import { readBody } from '../../http/read-body.ts';

const LOG = { debug() {}, info() {}, warn() {}, error() {} };
const deps = { log: LOG, metrics: createMetrics() };

/** A client that sends what it is given and collects what comes, until the server ends the connection. */
function client(port: number, text: string) {
  const received: Buffer[] = [];
  const socket = connect(port, '127.0.0.1', () => socket.write(text));
  socket.on('data', (part) => received.push(part)).on('error', () => {});
  return { socket, said: () => Buffer.concat(received).toString(), closed: once(socket, 'close') };
}

describe('a client that does not finish', () => {
  let server: Server;
  let port: number;
  let arrived: Promise<unknown>;
  beforeEach(async () => {
    server = plainServer((request: IncomingMessage, response) => {
      void respond(deps, 'test', request, response, async () => ({
        status: 200,
        body: await readBody(request, LIMITS.checkin),
      }));
    });
    port = await listen(server, { host: '127.0.0.1', port: 0 });
    arrived = once(server, 'request');
    // Ours only: node's sockets have timers of their own.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(async () => {
    vi.useRealTimers();
    await close(server);
  });

  it('I5: a body without progress is 408 after its limit, and the connection is ended later', async () => {
    const slow = client(port, 'PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc');
    await arrived;
    vi.advanceTimersByTime(LIMITS.checkin.idleMs - 1);
    expect(slow.said()).toBe('');
    vi.advanceTimersByTime(1);
    await expect.poll(slow.said).toMatch(/^HTTP\/1\.1 408[\s\S]*request_timeout/);
    expect(slow.socket.closed).toBe(false);
    vi.advanceTimersByTime(10_000);
    await slow.closed;
  });

  it('a body that is too large may still end: the answer is read and the connection lives on', async () => {
    const head = `PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: ${LIMITS.checkin.maxBytes + 1}\r\n\r\n`;
    const large = client(port, head);
    await arrived;
    await expect.poll(large.said).toMatch(/^HTTP\/1\.1 413/);
    large.socket.write(Buffer.alloc(LIMITS.checkin.maxBytes + 1));
    large.socket.write('PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok');
    await expect.poll(large.said).toMatch(/HTTP\/1\.1 200 OK[\s\S]*ok$/);
    vi.advanceTimersByTime(60_000);
    expect(large.socket.closed).toBe(false);
    large.socket.destroy();
  });
});

describe('limits', () => {
  it.each(Object.entries(LIMITS))('%s is a number of bytes and of milliseconds', (_name, { maxBytes, idleMs }) => {
    expect(Number.isSafeInteger(maxBytes) && maxBytes >= 0 && maxBytes <= 64 * 1024 * 1024).toBe(true);
    expect(Number.isSafeInteger(idleMs) && idleMs > 0 && idleMs <= 20_000).toBe(true);
  });
});

describe('a server that is not ready', () => {
  it('says so without the reason, and stays live', async () => {
    const ready = () => Promise.reject(new Error('password of the database: hunter2'));
    const server = plainServer(adminApp({ ...deps, tokenHash: Buffer.alloc(32), version: '0', ready, routers: [] }));
    const base = `http://127.0.0.1:${await listen(server, { host: '127.0.0.1', port: 0 })}`;
    const reply = await fetch(`${base}/readyz`);
    expect([reply.status, reply.headers.get('retry-after'), await reply.text()]).toEqual([
      503,
      '5',
      '{"status":"not_ready"}',
    ]);
    expect((await fetch(`${base}/livez`)).status).toBe(200);
    await close(server);
  });
});

import { createServer, request as httpRequest, type Server } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EspalierError } from '../../core/errors.ts';
import { bodyBytesInFlight } from '../../http/body-budget.ts';
import { close, listen } from '../../http/raw-server.ts';
import { readBody } from '../../http/read-body.ts';

const LIMIT = { maxBytes: 1000, idleMs: 150 };
let server: Server;
let port: number;
const codes: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    readBody(request, LIMIT).then(
      (body) => response.end(body),
      (error: EspalierError) => {
        codes.push(error.code);
        response.statusCode = 400;
        response.end(error.code);
      },
    );
  });
  port = await listen(server, { host: '127.0.0.1', port: 0 });
});
afterAll(() => close(server));

function put(
  chunks: readonly Buffer[],
  headers: Record<string, string> = {},
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, method: 'PUT', headers }, (response) => {
      const parts: Buffer[] = [];
      response
        .on('data', (part) => parts.push(part))
        .on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }));
    });
    request.on('error', reject);
    for (const chunk of chunks) request.write(chunk);
    request.end();
  });
}

describe('readBody', () => {
  it('returns a chunked body byte for byte', async () => {
    const answer = await put([Buffer.from('ab'), Buffer.from('cd')]);
    expect(answer).toEqual({ status: 200, body: 'abcd' });
  });

  it('H-04: refuses a declared length before reading and a chunked one as it grows', async () => {
    expect(await put([Buffer.alloc(1001)], { 'content-length': '1001' })).toEqual({
      status: 400,
      body: 'request_too_large',
    });
    expect(await put([Buffer.alloc(600), Buffer.alloc(600)])).toEqual({ status: 400, body: 'request_too_large' });
    expect(await put([Buffer.alloc(1000)])).toMatchObject({ status: 200 });
  });

  it('H-05: refuses compressed bodies', async () => {
    const answer = await put([gzipSync(Buffer.alloc(100))], { 'content-encoding': 'gzip' });
    expect(answer.body).toBe('request_unsupported_encoding');
  });

  it('I5: gives up a body that makes no progress, and holds no bytes of it afterwards', async () => {
    codes.length = 0;
    const socket = connect(port, '127.0.0.1');
    socket.write('PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 500\r\n\r\nabc');
    await expect.poll(() => codes).toContain('request_timeout');
    socket.destroy();
    expect(bodyBytesInFlight()).toBe(0);
  });

  it('a connection that closes in the middle is a typed error', async () => {
    codes.length = 0;
    const socket = connect(port, '127.0.0.1');
    socket.write('PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 500\r\n\r\nabc', () => socket.destroy());
    await expect.poll(() => codes).toContain('request_malformed');
    expect(bodyBytesInFlight()).toBe(0);
  });
});

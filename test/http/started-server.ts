/** A server as `espalier up --demo` starts it, in this process, and what is needed to speak to it. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Database, openDatabase } from '../../db/database.ts';
import { migrate } from '../../db/migrate.ts';
import { readSettings } from '../../server/settings.ts';
import { startServer } from '../../server/start.ts';
import { openPostgresUrl } from '../support/databases.ts';
import { pgliteTemplate } from '../support/pglite-pool.ts';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Several parts travel chunked. */
  readonly body?: Uint8Array | string | readonly Uint8Array[];
}

export interface TestServer {
  readonly adminUrl: string;
  readonly publicUrl: string;
  readonly data: string;
  readonly token: string;
  admin(call: Call): Promise<Reply>;
  device(call: Call): Promise<Reply>;
  stop(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A data folder whose embedded database need not be made first. */
export async function dataFolder(): Promise<string> {
  const data = mkdtempSync(path.join(tmpdir(), 'espalier-server-'));
  mkdirSync(path.join(data, 'postgres'), { mode: 0o700 });
  cpSync(await pgliteTemplate(), path.join(data, 'postgres'), { recursive: true });
  return data;
}

export async function startTestServer(
  kind: Database['kind'],
  prepare: (db: Database) => Promise<unknown> = async () => {},
): Promise<TestServer> {
  const data = await dataFolder();
  const postgres = kind === 'postgres' ? await openPostgresUrl() : undefined;
  const db = await openDatabase(postgres === undefined ? { dataFolder: data } : { databaseUrl: postgres.url });
  await migrate(db);
  await prepare(db);
  await db.close();

  const port = await freePort();
  const publicUrl = `https://127.0.0.1:${port}`;
  const settings = readSettings(
    {
      ESPALIER_PUBLIC_URL: publicUrl,
      ESPALIER_LISTEN: `127.0.0.1:${port}`,
      ESPALIER_ADMIN_LISTEN: '127.0.0.1:0',
      ESPALIER_DATA: data,
      ESPALIER_LOG_LEVEL: 'silent',
      ESPALIER_APNS_URL: 'https://127.0.0.1:1',
      ...(postgres === undefined ? {} : { ESPALIER_DATABASE_URL: postgres.url }),
    },
    { demo: true },
  );
  const server = await startServer(settings);
  const token = readFileSync(path.join(data, 'admin.token'), 'utf8').trim();
  const agents = {
    http: new HttpAgent({ keepAlive: true, maxSockets: 8 }),
    https: new HttpsAgent({ keepAlive: true, maxSockets: 8, rejectUnauthorized: false }),
  };
  return {
    adminUrl: server.adminUrl,
    publicUrl,
    data,
    token,
    admin: (call) =>
      exchange(server.adminUrl, agents, { ...call, headers: { authorization: `Bearer ${token}`, ...call.headers } }),
    device: (call) => exchange(publicUrl, agents, call),
    async stop() {
      agents.http.destroy();
      agents.https.destroy();
      await server.stop();
      await postgres?.drop();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** node's own client and not fetch: it sends paths and headers as they are given. */
function exchange(base: string, agents: { http: HttpAgent; https: HttpsAgent }, call: Call): Promise<Reply> {
  const { protocol, hostname, port } = new URL(base);
  const parts = Array.isArray(call.body) ? call.body : call.body === undefined ? [] : [call.body];
  const options = {
    hostname,
    port,
    method: call.method,
    path: call.path,
    headers: { ...(call.headers as Record<string, string> | undefined) },
  };
  return new Promise((resolve, reject) => {
    const request =
      protocol === 'https:'
        ? httpsRequest({ ...options, agent: agents.https })
        : httpRequest({ ...options, agent: agents.http });
    request.on('error', reject).on('response', (response) => {
      const received: Buffer[] = [];
      response
        .on('data', (part: Buffer) => received.push(part))
        .on('error', reject)
        .on('end', () => {
          const text = Buffer.concat(received).toString('utf8');
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
          // An answer that came before the body was sent: nobody waits for the rest.
          if (!request.writableEnded || request.getHeader('x-unfinished') !== undefined) request.destroy();
        });
    });
    const { length } = parts;
    if (length > 1) for (const part of parts) request.write(part);
    else if (parts[0] !== undefined) {
      const only = parts[0] as Uint8Array | string;
      if (!request.hasHeader('content-length') && !request.hasHeader('transfer-encoding'))
        request.setHeader('content-length', Buffer.byteLength(only));
      request.write(only);
    } else if (request.hasHeader('content-length')) {
      // Only the head travels: the length is a claim.
      request.setHeader('x-unfinished', '1');
      request.flushHeaders();
      return;
    }
    request.end();
  });
}

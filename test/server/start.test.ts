import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from 'node:tls';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../db/database.ts';
import { readSettings } from '../../server/settings.ts';
import { type RunningServer, startServer } from '../../server/start.ts';
import { keyPem, rsa } from '../cms/fixtures.ts';
import { dataFolder, freePort } from '../http/started-server.ts';
import { endPglite } from '../support/pglite-pool.ts';
import { enrolledHost } from '../support/rows.ts';
import { ca, leaf, pem } from './tls-files.ts';

const KEK = Buffer.alloc(32, 7).toString('base64');
const files = mkdtempSync(path.join(tmpdir(), 'espalier-tls-'));
const [certFile, keyFile] = [path.join(files, 'cert.pem'), path.join(files, 'key.pem')];
const identities = ['tls leaf', 'tls second', 'tls third'].map((name) => leaf({}, rsa(name)));

function writeTls(index: number, parts: readonly ('cert' | 'key')[] = ['key', 'cert']): void {
  const identity = identities[index];
  if (identity === undefined) throw new Error(`no identity ${index}`);
  for (const part of parts) {
    if (part === 'key') writeFileSync(keyFile, keyPem(identity.privateKey));
    else writeFileSync(certFile, pem(identity, ca));
  }
}

interface More {
  readonly data: string;
  readonly port?: number;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** Settings of a real installation: its own certificate, its own key-encryption key. */
async function settings({ data, port, environment }: More) {
  const listen = port ?? (await freePort());
  return readSettings({
    ESPALIER_PUBLIC_URL: `https://127.0.0.1:${listen}`,
    ESPALIER_LISTEN: `127.0.0.1:${listen}`,
    ESPALIER_ADMIN_LISTEN: '127.0.0.1:0',
    ESPALIER_DATA: data,
    ESPALIER_KEK: KEK,
    ESPALIER_TLS_CERT: certFile,
    ESPALIER_TLS_KEY: keyFile,
    ESPALIER_LOG_LEVEL: 'silent',
    ESPALIER_APNS_URL: 'https://127.0.0.1:1',
    ...environment,
  });
}

/** The certificate a client is shown, or undefined where the chain does not lead to our CA. */
function shown(url: string): Promise<Buffer | undefined> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(
      { host: hostname === '0.0.0.0' ? '127.0.0.1' : hostname, port: Number(port), ca: pem(ca) },
      () => {
        resolve(socket.getPeerCertificate().raw);
        socket.destroy();
      },
    ).on('error', () => resolve(undefined));
  });
}

beforeAll(() => writeTls(0));
afterAll(async () => {
  await endPglite();
  rmSync(files, { recursive: true, force: true });
});

describe('what is missing or wrong is refused before anything is made', () => {
  it.each([
    ['no KEK', { ESPALIER_KEK: undefined }, 'kek_missing'],
    ['a KEK of another length', { ESPALIER_KEK: 'c2hvcnQ=' }, 'kek_missing'],
    ['two KEKs', { ESPALIER_KEK_FILE: certFile }, 'kek_missing'],
    ['a KEK file that is not there', { ESPALIER_KEK: undefined, ESPALIER_KEK_FILE: '/nowhere/kek' }, 'kek_missing'],
    ['a certificate for another name', { ESPALIER_PUBLIC_URL: 'https://other.example.com' }, 'settings_invalid'],
    ['a certificate file that is not there', { ESPALIER_TLS_CERT: '/nowhere/cert.pem' }, 'settings_invalid'],
    ['a key of another certificate', { ESPALIER_TLS_KEY: certFile }, 'settings_invalid'],
  ])('%s', async (_name, environment, code) => {
    const data = path.join(files, 'never-made');
    const error: unknown = await startServer(await settings({ data, environment })).catch((thrown) => thrown);
    expect(error).toMatchObject({ code, message: expect.not.stringContaining(KEK) });
    expect(existsSync(data)).toBe(false);
  });
});

describe('a data folder', () => {
  let data: string;
  let server: RunningServer | undefined;
  let port: number;
  beforeAll(async () => {
    data = await dataFolder();
    port = await freePort();
    server = await startServer(await settings({ data, port }));
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(data, { recursive: true, force: true });
  });
  const token = () => readFileSync(path.join(data, 'admin.token'), 'utf8').trim();
  const hosts = (running: RunningServer, bearer: string) =>
    fetch(`${running.adminUrl}/api/v1/hosts`, { headers: { authorization: `Bearer ${bearer}` } }).then(
      ({ status }) => status,
    );

  it('holds a token that only its owner can read, and that opens the API', async () => {
    if (server === undefined) throw new Error('not started');
    expect(token()).toMatch(/^espalier_admin_[\w-]{43}$/);
    for (const name of ['admin.token', 'endpoint.json', 'espalier.lock'])
      expect(statSync(path.join(data, name)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path.join(data, 'endpoint.json'), 'utf8'))).toMatchObject({
      adminUrl: server.adminUrl,
      publicUrl: server.publicUrl,
    });
    expect([await hosts(server, token()), await hosts(server, 'x')]).toEqual([200, 401]);
  });

  it('is in use: a second server is refused and the first one goes on', async () => {
    if (server === undefined) throw new Error('not started');
    await expect(startServer(await settings({ data }))).rejects.toMatchObject({
      code: 'data_folder_in_use',
      fix: expect.any(String),
    });
    expect(await hosts(server, token())).toBe(200);
  });

  it('survives a stop: the same token, and nothing of a start that failed half-way stays', async () => {
    await server?.stop();
    server = undefined;
    const before = token();
    const taken: Server = createServer();
    await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
    await expect(startServer(await settings({ data, port }))).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await new Promise((resolve) => taken.close(resolve));
    server = await startServer(await settings({ data, port }));
    expect([token(), await hosts(server, before)]).toEqual([before, 200]);
  });

  it('another KEK opens none of its keys', async () => {
    await server?.stop();
    server = undefined;
    const environment = { ESPALIER_KEK: Buffer.alloc(32, 8).toString('base64') };
    await expect(startServer(await settings({ data, port, environment }))).rejects.toMatchObject({
      code: 'sealed_value_unreadable',
    });
  });

  it('another token than the database knows is refused, and not overwritten', async () => {
    const before = token();
    writeFileSync(path.join(data, 'admin.token'), 'espalier_admin_another\n');
    await expect(startServer(await settings({ data, port }))).rejects.toMatchObject({
      code: 'settings_invalid',
      fix: expect.stringContaining('admin.token'),
    });
    expect(token()).toBe('espalier_admin_another');
    writeFileSync(path.join(data, 'admin.token'), `${before}\n`);
  });

  it('PUBLIC_URL is refused once it moved away from enrolled Macs, and says the old one', async () => {
    const db = await openDatabase({ dataFolder: data });
    const { enrollment } = await enrolledHost(db);
    const frozen = JSON.stringify({ ServerURL: `https://127.0.0.1:${port}/mdm` });
    await sql`update enrollment set frozen = ${frozen}::jsonb where id = ${enrollment}`.execute(db.read);
    await db.close();
    await expect(startServer(await settings({ data }))).rejects.toMatchObject({
      code: 'settings_invalid',
      message: expect.stringContaining(`https://127.0.0.1:${port}`),
      fix: expect.stringContaining(`ESPALIER_PUBLIC_URL=https://127.0.0.1:${port}`),
    });
    server = await startServer(await settings({ data, port }));
    expect(await hosts(server, token())).toBe(200);
  });
});

describe('TLS files', () => {
  it('are read again when they change, for both listeners; what a Mac would refuse is not taken', async () => {
    const data = await dataFolder();
    writeTls(0);
    const server = await startServer(await settings({ data, environment: { ESPALIER_ADMIN_LISTEN: '0.0.0.0:0' } }));
    const both = () => Promise.all([server.publicUrl, server.adminUrl].map(shown));
    const certificate = (index: number) => [identities[index]?.der, identities[index]?.der];
    const patiently = { timeout: 20_000, interval: 200 };
    try {
      expect(server.adminUrl).toMatch(/^https:/);
      expect(await both()).toEqual(certificate(0));
      writeTls(1);
      await expect.poll(both, patiently).toEqual(certificate(1));
      // A certificate without serverAuth, then garbage: neither is ever shown.
      writeFileSync(certFile, pem(leaf({ extensions: { extendedKeyUsage: [] } }, rsa('tls second')), ca));
      writeFileSync(keyFile, 'garbage');
      // The certificate comes first and fits no key; only the key's coming makes a pair.
      writeTls(2, ['cert']);
      expect(await both()).toEqual(certificate(1));
      writeTls(2, ['key']);
      await expect.poll(both, patiently).toEqual(certificate(2));
    } finally {
      await server.stop();
      rmSync(data, { recursive: true, force: true });
    }
  });
});

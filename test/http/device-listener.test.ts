import { connect } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEVICE_PATHS } from '../../http/device-listener.ts';
import { LIMITS } from '../../http/limits.ts';
import { DEVICE_STATUSES } from '../../mdm/types.ts';
import { doublingBomb } from '../plist/support.ts';
import { startTestServer, type TestServer } from './started-server.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'] as const;
const plist = (inside: string) => `<?xml version="1.0"?><plist version="1.0"><dict>${inside}</dict></plist>`;

const BODIES: Readonly<Record<string, Buffer | string>> = {
  nothing: '',
  text: 'hello',
  'an empty dict': plist(''),
  'an unknown MessageType': plist(
    '<key>MessageType</key><string>Authenticat\u0065d</string><key>UDID</key><string>X</string>',
  ),
  Authenticate: plist('<key>MessageType</key><string>Authenticate</string><key>UDID</key><string>X</string>'),
  'a report': plist('<key>Status</key><string>Idle</string><key>UDID</key><string>X</string>'),
  'UDID twice': plist('<key>UDID</key><string>X</string><key>UDID</key><string>Y</string>'),
  'billion laughs': '<!DOCTYPE plist [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><plist><string>&b;</string></plist>',
  'a binary bomb': doublingBomb(40),
  'an array bomb': plist(`<key>a</key>${'<array>'.repeat(20_000)}`),
  JSON: '{}',
  'JSON with a wrong key': '{"node_key":"nobody","enroll_secret":"x","host_identifier":"x"}',
  'JSON bomb': '['.repeat(100_000),
  'half of a CMS message': Buffer.from('3080060 92a864886f70d010702a080'.replaceAll(' ', ''), 'hex'),
  noise: Buffer.alloc(50_000, 0xff),
};

/** What http says before or in place of a room; 401 is in no list. */
const OF_HTTP = [404, 405, 408, 409, 410, 413, 415, 503];
const CONTRACT = new Set<number>([...DEVICE_STATUSES.filter((status) => status !== 500), ...OF_HTTP]);
const SIGNATURES = [undefined, '', 'bm9uc2Vuc2U=', '%%%', 'A'.repeat(20_000)];

describe('the device listener', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer('pglite');
  });
  afterAll(() => server.stop());
  const paths = DEVICE_PATHS.map((path) => path.replace('*', 'nonsense'));

  it.each(paths)('%s answers every method and body in its contract, and never 401', async (path) => {
    const calls = METHODS.flatMap((method) => Object.entries(BODIES).map(([name, body]) => ({ method, name, body })));
    const replies = await Promise.all(
      calls.map(async ({ method, name, body }) => ({ method, name, ...(await server.device({ method, path, body })) })),
    );
    for (const { method, name, status, headers } of replies) {
      expect(CONTRACT, `${method} ${path} with ${name}: ${status}`).toContain(status);
      expect(status, `${method} ${path} with ${name}`).toBeLessThan(500);
      expect(headers['www-authenticate']).toBeUndefined();
    }
  });

  it.each(['/mdm', '/checkin'])('%s refuses every wrong or absent signature without 401', async (path) => {
    for (const signature of SIGNATURES) {
      const headers = signature === undefined ? {} : { 'mdm-signature': signature };
      const { status } = await server.device({ method: 'PUT', path, body: BODIES['a report'] ?? '', headers });
      expect([400, 403]).toContain(status);
    }
    for (const headers of [
      { authorization: 'Bearer nobody' },
      { 'x-ssl-client-cert': 'x', 'x-forwarded-client-cert': 'x', 'client-cert': ':AAAA:' },
    ])
      expect([400, 403]).toContain(
        (await server.device({ method: 'PUT', path, body: BODIES['a report'] ?? '', headers })).status,
      );
  });

  it('only PUT is a method of the MDM addresses', async () => {
    for (const path of ['/mdm', '/checkin'])
      for (const method of METHODS.filter((method) => method !== 'PUT')) {
        const { status, headers } = await server.device({ method, path });
        expect([path, method, status, headers['allow']]).toEqual([path, method, 405, 'PUT']);
      }
  });

  it.each([
    '/',
    '/MDM',
    '/mdm/',
    '/mdm/x',
    '/checkin/',
    '/mdm%2f',
    '/scep/pkiclient.exe',
    '/enroll',
    '/enroll/a/b',
    '/api',
    '/api/osquery',
    '/api/osquery/enroll/',
    '/api/v1/hosts',
    '/metrics',
    '/readyz',
    '/version',
    '/*',
    '/enroll*',
    '/__proto__',
    '/constructor',
    '/%',
    '/..%2f..%2fetc/passwd',
    '//',
    '/?',
  ])('%s: there is nothing here', async (path) => {
    const { status, headers } = await server.device({ method: 'GET', path });
    expect([path, status, headers['content-type']]).toEqual([path, 404, 'application/problem+json']);
  });

  it('the enrolment page says what is missing before a push certificate is there', async () => {
    const { status, text } = await server.device({ method: 'GET', path: '/enroll/nonsense' });
    expect([status, JSON.parse(text).code]).toEqual([409, 'push_certificate_missing']);
  });

  describe('limits', () => {
    const methodOf = (path: string) =>
      path === '/mdm' || path === '/checkin' ? 'PUT' : path === '/livez' ? 'GET' : 'POST';

    it.each(DEVICE_PATHS)(
      '%s refuses a declared length beyond every limit before a byte of it comes',
      async (pattern) => {
        const path = pattern.replace('*', 'nonsense');
        const { status, text } = await server.device({
          method: methodOf(path),
          path,
          headers: { 'content-length': '1099511627776' },
        });
        expect([status, JSON.parse(text).code]).toEqual([413, 'request_too_large']);
      },
    );

    it.each([
      ['/checkin', 'PUT', LIMITS.checkin.maxBytes],
      ['/scep?operation=PKIOperation', 'POST', LIMITS.scep.maxBytes],
      ['/enroll/x', 'POST', LIMITS.enroll.maxBytes],
      ['/api/osquery/enroll', 'POST', LIMITS.osqueryEnroll.maxBytes],
      ['/api/osquery/config', 'POST', LIMITS.osqueryConfig.maxBytes],
      ['/api/osquery/distributed/read', 'POST', LIMITS.osqueryRead.maxBytes],
    ])('%s counts a chunked body as it comes, and the client reads the answer', async (path, method, maxBytes) => {
      const half = Buffer.alloc(Math.ceil(maxBytes / 2) + 1, 0x20);
      const over = await server.device({ method, path, body: [half, half] });
      expect([over.status, JSON.parse(over.text).code]).toEqual([413, 'request_too_large']);
      const under = await server.device({ method, path, body: [half.subarray(2), half.subarray(2)] });
      expect(under.status).not.toBe(413);
    });

    it.each(paths)('%s refuses compressed bodies', async (path) => {
      const body = gzipSync(Buffer.alloc(1000));
      for (const encoding of ['gzip', 'GZIP', 'deflate', 'br', 'gzip, identity']) {
        const headers = { 'content-encoding': encoding };
        expect((await server.device({ method: methodOf(path), path, body, headers })).status).toBe(415);
      }
    });

    it('headers beyond 64 KiB are refused by the parser', async () => {
      const { status } = await server.device({
        method: 'PUT',
        path: '/mdm',
        headers: { 'mdm-signature': 'A'.repeat(70_000) },
      });
      expect(status).toBe(431);
    });

    it('a request that is no HTTP ends its own connection', async () => {
      for (const text of [
        'nonsense\r\n\r\n',
        'PUT /mdm HTTP/9.9\r\n\r\n',
        'PUT /mdm HTTP/1.1\r\ncontent-length: -1\r\n\r\n',
        'PUT /mdm HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      ])
        expect(await raw(server.publicUrl, text)).toMatch(/^HTTP\/1\.1 400/);
    });
  });

  it('is alive after all of it', async () => {
    expect(await server.device({ method: 'GET', path: '/livez' })).toMatchObject({
      status: 200,
      text: '{"status":"live"}',
    });
  });
});

/** Sends octets and returns what comes back until the server ends the connection. */
function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const received: Buffer[] = [];
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => socket.write(text));
    socket
      .on('data', (part) => received.push(part))
      .on('error', reject)
      .on('close', () => resolve(Buffer.concat(received).toString()));
  });
}

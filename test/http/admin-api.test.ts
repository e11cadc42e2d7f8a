import { readFileSync } from 'node:fs';
import type { Router } from 'express';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../core/errors.ts';
import { commandRoutes } from '../../http/routes/commands.ts';
import { driftRoutes } from '../../http/routes/drift.ts';
import { enrollLinkRoutes } from '../../http/routes/enroll-links.ts';
import { hostRoutes } from '../../http/routes/hosts.ts';
import { labelRoutes } from '../../http/routes/labels.ts';
import { osquerySecretRoutes } from '../../http/routes/osquery-secrets.ts';
import { profileSetRoutes } from '../../http/routes/profile-sets.ts';
import { profileRoutes } from '../../http/routes/profiles.ts';
import { pushCertificateRoutes } from '../../http/routes/push-certificates.ts';
import { stateRoutes } from '../../http/routes/states.ts';
import { teamRoutes } from '../../http/routes/teams.ts';
import { payload, upload } from '../profiles/mobileconfigs.ts';
import { hasPostgres } from '../support/databases.ts';
import { endPglite } from '../support/pglite-pool.ts';
import { type EnrolledHost, enrolledHost } from '../support/rows.ts';
import { CASES } from './malformed-requests.ts';
import { type Call, type Reply, startTestServer, type TestServer } from './started-server.ts';

/** Every route there is, read from the routers themselves: `POST /profiles`. Making a router calls none of its deps. */
const NOBODY = {} as never;
const ROUTERS: readonly Router[] = [
  driftRoutes(NOBODY),
  stateRoutes(NOBODY),
  hostRoutes(NOBODY),
  profileRoutes(NOBODY),
  profileSetRoutes(NOBODY),
  labelRoutes({ labels: NOBODY }),
  teamRoutes(NOBODY),
  commandRoutes(NOBODY),
  enrollLinkRoutes(NOBODY),
  pushCertificateRoutes(NOBODY),
  osquerySecretRoutes(NOBODY),
];
const ROUTES = ROUTERS.flatMap((router) =>
  router.stack.flatMap(({ route }) =>
    (route?.stack ?? []).map((layer) => `${layer.method.toUpperCase()} ${route?.path}`),
  ),
);

function eachServer(tests: (get: () => { server: TestServer; host: EnrolledHost }) => void): void {
  for (const kind of ['pglite', 'postgres'] as const) {
    describe.skipIf(kind === 'postgres' && !hasPostgres)(kind, () => {
      let server: TestServer;
      let host: EnrolledHost;
      beforeAll(async () => {
        server = await startTestServer(kind, async (db) => {
          host = await enrolledHost(db);
          // A server opens the key of each at its start, and this one is none.
          await sql`delete from push_certificate`.execute(db.read);
          const drift = [{ identifier: 'com.vendor.vpn', uuid: 'U', displayName: 'VPN', why: 'foreign' }];
          await sql`
            insert into recon (enrollment_id, team_id, observed_extra)
            values (${host.enrollment}, 1, ${JSON.stringify(drift)}::jsonb)
          `.execute(db.read);
        });
        for (const name of ['here', 'aimed'])
          await server.admin({ method: 'POST', path: '/api/v1/labels', body: JSON.stringify({ name }) });
        const aimed = upload({ PayloadIdentifier: 'com.example.aimed', PayloadContent: [payload(1)] });
        await server.admin({ method: 'POST', path: '/api/v1/profiles?label=aimed', body: aimed });
      });
      afterAll(async () => {
        await server.stop();
        await endPglite();
      });
      tests(() => ({ server, host }));
    });
  }
}

function expectProblem(reply: Reply, status: number, code: string, what: string): void {
  expect([what, reply.status, reply.headers['content-type']]).toEqual([what, status, 'application/problem+json']);
  const problem = JSON.parse(reply.text);
  expect([what, problem.code]).toEqual([what, code]);
  expect(problem).toMatchObject({
    status,
    type: `urn:espalier:problem:${code}`,
    title: expect.any(String),
    detail: expect.any(String),
    request_id: expect.any(String),
  });
  expect(ERROR_CODES).toContain(problem.code);
  expect(reply.text).not.toMatch(/node_modules|\.ts:\d|select |insert /);
  expectSecure(reply);
}

function expectSecure({ headers }: Reply): void {
  expect(headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
  });
  expect(headers['x-powered-by']).toBeUndefined();
}

it('the table of malformed requests has every route, and every route is in it', () => {
  expect(Object.keys(CASES).sort()).toEqual([...ROUTES].sort());
});

eachServer((get) => {
  const api = (call: Call) => get().server.admin({ ...call, path: `/api/v1${call.path}` });

  /** Everything a refused request might have changed, as the API shows it. */
  async function state(): Promise<unknown> {
    const paths = [
      '/hosts',
      '/labels',
      '/teams',
      '/profiles',
      '/push-certificates',
      `/hosts/${get().host.udid}/commands`,
      `/hosts/${get().host.udid}`,
    ];
    const replies = await Promise.all(paths.map((path) => api({ method: 'GET', path })));
    return replies.map(({ status, text }) => {
      expect(status).toBe(200);
      const { as_of: _asOf, commands, ...rest } = JSON.parse(text);
      // The reconciler asks the Mac for its profiles whenever it likes.
      return { ...rest, commands: commands?.filter(({ origin }: { origin: string }) => origin === 'api') };
    });
  }

  describe.each(ROUTES)('%s', (route) => {
    const method = route.slice(0, route.indexOf(' '));
    const example = `/api/v1${route.slice(route.indexOf(' ') + 1).replace(/:\w+/g, 'x')}`;

    it('is behind the token', async () => {
      const { server } = get();
      const wrong = [
        '',
        'Bearer',
        'Bearer ',
        `Bearer ${server.token}x`,
        `Bearer ${server.token.slice(0, -1)}`,
        `Basic ${server.token}`,
        server.token,
        'Bearer null',
        `Bearer ${server.token} x`,
      ];
      for (const authorization of wrong) {
        const reply = await server.admin({ method, path: example, headers: { authorization } });
        expectProblem(reply, 401, 'unauthorized', `${route} with ${authorization.slice(0, 12)}`);
        expect(reply.headers['www-authenticate']).toBe('Bearer');
        expect(reply.text).not.toContain(server.token);
      }
    });

    it('refuses what is malformed, says why, and changes nothing', async () => {
      const cases = CASES[route] ?? [];
      const before = await state();
      for (const { at, body, status, code } of cases) {
        const path = at.replace('SERIAL', get().host.udid);
        const reply = await api({ method, path, ...(body === undefined ? {} : { body }) });
        expectProblem(reply, status, code, `${method} ${at.slice(0, 100)} ${String(body ?? '').slice(0, 60)}`);
      }
      expect(await state()).toEqual(before);
    });

    it('takes no query parameter that it does not know: what it does not know is not done', async () => {
      const before = await state();
      const reply = await api({ method, path: `${example.slice('/api/v1'.length)}?dry_runs=true`, body: '{}' });
      expectProblem(reply, 400, 'request_malformed', route);
      const { detail, fix } = JSON.parse(reply.text);
      expect(detail).toBe('there is no query parameter "dry_runs" here');
      expect(fix).toMatch(/^This request takes (none|[a-z_]+(, [a-z_]+)*)\. Nothing was changed\.$/);
      expect(await state()).toEqual(before);
    });

    it('has a limit: no body of any length is waited for', async () => {
      const reply = await get().server.admin({ method, path: example, headers: { 'content-length': '1099511627776' } });
      // A route that reads no body answers without it.
      const readsNone = method === 'GET' || (method === 'DELETE' && !route.endsWith('/hosts'));
      expect(reply.status === 413).toBe(!readsNone);
      expect((await get().server.admin({ method: 'GET', path: '/livez' })).status).toBe(200);
    });
  });

  it('a dry run of what has none is refused and not done', async () => {
    const { udid } = get().host;
    const hosts = JSON.stringify({ hosts: [udid] });
    for (const [method, path, body] of [
      ['POST', '/labels/here/hosts', hosts],
      ['PUT', '/labels/here/hosts', hosts],
      ['DELETE', '/labels/here/hosts', hosts],
      ['PATCH', '/labels/here', '{"name":"there"}'],
      ['POST', '/labels', '{"name":"another"}'],
      ['POST', '/teams', '{"name":"another"}'],
      ['PUT', `/hosts/${udid}/team`, '{"team":"Default"}'],
    ] as const) {
      const before = await state();
      const reply = await api({ method, path: `${path}?dry_run=true`, body });
      expectProblem(reply, 400, 'request_malformed', `${method} ${path}`);
      expect(await state()).toEqual(before);
    }
  });

  it('a refused profile is answered with every finding and its place', async () => {
    const body = upload({
      PayloadVersion: 2,
      PayloadContent: [payload(1, { PayloadUUID: 'x', PayloadType: 'com.apple.mdm' })],
    });
    const { status, text } = await api({ method: 'POST', path: '/profiles', body });
    expect(status).toBe(422);
    const findings = JSON.parse(text).findings as { code: string; path: string; severity: string }[];
    expect(findings.map(({ code, path, severity }) => `${severity} ${code} ${path}`)).toEqual([
      'error payload_version_unsupported PayloadVersion',
      'error payload_type_forbidden PayloadContent[0].PayloadType',
      'warning uuid_malformed PayloadContent[0].PayloadUUID',
    ]);
  });

  it('a fault in the text of a profile is located', async () => {
    const { text } = await api({
      method: 'POST',
      path: '/profiles',
      body: '<plist>\n<dict>\n<key>A</key><integer>x</integer></dict></plist>',
    });
    expect(JSON.parse(text)).toMatchObject({ code: 'profile_malformed', place: { line: 3, path: 'A' } });
  });

  it('what is well-formed is done: upload, download, list, delete, command', async () => {
    const body = upload({ PayloadIdentifier: 'com.example.good' });
    const created = await api({ method: 'POST', path: '/profiles?label=here&min_os=14', body });
    expect([created.status, JSON.parse(created.text).outcome]).toEqual([201, 'created']);
    expectSecure(created);
    const { id, version_id } = JSON.parse(created.text);
    const download = await api({ method: 'GET', path: `/profiles/${id}/versions/${version_id}/mobileconfig` });
    expect([download.status, download.text]).toEqual([200, body.toString('utf8')]);
    expect(JSON.parse((await api({ method: 'GET', path: `/profiles/${id}` })).text)).toMatchObject({
      include: 'any',
      labels: ['here'],
      min_os: '14',
    });
    expect((await api({ method: 'DELETE', path: `/profiles/${id}` })).status).toBe(200);
    expect((await api({ method: 'GET', path: `/profiles/${id}` })).status).toBe(404);

    const command =
      '<plist version="1.0"><dict><key>CommandUUID</key><string>C-1</string><key>Command</key><dict><key>RequestType</key><string>ProfileList</string></dict></dict></plist>';
    const queued = await api({ method: 'POST', path: `/hosts/${get().host.udid}/commands`, body: command });
    expect([queued.status, JSON.parse(queued.text).command_uuid]).toEqual([202, 'C-1']);
    expectProblem(
      await api({ method: 'POST', path: `/hosts/${get().host.udid}/commands`, body: command }),
      409,
      'conflict',
      'the same CommandUUID',
    );
  });

  it('counts come with the lists behind them, and the lists with the counts', async () => {
    const read = async (path: string) => JSON.parse((await api({ method: 'GET', path })).text);
    const { id } = (await read('/profiles')).profiles[0];
    const profile = await read(`/profiles/${id}`);
    expect(profile.states.map(({ state }: { state: string }) => state)).toEqual(Object.keys(profile.counts));
    expect(profile.states[0].hosts_url).toBe(`/api/v1/profiles/${id}/hosts?state=verified`);
    for (const { hosts_url, count } of profile.states) {
      const { hosts, next_cursor, as_of } = await read(hosts_url.slice('/api/v1'.length));
      expect([hosts.length, next_cursor, typeof as_of]).toEqual([count, null, 'string']);
    }
    const status = await read('/status');
    expect(status).toMatchObject({ hosts: { total: 1 }, pairs: { in_scope: 0, waiting: [], errors: [] } });
    for (const { hosts_url, count } of status.hosts.states) {
      const { hosts, next_cursor } = await read(hosts_url.slice('/api/v1'.length));
      expect([hosts.length, next_cursor]).toEqual([count, null]);
    }
    expect((await read('/hosts?waiting=os_gate')).hosts).toEqual([]);
    expect((await read('/hosts?error=device_locked&team=Default')).hosts).toEqual([]);
    const unknown = await api({ method: 'GET', path: '/hosts?error=foo' });
    for (const code of ['device_locked', 'command_format_refused', 'device_error', 'not_observed'])
      expect(unknown.text).toContain(code);
  });

  it('drift is a page with what each kind means, and the counts come with the first', async () => {
    const page = JSON.parse((await api({ method: 'GET', path: '/drift?team=Default&kind=foreign&limit=1' })).text);
    expect(page).toMatchObject({
      counts: { foreign: 1, left_over: 0 },
      next_cursor: null,
      drift: [
        { kind: 'foreign', identifier: 'com.vendor.vpn', display_name: 'VPN', team: 'Default', channel: 'device' },
      ],
    });
    expect(page.drift[0].says).toMatch(/did not install it/);
    const after = JSON.parse((await api({ method: 'GET', path: '/drift?cursor=999999999.0' })).text);
    expect(after).toMatchObject({ counts: null, drift: [], next_cursor: null });
  });

  it('methods and paths that do not exist are not found, with the token', async () => {
    for (const [method, path] of [
      ['PATCH', '/hosts'],
      ['PUT', '/profiles'],
      ['GET', '/'],
      ['GET', '/hosts/'],
      ['GET', '/nothing'],
      ['GET', '/__proto__'],
      ['POST', '/hosts/x/y/z'],
    ] as const) {
      const { status } = await api({ method, path });
      expect([method, path, status]).toEqual([method, path, path === '/hosts/' ? 200 : 404]);
    }
    expect((await get().server.admin({ method: 'GET', path: '/nothing', headers: { authorization: '' } })).status).toBe(
      404,
    );
  });

  it('compressed bodies are refused', async () => {
    const reply = await api({ method: 'POST', path: '/profiles', body: 'x', headers: { 'content-encoding': 'gzip' } });
    expectProblem(reply, 415, 'request_unsupported_encoding', 'gzip');
  });

  it('health, version and metrics are open, say nothing secret, and count', async () => {
    const { server } = get();
    const open = (path: string) => server.admin({ method: 'GET', path, headers: { authorization: '' } });
    const [live, ready, version, metrics] = await Promise.all(['/livez', '/readyz', '/version', '/metrics'].map(open));
    expect([live?.text, ready?.text]).toEqual(['{"status":"live"}', '{"status":"ready"}']);
    const { version: wanted } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(JSON.parse(version?.text ?? '')).toEqual({ version: wanted });
    expect(metrics?.text).toMatch(/^espalier_http_requests_total\{route="admin",status="200"\} \d+$/m);
    expect(metrics?.text).not.toContain(server.token);
    for (const reply of [live, ready, version, metrics]) if (reply !== undefined) expectSecure(reply);
  });
});

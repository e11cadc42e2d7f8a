/** Requests that every route of the admin API must refuse, by route; `SERIAL` stands for a Mac that is enrolled. */
import { upload } from '../profiles/mobileconfigs.ts';

/** One malformed request: what stands after the route's path or in its place, the body, the answer. */
interface Bad {
  readonly at: string;
  readonly body?: Uint8Array | string;
  readonly status: number;
  readonly code: string;
}
const bad = (at: string, status: number, code: string, body?: Uint8Array | string): Bad => ({
  at,
  status,
  code,
  ...(body === undefined ? {} : { body }),
});

const NOT_JSON = [
  '',
  '{',
  'null',
  '[]',
  '"x"',
  '5',
  '[1',
  'NaN',
  '\ufeff{}',
  '['.repeat(100_000),
  '{"__proto__":{"admin":true}}',
  '{"unknown":1}',
];
const HOST = '/hosts/no-such-host';
const BASE64 = upload().toString('base64');

function badJson(at: string, ...more: readonly (readonly [object, number, string])[]): readonly Bad[] {
  return [
    ...NOT_JSON.map((body) => bad(at, 400, 'request_malformed', body)),
    ...more.map(([body, status, code]) => bad(at, status, code, JSON.stringify(body))),
  ];
}
const badIds = (path: (id: string) => string, code: string): readonly Bad[] => [
  ...['0', '999999', '2147483647'].map((id) => bad(path(id), 404, code)),
  ...['-1', '1.5', '1e3', 'abc', '2147483648', '99999999999999999999', '%20', "1'--", '..%2f1', '%D9%A3', '0x1'].map(
    (id) => bad(path(id), 404, 'not_found'),
  ),
  bad(path('%00'), 400, 'request_malformed'),
  bad(path('%E0%A4%A'), 400, 'request_malformed'),
];
const badHosts = (path: (host: string) => string, body?: string): readonly Bad[] => [
  ...[
    'no-such-host',
    '00000000-0000-7000-8000-000000000000',
    "';--",
    '..%2f',
    '%20',
    '%F0%9F%98%80',
    '__proto__',
    'x'.repeat(5000),
    '*',
    '%25',
  ].map((host) => bad(path(host), 404, 'host_not_found', body)),
  bad(path('%00'), 400, 'request_malformed', body),
  bad(path('%ZZ'), 400, 'request_malformed', body),
];
const members = (method: string): readonly Bad[] => [
  ...badJson(
    '/labels/here/hosts',
    [{ hosts: 'x' }, 400, 'request_malformed'],
    [{ hosts: [5] }, 400, 'request_malformed'],
    [{ hosts: [], more: 1 }, 400, 'request_malformed'],
    [{ hosts: ['a\0b'] }, 400, 'request_malformed'],
    [{ hosts: ['no-such-host'] }, 404, 'host_not_found'],
  ),
  bad(`/labels/nowhere/hosts`, 404, 'label_not_found', JSON.stringify({ hosts: [] })),
  bad(`/labels/%00/hosts`, 400, 'request_malformed', JSON.stringify({ hosts: [] })),
  bad(`/labels/here/hosts`, 413, 'request_too_large', JSON.stringify({ hosts: [method.padEnd(1_100_000)] })),
];
const NAMES = ['', '   ', 'a\nb', 'a\0b', 'x'.repeat(256)].map((name) => [{ name }, 400, 'request_malformed'] as const);

export const CASES: Readonly<Record<string, readonly Bad[]>> = {
  'GET /hosts': [
    ...[
      'limit=0',
      'limit=501',
      'limit=-1',
      'limit=1.5',
      'limit=x',
      'limit=',
      'cursor=x',
      'cursor=',
      'unknown=1',
      'team=%00',
      `query=${'x'.repeat(256)}`,
      '__proto__=1',
      'state=none',
      'state=unmanaged',
      'waiting=none',
      'error=',
      'error=foo',
      'cursor=1',
      'state=failed&label=here',
      'state=failed&query=x',
      'state=failed&waiting=os_gate',
      'state=failed&cursor=00000000-0000-7000-8000-000000000000',
    ].map((query) => bad(`/hosts?${query}`, 400, 'request_malformed')),
    bad('/hosts?state=failed&team=nowhere', 404, 'team_not_found'),
  ],
  'GET /drift': [
    ...[
      'limit=0',
      'limit=1001',
      'limit=x',
      'cursor=x',
      'cursor=',
      'cursor=1',
      'cursor=1.',
      'cursor=-1.2',
      'cursor=1.2.3',
    ]
      .concat([`cursor=1.${'9'.repeat(16)}`, 'kind=none', 'kind=', 'unknown=1', 'team=%00', '__proto__=1'])
      .map((query) => bad(`/drift?${query}`, 400, 'request_malformed')),
    bad('/drift?team=nowhere', 404, 'team_not_found'),
  ],
  'GET /hosts/:host': badHosts((host) => `/hosts/${host}`),
  'PUT /hosts/:host/team': [
    ...badHosts((host) => `/hosts/${host}/team`, '{"team":"Default"}'),
    ...badJson(
      `${HOST}/team`,
      [{ team: 'nowhere' }, 404, 'team_not_found'],
      [{ team: 5 }, 400, 'request_malformed'],
      [{ team: 'a\0' }, 400, 'request_malformed'],
      [{ team: 'Default', x: 1 }, 400, 'request_malformed'],
    ),
  ],
  'GET /hosts/:host/profiles': badHosts((host) => `/hosts/${host}/profiles`),
  'GET /hosts/:host/profiles/:identifier/why': [
    ...badHosts((host) => `/hosts/${host}/profiles/x/why`),
    bad('/hosts/SERIAL/profiles/no.such.profile/why', 404, 'profile_not_found'),
    bad('/hosts/SERIAL/profiles/%00/why', 400, 'request_malformed'),
  ],
  'GET /status': [bad('/status?unknown=1', 400, 'request_malformed')],
  'GET /profiles/:id/hosts': [
    ...badIds((id) => `/profiles/${id}/hosts`, 'profile_not_found'),
    ...[
      'state=none',
      'state=not_in_scope',
      'waiting=x',
      'error=',
      'error=foo',
      'limit=0',
      'limit=501',
      'cursor=x',
      'cursor=-1',
      'u=1',
    ].map((query) => bad(`/profiles/1/hosts?${query}`, 400, 'request_malformed')),
  ],
  'POST /profiles/:id/resend': [
    ...badIds((id) => `/profiles/${id}/resend?state=failed`, 'profile_not_found'),
    ...['', '?state=verified', '?state=failed&x=1'].map((query) =>
      bad(`/profiles/1/resend${query}`, 400, 'request_malformed'),
    ),
  ],
  'POST /hosts/:host/profiles/:identifier/resend': [
    ...badHosts((host) => `/hosts/${host}/profiles/x/resend`),
    bad('/hosts/SERIAL/profiles/no.such.profile/resend', 404, 'profile_not_found'),
    bad('/hosts/SERIAL/profiles/%00/resend', 400, 'request_malformed'),
    bad('/hosts/SERIAL/profiles/com.example.aimed/resend?channel=both', 400, 'request_malformed'),
    // No push certificate, and aimed at nobody.
    bad('/hosts/SERIAL/profiles/com.example.aimed/resend', 409, 'conflict'),
  ],
  'POST /profiles': [
    bad('/profiles', 400, 'profile_malformed', ''),
    bad('/profiles', 400, 'profile_malformed', '{}'),
    bad('/profiles', 400, 'profile_malformed', Buffer.from('bplist00')),
    bad('/profiles', 400, 'profile_malformed', '<!DOCTYPE plist [<!ENTITY a "b">]><plist><dict/></plist>'),
    bad('/profiles', 422, 'profile_invalid', upload({ PayloadVersion: 2 })),
    bad('/profiles', 422, 'profile_invalid', upload({ PayloadIdentifier: 'org.espalier.enrollment' })),
    bad('/profiles?team=nowhere', 404, 'team_not_found', upload()),
    bad('/profiles?label=nowhere', 404, 'label_not_found', upload()),
    bad('/profiles?exclude_label=nowhere', 404, 'label_not_found', upload()),
    ...[
      'unknown=1',
      'include=some',
      'include=all',
      'label=%00',
      'label=here&label=here',
      'include=none&label=here',
      'name=',
      `name=${'x'.repeat(256)}`,
      'name=a%00',
      'delivery=verbatim',
      'delivery=some',
      'dry_run=1',
      'author=',
      'min_os=x',
      'min_os=',
      'max_os=14.1.1.1',
      'team=%00',
    ].map((query) => bad(`/profiles?${query}`, 400, 'request_malformed', upload())),
    bad('/profiles', 413, 'request_too_large', Buffer.alloc(33 * 1024 * 1024)),
  ],
  'GET /profiles': [
    bad('/profiles?team=nowhere', 404, 'team_not_found'),
    bad('/profiles?team=%00', 400, 'request_malformed'),
    bad('/profiles?deleted=1', 400, 'request_malformed'),
    bad('/profiles?unknown=1', 400, 'request_malformed'),
  ],
  'GET /profiles/:id': badIds((id) => `/profiles/${id}`, 'profile_not_found'),
  'DELETE /profiles/:id': [
    ...badIds((id) => `/profiles/${id}`, 'profile_not_found'),
    bad('/profiles/1?dry_run=yes', 400, 'request_malformed'),
    bad('/profiles/1?author=', 400, 'request_malformed'),
    bad('/profiles/1?unknown=1', 400, 'request_malformed'),
  ],
  'PATCH /profiles/:id': [
    ...badIds((id) => `/profiles/${id}`, 'profile_not_found').map((one) => ({ ...one, body: '{"name":"x"}' })),
    ...badJson(
      '/profiles/1',
      [{}, 400, 'request_malformed'],
      [{ name: '' }, 400, 'request_malformed'],
      [{ name: 'a\0b' }, 400, 'request_malformed'],
      [{ labels: 'here' }, 400, 'request_malformed'],
      [{ labels: ['here', 'here'] }, 400, 'request_malformed'],
      [{ labels: ['nowhere'] }, 404, 'label_not_found'],
      [{ exclude_labels: ['aimed'] }, 400, 'request_malformed'],
      [{ include: 'some' }, 400, 'request_malformed'],
      [{ include: 'all', labels: [] }, 400, 'request_malformed'],
      [{ min_os: 'x' }, 400, 'request_malformed'],
      [{ min_os: '15', max_os: '14' }, 400, 'request_malformed'],
    ),
    bad('/profiles/1?dry_run=1', 400, 'request_malformed', '{"name":"x"}'),
  ],
  'POST /profiles/:id/restore': [
    ...badIds((id) => `/profiles/${id}/restore`, 'profile_not_found'),
    bad('/profiles/1/restore', 404, 'profile_not_found'),
    bad('/profiles/1/restore', 400, 'request_malformed', '{'),
    bad('/profiles/1/restore', 400, 'request_malformed', '{"unknown":1}'),
  ],
  'POST /profiles/:id/versions/:version/restore': [
    ...badIds((id) => `/profiles/${id}/versions/1/restore`, 'profile_not_found'),
    ...badIds((id) => `/profiles/1/versions/${id}/restore`, 'profile_not_found'),
    bad('/profiles/1/versions/1/restore', 400, 'request_malformed', '{"name":"x"}'),
    bad('/profiles/1/versions/1/restore?dry_run=', 400, 'request_malformed'),
  ],
  'GET /profiles/:id/versions/:version/diff/:to': [
    ...badIds((id) => `/profiles/${id}/versions/1/diff/1`, 'profile_not_found'),
    ...badIds((id) => `/profiles/1/versions/${id}/diff/1`, 'profile_not_found'),
    ...badIds((id) => `/profiles/1/versions/1/diff/${id}`, 'profile_not_found'),
  ],
  'PUT /teams/:team/profiles': [
    ...badJson(
      '/teams/Default/profiles',
      [{ profiles: [] }, 400, 'request_malformed'],
      [{ profiles: [{}] }, 400, 'request_malformed'],
      [{ profiles: [{ mobileconfig: 'a' }] }, 400, 'request_malformed'],
      [{ profiles: [{ mobileconfig: '*' }] }, 400, 'request_malformed'],
      [{ profiles: [{ mobileconfig: '', labels: 'here' }] }, 400, 'request_malformed'],
      [{ profiles: [{ mobileconfig: '', more: 1 }] }, 400, 'request_malformed'],
      [{ profiles: Array(1001).fill({ mobileconfig: '' }) }, 400, 'request_malformed'],
      [{ profiles: [{ mobileconfig: '' }] }, 422, 'profile_invalid'],
      [{ profiles: [{ mobileconfig: upload({ PayloadVersion: 2 }).toString('base64') }] }, 422, 'profile_invalid'],
      [{ profiles: [{ mobileconfig: BASE64, labels: ['nowhere'] }] }, 422, 'profile_invalid'],
      [{ profiles: [{ mobileconfig: BASE64 }, { mobileconfig: BASE64 }] }, 422, 'profile_invalid'],
      [{ profiles: [{ mobileconfig: BASE64 }], max_removals: -1 }, 400, 'request_malformed'],
      [{ profiles: [{ mobileconfig: BASE64 }], max_removals: 0 }, 409, 'conflict'],
      [{ profiles: [], allow_empty: 'yes' }, 400, 'request_malformed'],
    ),
    bad('/teams/nowhere/profiles', 404, 'team_not_found', '{"profiles":[]}'),
    bad('/teams/%00/profiles', 400, 'request_malformed', '{"profiles":[]}'),
    bad('/teams/Default/profiles?dry_run=maybe', 400, 'request_malformed', '{"profiles":[]}'),
    bad('/teams/Default/profiles', 413, 'request_too_large', Buffer.alloc(65 * 1024 * 1024)),
  ],
  'GET /profiles/:id/versions/:version/mobileconfig': [
    ...badIds((id) => `/profiles/${id}/versions/1/mobileconfig`, 'profile_not_found'),
    ...badIds((id) => `/profiles/1/versions/${id}/mobileconfig`, 'profile_not_found'),
  ],
  'GET /labels': [],
  'POST /labels': badJson(
    '/labels',
    ...NAMES,
    [{ name: 5 }, 400, 'request_malformed'],
    [{ name: 'here' }, 409, 'label_exists'],
    [{ name: 'x', kind: 'dynamic' }, 400, 'request_malformed'],
    [{ name: 'x', kind: 'other' }, 400, 'request_malformed'],
    [{ name: 'x', kind: 'manual', query: 'SELECT 1' }, 400, 'request_malformed'],
    [{ name: 'x', query: 5 }, 400, 'request_malformed'],
    [{ name: 'x', query: '' }, 400, 'request_malformed'],
    [{ name: 'x', query: 'DROP TABLE host' }, 400, 'request_malformed'],
    [{ name: 'x', query: 'SELECT 1; SELECT 2' }, 400, 'request_malformed'],
    [{ name: 'x', query: 'SELECT a\0' }, 400, 'request_malformed'],
    [{ name: 'x', kind: 'host_vitals' }, 400, 'request_malformed'],
    [{ name: 'x', criteria: null }, 400, 'request_malformed'],
    [{ name: 'x', criteria: { rules: [] } }, 400, 'request_malformed'],
    [{ name: 'x', criteria: { rules: [{ field: 'udid', op: 'is', value: 'x' }] } }, 400, 'request_malformed'],
  ),
  'GET /labels/:label': [
    bad('/labels/nowhere', 404, 'label_not_found'),
    bad('/labels/%00', 400, 'request_malformed'),
    bad('/labels/%E0%A4%A', 400, 'request_malformed'),
  ],
  'PATCH /labels/:label': [
    ...badJson(
      '/labels/here',
      ...NAMES,
      [{}, 400, 'request_malformed'],
      [{ name: 'aimed' }, 409, 'label_exists'],
      [{ query: 'SELECT 1' }, 400, 'request_malformed'],
      [{ criteria: { rules: [] } }, 400, 'request_malformed'],
      [{ kind: 'dynamic' }, 400, 'request_malformed'],
    ),
    bad('/labels/nowhere', 404, 'label_not_found', '{"name":"x"}'),
    bad('/labels/%00', 400, 'request_malformed', '{"name":"x"}'),
  ],
  'PUT /labels/:label/hosts': members('PUT'),
  'POST /labels/:label/hosts': members('POST'),
  'DELETE /labels/:label/hosts': members('DELETE'),
  'DELETE /labels/:label': [
    bad('/labels/nowhere', 404, 'label_not_found'),
    bad('/labels/%00', 400, 'request_malformed'),
    bad('/labels/aimed', 409, 'conflict'),
    bad('/labels/aimed?dry_run=true', 409, 'conflict'),
    ...['detach=1', 'detach=', 'dry_run=yes', 'unknown=1'].map((query) =>
      bad(`/labels/here?${query}`, 400, 'request_malformed'),
    ),
  ],
  'GET /teams': [],
  'POST /teams': badJson(
    '/teams',
    ...NAMES,
    [{ name: null }, 400, 'request_malformed'],
    [{ name: 'Default' }, 409, 'team_exists'],
  ),
  'PATCH /teams/:team': [
    ...badJson(
      '/teams/Default',
      ...NAMES,
      [{ name: null }, 400, 'request_malformed'],
      [{ name: 'x' }, 409, 'conflict'],
    ),
    bad('/teams/nowhere', 404, 'team_not_found', '{"name":"x"}'),
    bad('/teams/%00', 400, 'request_malformed', '{"name":"x"}'),
  ],
  'DELETE /teams/:team': [
    bad('/teams/nowhere', 404, 'team_not_found'),
    bad('/teams/Default', 409, 'conflict'),
    bad('/teams/Default?dry_run=true', 409, 'conflict'),
    bad('/teams/Default?move_to=nowhere', 404, 'team_not_found'),
    bad('/teams/%00', 400, 'request_malformed'),
    ...['move_to=%00', 'dry_run=1', 'unknown=1'].map((query) => bad(`/teams/x?${query}`, 400, 'request_malformed')),
  ],
  'GET /hosts/:host/commands': [
    ...badHosts((host) => `/hosts/${host}/commands`),
    ...['limit=0', 'limit=201', 'limit=x', 'unknown=1'].map((query) =>
      bad(`/hosts/SERIAL/commands?${query}`, 400, 'request_malformed'),
    ),
  ],
  'POST /hosts/:host/commands': [
    ...badHosts((host) => `/hosts/${host}/commands`, 'x'),
    bad('/hosts/SERIAL/commands', 400, 'plist_malformed', ''),
    bad('/hosts/SERIAL/commands', 400, 'plist_malformed', '{"RequestType":"DeviceLock"}'),
    bad('/hosts/SERIAL/commands', 400, 'plist_malformed', Buffer.from('bplist00')),
    bad(
      '/hosts/SERIAL/commands',
      400,
      'plist_entity_refused',
      '<!DOCTYPE plist [<!ENTITY a "b">]><plist><dict/></plist>',
    ),
    bad('/hosts/SERIAL/commands', 400, 'plist_too_deep', `<plist>${'<array>'.repeat(100)}`),
    ...[
      '<array/>',
      '<dict/>',
      '<string>x</string>',
      '<dict><key>RequestType</key><integer>1</integer></dict>',
      '<dict><key>RequestType</key><string>LaunchMissiles</string></dict>',
      '<dict><key>Command</key><dict/></dict>',
      '<dict><key>CommandUUID</key><string>a b</string><key>Command</key><dict><key>RequestType</key><string>ProfileList</string></dict></dict>',
    ].map((inside) => bad('/hosts/SERIAL/commands', 422, 'command_invalid', `<plist version="1.0">${inside}</plist>`)),
    bad('/hosts/SERIAL/commands?channel=user', 422, 'command_invalid', '<plist><dict/></plist>'),
    bad('/hosts/SERIAL/commands?channel=both', 400, 'request_malformed', '<plist><dict/></plist>'),
    bad('/hosts/SERIAL/commands?unknown=1', 400, 'request_malformed', '<plist><dict/></plist>'),
    bad('/hosts/SERIAL/commands', 413, 'request_too_large', Buffer.alloc(33 * 1024 * 1024)),
  ],
  'GET /hosts/:host/commands/:uuid': [
    ...badHosts((host) => `/hosts/${host}/commands/x`),
    ...['x', 'x'.repeat(5000), "';--", '%20'].map((uuid) =>
      bad(`/hosts/SERIAL/commands/${uuid}`, 404, 'command_not_found'),
    ),
    bad('/hosts/SERIAL/commands/%00', 400, 'request_malformed'),
  ],
  'POST /enroll-links': badJson(
    '/enroll-links',
    ...[
      { uses: 0 },
      { uses: '1' },
      { uses: 1.5 },
      { uses: 1e9 },
      { ttl_seconds: 1 },
      { ttl_seconds: 1e12 },
      { serial_number: '' },
      { serial_number: 'a\0' },
      { serial_number: 'x'.repeat(65) },
      { team: null },
    ].map((body) => [body, 400, 'request_malformed'] as const),
    [{ team: 'nowhere' }, 404, 'team_not_found'],
  ),
  'GET /push-certificates': [],
  'PUT /push-certificates': badJson(
    '/push-certificates',
    [{ certificate: 'x' }, 400, 'request_malformed'],
    [{ certificate: '', private_key: '' }, 400, 'request_malformed'],
    [{ certificate: 'x', private_key: 'y' }, 422, 'push_certificate_invalid'],
    [
      { certificate: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', private_key: 'y' },
      422,
      'push_certificate_invalid',
    ],
  ),
  'POST /osquery/enroll-secrets': badJson(
    '/osquery/enroll-secrets',
    [{ team: 'nowhere' }, 404, 'team_not_found'],
    [{ team: 5 }, 400, 'request_malformed'],
  ),
};

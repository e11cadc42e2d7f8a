import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { writePlistBytes } from '../../plist/write.ts';
import { Agent, type AgentOptions } from '../../simulator/agent.ts';
import type { SimulatedMac } from '../../simulator/mac.ts';
import { type Row, runQuery, SqlError, type Table } from '../../simulator/osquery-sql.ts';
import { aMac } from './support/a-mac.ts';
import { type Json, TinyOsquery } from './support/tiny-osquery.ts';
import { makeWorld, TinyServer, type World } from './support/tiny-server.ts';

let world: World;
let tiny: TinyOsquery;
let server: TinyServer;
let mac: SimulatedMac;
let agents: Agent[] = [];
beforeAll(() => {
  world = makeWorld();
});
beforeEach(async () => {
  tiny = await TinyOsquery.start(world);
  server = await TinyServer.start(world);
  mac = aMac(server);
});
afterEach(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  agents = [];
  await Promise.all([tiny.close(), server.close()]);
});

function anAgent(options: Partial<AgentOptions> = {}): Agent {
  const agent = new Agent(mac, { flags: tiny.flags, ...options });
  agents.push(agent);
  return agent;
}

const PROFILE = {
  PayloadType: 'Configuration',
  PayloadVersion: 1,
  PayloadIdentifier: 'org.example.dock',
  PayloadUUID: 'AAAAAAAA-0000-4000-8000-000000000001',
  PayloadDisplayName: 'Dock',
  PayloadOrganization: 'Example',
  PayloadContent: [
    {
      PayloadType: 'com.apple.dock',
      PayloadVersion: 1,
      PayloadIdentifier: 'org.example.dock.1',
      PayloadUUID: 'AAAAAAAA-0000-4000-8000-000000000002',
    },
  ],
};

describe('MAC-80 enrolling', () => {
  it('says who the host is, and keeps the node key with the Mac', async () => {
    const agent = anAgent();
    expect(await agent.runDistributed()).toBe(true);
    expect(mac.nodeKey).toBe('key 1');
    const [enroll] = tiny.at('/enroll');
    expect(enroll).toMatchObject({
      enroll_secret: 'secret',
      host_identifier: mac.identity.udid,
      platform_type: '21',
      host_details: {
        system_info: { uuid: mac.identity.udid, hardware_serial: mac.identity.serialNumber },
        os_version: { version: mac.identity.osVersion },
        osquery_info: { version: '5.13.1' },
      },
    });
    await anAgent().runDistributed();
    expect(tiny.at('/enroll')).toHaveLength(1);
  });

  it('gives up for this time when the secret is refused', async () => {
    const agent = anAgent({ flags: { ...tiny.flags, enroll_secret: 'wrong' } });
    expect(await agent.runDistributed()).toBe(false);
    expect(tiny.at('/read')).toEqual([]);
  });

  it('MAC-81 node_invalid throws the key away, whatever the status, and the next call enrols', async () => {
    const agent = anAgent();
    await agent.runDistributed();
    tiny.forgetKeys();
    expect(await agent.runDistributed()).toBe(false);
    expect(mac.nodeKey).toBeUndefined();
    expect(await agent.runDistributed()).toBe(true);
    expect(mac.nodeKey).toBe('key 2');
  });

  it('MAC-81 an error without node_invalid keeps the key, even as 401', async () => {
    const agent = anAgent();
    await agent.runDistributed();
    tiny.answers['/read'] = () => ({ status: 401, body: { error: 'the database is away' } });
    expect(await agent.runDistributed()).toBe(false);
    expect(mac.nodeKey).toBe('key 1');
  });
});

describe('distributed queries', () => {
  const write = async (work: Json, options: Partial<AgentOptions> = {}): Promise<Json | undefined> => {
    tiny.queries = work;
    await anAgent(options).runDistributed();
    return tiny.at('/write').at(-1);
  };

  it('MAC-82 macos_profiles is the device channel of the Mac’s own store', async () => {
    mac.installByHand(writePlistBytes(PROFILE));
    const written = await write({ queries: { profiles: 'SELECT * FROM macos_profiles' } });
    const stored = mac.profiles('device')[0];
    expect(written).toMatchObject({ statuses: { profiles: 0 }, messages: { profiles: '' } });
    expect(written?.['queries']).toEqual({
      profiles: [
        {
          identifier: 'org.example.dock',
          install_date: `${stored?.installedAt.slice(0, 19).replace('T', ' ')} +0000`,
          display_name: 'Dock',
          description: '',
          verification_state: 'unsigned',
          uuid: PROFILE.PayloadUUID,
          organization: 'Example',
          type: 'Configuration',
        },
      ],
    });
    const newer = await write({ queries: { p: 'SELECT * FROM macos_profiles' } }, { checksumColumn: true });
    expect(newer?.['queries']).toEqual({ p: [expect.objectContaining({ payload_checksum: stored?.checksum })] });
  });

  it('MAC-83 without the extension the table does not exist, which is status 1 and not zero rows', async () => {
    const written = await write({ queries: { p: 'SELECT * FROM macos_profiles' } }, { profilesTable: false });
    expect(written).toMatchObject({
      queries: { p: [] },
      statuses: { p: 1 },
      messages: { p: 'no such table: macos_profiles' },
    });
  });

  it('MAC-84 a query whose discovery has no rows is not run; one without discovery is', async () => {
    const registry = (name: string) =>
      `SELECT 1 FROM osquery_registry WHERE active = true AND registry = 'table' AND name = '${name}'`;
    const queries = { a: 'SELECT uuid FROM system_info', b: 'SELECT uuid FROM system_info', c: 'SELECT 1' };
    const written = await write({ queries, discovery: { a: registry('os_version'), b: registry('macos_rsr') } });
    expect(written?.['queries']).toEqual({ a: [{ uuid: mac.identity.udid }], c: [{ '1': '1' }] });
  });

  it('MAC-84 discovery that fails as SQL throws the whole work away', async () => {
    const discovery = { a: 'SELECT 1 FROM nothing' };
    expect(await write({ queries: { a: 'SELECT 1', b: 'SELECT 1' }, discovery })).toBeUndefined();
  });

  it('MAC-85 results that were not taken go with the next write', async () => {
    tiny.queries = { queries: { a: 'SELECT 1' } };
    tiny.answers['/write'] = () => ({ status: 503, body: { error: 'later' } });
    const agent = anAgent();
    expect(await agent.runDistributed()).toBe(false);
    tiny.answers = {};
    tiny.queries = { queries: { b: 'SELECT 1' } };
    expect(await agent.runDistributed()).toBe(true);
    expect(Object.keys(tiny.at('/write').at(-1)?.['queries'] ?? {})).toEqual(['a', 'b']);
  });

  it('nothing asked is nothing written', async () => {
    await write({ queries: {} });
    await write({});
    expect(tiny.at('/write')).toEqual([]);
  });
});

describe('what admins ask about', () => {
  const rowsOf = async (agent: Agent, sql: string): Promise<unknown> => {
    tiny.queries = { queries: { q: sql } };
    await agent.runDistributed();
    const written = tiny.at('/write').at(-1);
    return written?.['statuses'] === undefined ? undefined : (written['queries'] as Record<string, unknown>)['q'];
  };
  const CHAT = "SELECT 1 FROM apps WHERE bundle_identifier = 'org.example.chat'";

  it('MAC-88 apps are those installed now', async () => {
    const agent = anAgent();
    expect(await rowsOf(agent, CHAT)).toEqual([]);
    mac.installApp({ name: 'Chat', bundleIdentifier: 'org.example.chat', shortVersion: '4.2' });
    expect(await rowsOf(agent, CHAT)).toEqual([{ '1': '1' }]);
    const sql = "SELECT name, path, bundle_short_version FROM apps WHERE name LIKE 'chat%'";
    expect(await rowsOf(agent, sql)).toEqual([
      { name: 'Chat.app', path: '/Applications/Chat.app', bundle_short_version: '4.2' },
    ]);
    mac.removeApp('org.example.chat');
    expect(await rowsOf(agent, CHAT)).toEqual([]);
  });

  it('MAC-88 the system version is that of now', async () => {
    const agent = anAgent();
    mac.updateSystem({ osVersion: '26.0', buildVersion: '25A100' });
    expect(await rowsOf(agent, 'SELECT version FROM os_version WHERE major >= 26')).toEqual([{ version: '26.0' }]);
  });

  it('MAC-88 managed_policies has a row for each key of a preference payload', async () => {
    const payload = { ...PROFILE.PayloadContent[0], autohide: true, tilesize: 48, 'persistent-apps': [1] };
    mac.installByHand(writePlistBytes({ ...PROFILE, PayloadContent: [payload] }));
    const sql = "SELECT name, value FROM managed_policies WHERE domain = 'com.apple.dock' ORDER BY name";
    expect(await rowsOf(anAgent(), sql)).toEqual([
      { name: 'autohide', value: '1' },
      { name: 'persistent-apps', value: '' },
      { name: 'tilesize', value: '48' },
    ]);
  });

  it('MAC-89 macos_user_profiles is fleetd’s, and wants to be told which user', async () => {
    const sql = "SELECT identifier FROM macos_user_profiles WHERE username = 'ana'";
    await rowsOf(anAgent(), sql);
    expect(tiny.at('/write').at(-1)).toMatchObject({ messages: { q: 'no such table: macos_user_profiles' } });
    expect(await rowsOf(anAgent({ orbit: true }), sql)).toEqual([]);
    expect(tiny.at('/write').at(-1)).toMatchObject({ statuses: { q: 0 } });
    await rowsOf(anAgent({ orbit: true }), 'SELECT identifier FROM macos_user_profiles');
    expect(tiny.at('/write').at(-1)).toMatchObject({ statuses: { q: 1 } });
  });

  it('MAC-90 a query that fails is status 1 with its message, the others are answered', async () => {
    const agent = anAgent({ faults: { failing: { query: /^a$/, message: 'database is locked' } } });
    tiny.queries = { queries: { a: 'SELECT 1', b: 'SELECT 1' } };
    await agent.runDistributed();
    expect(tiny.at('/write').at(-1)).toMatchObject({
      queries: { a: [], b: [{ '1': '1' }] },
      statuses: { a: 1, b: 0 },
      messages: { a: 'database is locked', b: '' },
    });
  });

  it('MAC-90 an answer that flaps has no rows every second time', async () => {
    const agent = anAgent({ faults: { flapping: /^q$/ } });
    const answers = [];
    for (let round = 0; round < 3; round += 1) answers.push(await rowsOf(agent, 'SELECT 1'));
    expect(answers).toEqual([[{ '1': '1' }], [], [{ '1': '1' }]]);
  });

  it('MAC-90 a report may name an identifier twice', async () => {
    mac.installByHand(writePlistBytes(PROFILE));
    const agent = anAgent({ faults: { duplicated: /macos_profiles/ } });
    const rows = (await rowsOf(agent, 'SELECT identifier, uuid FROM macos_profiles')) as Row[];
    expect(rows.map(({ identifier }) => identifier)).toEqual(['org.example.dock', 'org.example.dock']);
    expect(rows[0]?.['uuid']).not.toBe(rows[1]?.['uuid']);
  });

  it('MAC-90 an agent that died asks nothing until it is started again', async () => {
    const agent = anAgent({ flags: { ...tiny.flags, distributed_interval: 0.01 } });
    agent.kill();
    agent.start();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(tiny.at('/read')).toEqual([]);
    agent.revive();
    await expect.poll(() => tiny.at('/read').length).toBeGreaterThan(0);
  });

  it('a table it lacks is an SQL error, and the registry does not list it', async () => {
    const agent = anAgent({ withoutTables: ['apps'] });
    await rowsOf(agent, CHAT);
    expect(tiny.at('/write').at(-1)).toMatchObject({ messages: { q: 'no such table: apps' } });
    expect(await rowsOf(agent, "SELECT name FROM osquery_registry WHERE name = 'apps'")).toEqual([]);
  });
});

describe('configuration and log', () => {
  it('MAC-86 takes the interval from the configuration, and hurries when asked to', async () => {
    tiny.answers['/config'] = () => ({ body: { options: { distributed_interval: 17 } } });
    const agent = anAgent();
    await agent.refreshConfig();
    expect(agent.interval).toBe(17);
    tiny.queries = { queries: {}, accelerate: 60 };
    await agent.runDistributed();
    expect(agent.interval).toBe(5);
  });

  it('posts status lines', async () => {
    expect(await anAgent().log([{ message: 'hello' }])).toBe(true);
    expect(tiny.at('/log')[0]).toMatchObject({ log_type: 'status', node_key: 'key 1', data: [{ message: 'hello' }] });
  });
});

describe('the SQL an agent is asked', () => {
  const rows = [
    { name: 'a', n: '1' },
    { name: "b'c", n: '2' },
  ];
  const tables = new Map<string, Table>([['t', { columns: ['name', 'n'], rows: () => rows }]]);

  it.each<[string, Row[]]>([
    ['SELECT * FROM t', rows],
    ['select NAME from T where n = 2;', [{ name: "b'c" }]],
    ["SELECT n AS m, 'x' AS y FROM t WHERE name = 'b''c'", [{ m: '2', y: 'x' }]],
    ["SELECT n FROM t WHERE name LIKE 'B%' AND n <> 1", [{ n: '2' }]],
    ["SELECT n FROM t WHERE name IN ('a', 'z') LIMIT 1", [{ n: '1' }]],
    ['SELECT count(*) FROM t WHERE n != 1', [{ 'count(*)': '1' }]],
    ['SELECT 1', [{ '1': '1' }]],
  ])('%s', (sql, expected) => {
    expect(runQuery(sql, tables)).toEqual(expected);
  });

  it.each([
    ['SELECT * FROM u', 'no such table: u'],
    ['SELECT z FROM t', 'no such column: z'],
    ['SELECT * FROM t UNION SELECT 1', 'near "UNION": syntax error'],
    ['DROP TABLE t', 'near "DROP": syntax error'],
    ['SELECT', 'incomplete input'],
    ['SELECT # FROM t', 'unrecognized token'],
  ])('%s is refused: %s', (sql, message) => {
    expect(() => runQuery(sql, tables)).toThrow(SqlError);
    expect(() => runQuery(sql, tables)).toThrow(message);
  });
});

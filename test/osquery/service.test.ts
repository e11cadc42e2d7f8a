import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Effect } from '../../core/effects.ts';
import { monotonicIds } from '../../core/ids.ts';
import { systemRandom } from '../../core/system.ts';
import type { Database } from '../../db/database.ts';
import { hostStore } from '../../db/host-store.ts';
import { osqueryStore } from '../../db/osquery-store.ts';
import { createInventory } from '../../hosts/inventory.ts';
import { type AgentEndpoint, createOsqueryService } from '../../osquery/service.ts';
import { eachDatabase } from '../support/databases.ts';
import { enrolledHost } from '../support/rows.ts';

const HOUR_MS = 3_600_000;
const PROFILES_EVERY_MS = 10 * 60_000;
const LOG = { debug() {}, info() {}, warn() {}, error() {} };

const row = {
  identifier: 'com.example.wifi',
  install_date: '1767225600',
  display_name: 'Wi-Fi',
  uuid: '3F2504E0-4F89-11D3-9A0C-0305E82C3301',
};
const TABLES = [{ name: 'macos_profiles' }];

eachDatabase((_kind, open) => {
  let db: Database;
  let now = new Date('2026-03-01T12:00:00Z');
  let effects: Effect[] = [];
  let failEffects = false;
  /** What is said of profiles, and not of the host itself. */
  const observed = () => effects.filter((effect) => effect.kind !== 'host_facts_changed');
  const clock = { now: () => now };
  const later = (ms: number) => {
    now = new Date(now.getTime() + ms);
  };

  function serviceOn(database: Database) {
    const ids = monotonicIds(clock, systemRandom);
    const hosts = createInventory({ store: hostStore(database), unitOfWork: database, clock, ids, wakeAfter() {} });
    return createOsqueryService({
      store: osqueryStore(database),
      unitOfWork: database,
      hosts,
      async applyEffects(_tx, asked) {
        if (failEffects) throw new Error('an effect failed');
        effects.push(...asked);
      },
      clock,
      random: systemRandom,
      log: LOG,
      intervalMs: 10_000,
      profilesEveryMs: PROFILES_EVERY_MS,
      labelsEveryMs: HOUR_MS,
    });
  }
  type Service = ReturnType<typeof serviceOn>;
  let service: Service;
  let secret: string;

  const ask = (endpoint: AgentEndpoint, body: unknown, on: Service = service) =>
    on.handle(endpoint, Buffer.from(JSON.stringify(body)));

  async function enroll(hostIdentifier: string, more: object = {}, on: Service = service): Promise<string> {
    const { body } = await ask('enroll', { enroll_secret: secret, host_identifier: hostIdentifier, ...more }, on);
    if (typeof body['node_key'] !== 'string') throw new Error(`not enrolled: ${JSON.stringify(body)}`);
    return body['node_key'];
  }
  const read = async (nodeKey: string, on: Service = service) =>
    Object.keys(((await ask('distributed/read', { node_key: nodeKey }, on)).body['queries'] ?? {}) as object).sort();
  const PROFILES = ['espalier_build', 'espalier_profiles', 'espalier_tables'];
  const ALL = [
    'espalier_build',
    'espalier_os',
    'espalier_policies',
    'espalier_profiles',
    'espalier_system',
    'espalier_tables',
  ];
  const facts = (system: object = {}, os: object = {}) => ({ espalier_system: [system], espalier_os: [os] });
  const write = (nodeKey: string, queries: object, more: object = {}) =>
    ask('distributed/write', { node_key: nodeKey, queries, ...more });
  const host = async (id: string) => {
    const { rows } = await sql<Record<string, unknown>>`select * from host where id = ${id}`.execute(db.read);
    return rows[0];
  };
  const count = async (table: 'host' | 'osquery_node') => {
    const { rows } = await sql<{ n: number }>`select count(*)::int as n from ${sql.table(table)}`.execute(db.read);
    return rows[0]?.n;
  };

  beforeAll(async () => {
    db = await open();
    service = serviceOn(db);
    secret = await service.createSecret(1);
  });
  afterAll(() => db.close());
  beforeEach(() => {
    effects = [];
    failEffects = false;
  });

  describe('enrol', () => {
    it('with the right secret: a node key, and the host that MDM knows already', async () => {
      const mac = await enrolledHost(db);
      const before = await count('host');
      const key = await enroll(mac.udid.toLowerCase());
      expect(key).toMatch(/^[\w-]{32}$/);
      expect(await count('host')).toBe(before);
      const { rows } = await sql<{ host_id: string; node_key_hash: Buffer }>`
        select host_id, node_key_hash from osquery_node order by id desc limit 1`.execute(db.read);
      expect(rows[0]?.host_id).toBe(mac.hostId);
      expect(rows[0]?.node_key_hash.includes(key)).toBe(false);
    });

    it('an agent that comes before MDM makes the host, in the team of its secret, with its details', async () => {
      const { rows: teams } = await sql<{
        id: number;
      }>`insert into team (name) values ('Agents first') returning id`.execute(db.read);
      const teamId = teams[0]?.id ?? 0;
      const teamSecret = await service.createSecret(teamId);
      const details = {
        system_info: {
          uuid: 'UUID-OF-FIRST',
          hardware_serial: 'FIRST1',
          computer_name: 'first',
          hardware_model: 'Mac15,6',
        },
        os_version: { version: '15.1', build: '24B83' },
        osquery_info: { version: '5.14.1' },
      };
      await enroll('some-host-name', { enroll_secret: teamSecret, host_details: details });
      const { rows } = await sql<{ id: string }>`select id from host where hardware_uuid = 'UUID-OF-FIRST'`.execute(
        db.read,
      );
      expect(await host(rows[0]?.id ?? '')).toMatchObject({
        serial_number: 'FIRST1',
        name: 'first',
        model: 'Mac15,6',
        os_version: '15.1',
        build_version: '24B83',
        team_id: teamId,
      });
    });

    it.each([
      ['a wrong secret', { enroll_secret: 'wrong', host_identifier: 'x' }],
      ['no secret', { host_identifier: 'x' }],
      ['an empty secret', { enroll_secret: '', host_identifier: 'x' }],
      ['a secret that is a list', { enroll_secret: ['x'], host_identifier: 'x' }],
      ['a secret that is an object', { enroll_secret: { $ne: '' }, host_identifier: 'x' }],
    ])('%s: node_invalid, and nothing is made', async (_name, body) => {
      const before = [await count('host'), await count('osquery_node')];
      expect(await ask('enroll', body)).toEqual({ status: 200, body: { node_invalid: true } });
      expect([await count('host'), await count('osquery_node')]).toEqual(before);
    });

    it.each(['', '\0', null, {}, []])('host identifier %j: refused', async (hostIdentifier) => {
      const { body } = await ask('enroll', { enroll_secret: secret, host_identifier: hostIdentifier });
      expect(body).toEqual({ node_invalid: true });
    });

    it('a retired secret enrols nobody, and whoever enrolled with it stays', async () => {
      const retired = await service.createSecret(1);
      const key = await enroll('retired-1', { enroll_secret: retired });
      await sql`update osquery_enroll_secret set retired_at = ${now} where hash = sha256(${retired}::bytea)`.execute(
        db.read,
      );
      expect((await ask('enroll', { enroll_secret: retired, host_identifier: 'retired-2' })).body).toEqual({
        node_invalid: true,
      });
      expect((await ask('config', { node_key: key })).body).toHaveProperty('options');
    });

    it('again: the old key is superseded at once, and the new one is the same host', async () => {
      const old = await enroll('twice');
      expect((await ask('config', { node_key: old })).body).toHaveProperty('options');
      const fresh = await enroll('twice');
      expect((await ask('config', { node_key: old })).body).toEqual({ node_invalid: true });
      expect((await ask('config', { node_key: fresh })).body).toHaveProperty('options');
      const { rows } = await sql`select distinct host_id from osquery_node where host_identifier = 'twice'`.execute(
        db.read,
      );
      expect(rows).toHaveLength(1);
    });

    it('identifiers of any size and script end in a host or a refusal, never in a fault of ours', async () => {
      for (const identifier of [
        '漢'.repeat(4000),
        '😀'.repeat(3000),
        '\ud800',
        '; drop table host; --',
        'a\u0000b',
        '__proto__',
      ]) {
        const key = await enroll(identifier, {
          host_details: { system_info: { hardware_serial: randomScript(4000), uuid: randomScript(4000) } },
        });
        expect((await ask('config', { node_key: key })).body).toHaveProperty('options');
      }
    });
  });

  describe('who is asking', () => {
    it.each(['config', 'distributed/read', 'distributed/write', 'log'] as const)(
      '%s: an unknown key is node_invalid true, a known one never is',
      async (endpoint) => {
        for (const body of [
          {},
          { node_key: 'unknown' },
          { node_key: '' },
          { node_key: null },
          { node_key: ['x'] },
          { node_key: 'x'.repeat(100_000) },
        ])
          expect(await ask(endpoint, body)).toEqual({ status: 200, body: { node_invalid: true } });
        const known = await ask(endpoint, { node_key: await enroll(`known-${endpoint}`) });
        expect(known.status).toBe(200);
        expect(known.body).not.toHaveProperty('node_invalid');
      },
    );

    it.each(['', 'null', '[]', '"x"', '5', '{', '{"node_key":', `${'['.repeat(50_000)}`, '\ufeff{}', 'NaN'])(
      'a body that is no JSON object (%#) is 400, and does not send the agent to enrol again',
      async (text) => {
        for (const endpoint of ['enroll', 'config', 'distributed/read', 'distributed/write', 'log'] as const) {
          const { status, body } = await service.handle(endpoint, Buffer.from(text));
          expect(status).toBe(400);
          expect(body).not.toHaveProperty('node_invalid');
          expect(body).toHaveProperty('error');
        }
      },
    );

    it('S16: the host comes from the key; what the body says of hosts moves nothing', async () => {
      const [mine, victim] = [await enrolledHost(db), await enrolledHost(db)];
      const key = await enroll(mine.udid);
      const before = await host(victim.hostId);
      await write(
        key,
        {
          espalier_profiles: [row],
          espalier_tables: TABLES,
          ...facts({ uuid: victim.udid, hardware_serial: before?.['serial_number'], computer_name: 'evil' }),
        },
        { host_identifier: victim.udid, host_id: victim.hostId, hostId: victim.hostId, enrollment: victim.enrollment },
      );
      expect(observed().map((effect) => effect.kind === 'profiles_observed' && effect.enrollment)).toEqual([
        mine.enrollment,
      ]);
      expect(await host(victim.hostId)).toEqual(before);
      expect(await host(mine.hostId)).toMatchObject({ name: 'evil', hardware_uuid: mine.udid, udid: mine.udid });
    });
  });

  describe('config and read', () => {
    it('config names the interval in seconds', async () => {
      const { body } = await ask('config', { node_key: await enroll('config') });
      expect(body).toEqual({ options: { distributed_interval: 10, disable_distributed: false } });
    });

    it("fleetd is asked for each managed user's profiles, and only for users whose name can be one", async () => {
      const mac = await enrolledHost(db);
      const other = await enrolledHost(db);
      const channel = async (of: typeof mac, user: string) => {
        const { rows } = await sql<{ id: number }>`
          insert into enrollment (enrollment_id, type, channel, host_id, device_id, user_id, user_short_name, state, generation, topic, binding)
          select enrollment_id || ${user}::text, 'User', 'user', host_id, id, ${user}, ${user}, 'enrolled', 1, topic, binding
          from enrollment where id = ${of.enrollment} returning id
        `.execute(db.read);
        return rows[0]?.id ?? 0;
      };
      const anna = await channel(mac, 'anna.b');
      const odd = await channel(mac, "x' OR 1=1 --");
      const eve = await channel(other, 'eve');
      const key = await enroll(mac.udid);
      expect(await read(key)).toEqual(ALL);
      const fleetd = [...TABLES, { name: 'macos_user_profiles' }];
      await write(key, { espalier_profiles: [row], espalier_tables: fleetd, ...facts({ computer_name: 'x' }) });
      later(PROFILES_EVERY_MS * 1.2);
      const { body } = await ask('distributed/read', { node_key: key });
      const queries = body['queries'] as Record<string, string>;
      expect(queries[`espalier_user_profiles_${anna}`]).toBe(
        "SELECT * FROM macos_user_profiles WHERE username = 'anna.b'",
      );
      expect(Object.keys(queries).filter((name) => name.includes('user_profiles'))).toHaveLength(1);
      expect(Object.keys(body['discovery'] as object).sort()).toEqual(Object.keys(queries).sort());

      effects = [];
      // A user of another host, and one that does not exist, are nobody's.
      await write(key, {
        [`espalier_user_profiles_${anna}`]: [row],
        [`espalier_user_profiles_${eve}`]: [row],
        espalier_user_profiles_999999: [row],
        espalier_profiles: [row],
      });
      expect(observed().map((effect) => effect.kind === 'profiles_observed' && effect.enrollment)).toEqual([
        mac.enrollment,
        anna,
      ]);
      expect(odd).toBeGreaterThan(0);
    });

    it('managed policies of the whole device are an effect of their own; none is no answer', async () => {
      const mac = await enrolledHost(db);
      const key = await enroll(mac.udid);
      await write(key, { espalier_policies: [] });
      expect(effects).toEqual([]);
      await write(key, { espalier_policies: [{ domain: 'com.vendor.app', name: 'Key', value: '1' }, { domain: 'x' }] });
      expect(effects).toEqual([
        {
          kind: 'policies_observed',
          enrollment: mac.enrollment,
          policies: [{ domain: 'com.vendor.app', name: 'Key' }],
        },
      ]);
    });

    it('asks at once, asks again until a report comes, and then only when due', async () => {
      const key = await enroll('due');
      expect(await read(key)).toEqual(ALL);
      expect(await read(key)).toEqual(ALL);
      await write(key, { espalier_profiles: [row], espalier_tables: TABLES, ...facts({ computer_name: 'due' }) });
      expect(await read(key)).toEqual([]);
      // 0.9 to 1.1 of the interval
      later(PROFILES_EVERY_MS * 0.89);
      expect(await read(key)).toEqual([]);
      later(PROFILES_EVERY_MS * 0.22);
      expect(await read(key)).toEqual(PROFILES);
      await write(key, { espalier_profiles: [], espalier_tables: TABLES });
      expect(await read(key)).toEqual([]);
      later(HOUR_MS * 1.1);
      expect(await read(key)).toEqual(ALL);
    });

    it('every query comes with its discovery, which is never empty', async () => {
      const { body } = await ask('distributed/read', { node_key: await enroll('discovery') });
      const { queries, discovery } = body as { queries: Record<string, string>; discovery: Record<string, string> };
      expect(Object.keys(discovery)).toEqual(Object.keys(queries));
      for (const text of [...Object.values(queries), ...Object.values(discovery)]) expect(text).toMatch(/^SELECT /);
      expect(discovery['espalier_profiles']).not.toMatch(/FROM macos_profiles/i);
    });

    it('a Mac whose operation waits for evidence is asked without waiting, as long as it waits', async () => {
      const mac = await enrolledHost(db);
      const other = await enrolledHost(db);
      const [key, otherKey] = [await enroll(mac.udid), await enroll(other.udid)];
      for (const one of [key, otherKey]) {
        await read(one);
        await write(one, { espalier_profiles: [], espalier_tables: TABLES, ...facts({ computer_name: 'x' }) });
      }
      await sql`
        with s as (insert into slot (kind, channel, identifier) values ('mdm', 'device', 'waits') returning id)
        insert into op (enrollment_id, slot_id, op, version_id, generation, enrollment_generation, state, created_at, updated_at)
        select ${mac.enrollment}, id, 'install', 1, 1, 1, 'queued', ${now}, ${now} from s`.execute(db.read);
      await service.refresh();
      expect(await read(key)).toEqual([]);
      await sql`update op set state = 'acked'`.execute(db.read);
      expect(await read(key)).toEqual([]);
      await service.refresh();
      expect([await read(key), await read(otherKey)]).toEqual([PROFILES, []]);
      await write(key, { espalier_profiles: [row], espalier_tables: TABLES });
      expect(await read(key)).toEqual(PROFILES);
      await sql`delete from op`.execute(db.read);
      await service.refresh();
      expect(await read(key)).toEqual([]);
    });
  });

  describe('write', () => {
    const observations = [
      ['rows', { espalier_profiles: [row], espalier_tables: TABLES }, {}],
      ['zero_rows', { espalier_profiles: [], espalier_tables: TABLES }, {}],
      ['zero_rows', { espalier_profiles: '', espalier_tables: TABLES }, {}],
      ['table_absent', { espalier_tables: [] }, {}],
      [
        'table_absent',
        { espalier_profiles: '' },
        { statuses: { espalier_profiles: 1 }, messages: { espalier_profiles: 'no such table: macos_profiles' } },
      ],
      [
        'query_error',
        { espalier_profiles: '', espalier_tables: TABLES },
        { statuses: { espalier_profiles: '1' }, messages: { espalier_profiles: 'distributed query is denylisted' } },
      ],
      ['query_error', { espalier_profiles: 5 }, {}],
    ] as const;

    it.each(observations)("%s becomes the observation of the Mac's own enrolment", async (state, queries, more) => {
      const mac = await enrolledHost(db);
      const answer = await write(await enroll(mac.udid), queries, more);
      expect(answer).toEqual({ status: 200, body: {} });
      expect(effects).toMatchObject([
        { kind: 'profiles_observed', source: 'osquery', enrollment: mac.enrollment, observation: { state } },
      ]);
    });

    it('the same report twice is two equal observations', async () => {
      const mac = await enrolledHost(db);
      const key = await enroll(mac.udid);
      for (const _again of [1, 2]) await write(key, { espalier_profiles: [row], espalier_tables: TABLES });
      expect(effects).toHaveLength(2);
      expect(effects[0]).toEqual(effects[1]);
    });

    it('a report without profiles observes nothing, and profiles stay due', async () => {
      const mac = await enrolledHost(db);
      const key = await enroll(mac.udid);
      await write(key, { somebody_elses: [row], ...facts({ computer_name: 'named' }) });
      expect(observed()).toEqual([]);
      expect(await read(key)).toEqual(PROFILES);
      expect(await host(mac.hostId)).toMatchObject({ name: 'named' });
    });

    it('a Mac that is not enrolled is not observed, and is answered', async () => {
      const mac = await enrolledHost(db, { state: 'ended' });
      expect(await write(await enroll(mac.udid), { espalier_profiles: [row] })).toEqual({ status: 200, body: {} });
      expect(effects).toEqual([]);
    });

    it('facts are recorded, empty ones change nothing', async () => {
      const mac = await enrolledHost(db);
      const key = await enroll(mac.udid);
      await write(
        key,
        facts({ computer_name: 'mac-1', hardware_model: 'Mac15,6' }, { version: '15.1', build: '24B83' }),
      );
      await write(key, facts({ computer_name: '', hostname: '', hardware_model: '' }, { version: '15.2' }));
      expect(await host(mac.hostId)).toMatchObject({
        name: 'mac-1',
        model: 'Mac15,6',
        os_version: '15.2',
        build_version: '24B83',
      });
    });

    it('hostile values are stored as text or dropped, and always answered', async () => {
      const mac = await enrolledHost(db);
      const key = await enroll(mac.udid);
      const hostile = [
        "'; drop table host; --",
        'a\0b',
        '\ud800',
        '漢'.repeat(5000),
        { toString: 1 },
        ['x'],
        null,
        true,
        -0,
        1e308,
        '</string>',
        '__proto__',
      ];
      for (const value of hostile) {
        const queries = {
          espalier_profiles: [
            { ...row, identifier: value, uuid: value, install_date: value, display_name: value },
            value,
          ],
          espalier_tables: TABLES,
        };
        const answer = await write(key, {
          ...queries,
          ...facts({ computer_name: value, hardware_serial: value, uuid: value }, { version: value }),
        });
        expect(answer).toEqual({ status: 200, body: {} });
      }
      expect(await write(key, JSON.parse('{"__proto__": {"x": 1}, "constructor": "y"}'))).toEqual({
        status: 200,
        body: {},
      });
      for (const queries of [null, [], 'x', 5])
        expect(await ask('distributed/write', { node_key: key, queries, statuses: queries })).toEqual({
          status: 200,
          body: {},
        });
    });

    it('facts and effects commit together: a failed effect is 503 and leaves the facts as they were', async () => {
      const mac = await enrolledHost(db);
      const key = await enroll(mac.udid);
      const before = await host(mac.hostId);
      failEffects = true;
      const queries = { espalier_profiles: [row], ...facts({ computer_name: 'never' }) };
      expect(await write(key, queries)).toEqual({ status: 503, body: { error: expect.any(String) } });
      expect(await host(mac.hostId)).toEqual(before);
      // Not counted as answered: the Mac is asked again.
      expect(await read(key)).toEqual(ALL);
    });

    it('when an agent was last seen is written in one batch', async () => {
      const keys = [await enroll('seen-1'), await enroll('seen-2')];
      for (const key of keys) await read(key);
      await service.flush();
      const { rows } = await sql<{ seen_at: Date }>`
        select s.seen_at from osquery_seen s join osquery_node n on n.id = s.node_id where n.host_identifier like 'seen-_'`.execute(
        db.read,
      );
      expect(rows.map(({ seen_at }) => seen_at)).toEqual([now, now]);
    });
  });

  describe('a store that fails', () => {
    it('is 503 with an error and without node_invalid, for every endpoint, or the whole fleet would enrol again', async () => {
      const doomed = await open();
      const on = serviceOn(doomed);
      const doomedSecret = await on.createSecret(1);
      const key = await enroll('doomed', { enroll_secret: doomedSecret }, on);
      await doomed.close();
      for (const endpoint of ['enroll', 'config', 'distributed/read', 'distributed/write', 'log'] as const) {
        const { status, body } = await ask(
          endpoint,
          { node_key: key, enroll_secret: doomedSecret, host_identifier: 'x', queries: { espalier_profiles: [row] } },
          on,
        );
        expect([endpoint, status]).toEqual([endpoint, 503]);
        expect(Object.keys(body)).toEqual(['error']);
      }
    });
  });
});

/** Text that does not compress, three octets a character. */
function randomScript(length: number): string {
  return Array.from({ length }, () =>
    String.fromCharCode(0x4e00 + (systemRandom.bytes(2).readUInt16BE(0) % 0x5000)),
  ).join('');
}

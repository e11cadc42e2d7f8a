/** Labels and teams as people and Macs meet them: the admin API over HTTP, agents and Macs in messages of their protocols. */
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../db/database.ts';
import { adminApp } from '../../http/admin-app.ts';
import { createMetrics } from '../../http/metrics.ts';
import { hostRoutes } from '../../http/routes/hosts.ts';
import { labelRoutes } from '../../http/routes/labels.ts';
import { teamRoutes } from '../../http/routes/teams.ts';
import type { Rooms } from '../../server/rooms.ts';
import { payload, upload } from '../profiles/mobileconfigs.ts';
import { House } from '../reconciler/house.ts';
import { SimMac } from '../reconciler/sim-mac.ts';
import { eachDatabase } from '../support/databases.ts';

const TOKEN = 'token-of-the-test';
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const QUIET = { debug() {}, info() {}, warn() {}, error() {} };

interface Targets {
  readonly any?: readonly string[];
  readonly not?: readonly string[];
  readonly minOs?: string;
  readonly team?: number;
}

eachDatabase((_kind, open) => {
  let db: Database;
  let house: House;
  let rooms: Rooms;
  let server: Server;
  let secret: string;
  let macs = 0;
  let name = '';
  let made = 0;

  beforeAll(async () => {
    db = await open();
    house = await House.open(db);
    rooms = await house.replica();
    secret = await rooms.osquery.createSecret(1);
    const app = adminApp({
      log: QUIET,
      metrics: createMetrics(),
      tokenHash: createHash('sha256').update(TOKEN).digest(),
      version: 'test',
      ready: async () => {},
      routers: [
        labelRoutes({ labels: rooms.labels }),
        teamRoutes({ teams: rooms.teams }),
        hostRoutes({
          inventory: rooms.inventory,
          reads: rooms.reconciler.reads,
          enrollmentsOfHost: rooms.mdmRows.enrollmentsOfHost,
          teamId: rooms.teams.idOf,
        }),
      ],
    });
    server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await db.close();
  });
  beforeEach(() => {
    made += 1;
    name = `label ${made}`;
  });

  async function api(method: string, path: string, body?: object) {
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: JSON.parse(await response.text()) };
  }
  const at = (label: string) => `/labels/${encodeURIComponent(label)}`;

  async function enrolled(more: { os?: string; agent?: 'none' | 'full' } = {}): Promise<SimMac> {
    macs += 1;
    const mac = new SimMac(house, macs, more.agent ?? 'full');
    mac.os = more.os ?? mac.os;
    await mac.enrol(rooms);
    return mac;
  }
  async function aim(targets: Targets, identifier = `com.example.${made}`): Promise<number> {
    const { profileId } = await rooms.profiles.upload(
      upload({ PayloadIdentifier: identifier, PayloadContent: [payload(1)] }),
      {
        teamId: targets.team ?? 1,
        includeMode: targets.any === undefined ? 'none' : 'any',
        includeLabels: targets.any ?? [],
        excludeLabels: targets.not ?? [],
        ...(targets.minOs === undefined ? {} : { minOs: targets.minOs }),
      },
    );
    return profileId;
  }
  /** What the Mac holds of ours once the reconciler and it have nothing more to say to each other. */
  async function settled(mac: SimMac): Promise<readonly string[]> {
    for (let round = 0; round < 6; round += 1) {
      await rooms.reconciler.drain();
      for (let polls = 0; polls < 10 && (await mac.poll(rooms, 'device', 'obeys')); polls += 1);
    }
    return [...mac.holds.device.keys()].filter((identifier) => identifier === `com.example.${made}`);
  }
  /** The agent has its turn after this long; the server's jobs have theirs before. */
  async function agent(mac: SimMac, afterMs = MINUTE_MS): Promise<void> {
    await rooms.osquery.refreshLabels();
    await rooms.osquery.refresh();
    house.forward(afterMs);
    await mac.agentTurn(rooms, secret);
  }
  const HAS = () => [`com.example.${made}`];
  async function dynamic(): Promise<number> {
    const { status, body } = await api('POST', '/labels', { name, query: `SELECT ${made}` });
    expect([status, body.kind]).toEqual([201, 'dynamic']);
    return body.id;
  }
  const labelOf = async (mac: SimMac) =>
    (await api('GET', `/hosts/${mac.udid}`)).body.label_details.find((one: { name: string }) => one.name === name);

  describe('a label with a query', () => {
    it('made, asked, answered: the profile that names it arrives', async () => {
      const mac = await enrolled();
      const id = await dynamic();
      mac.truths.set(id, 'yes');
      await aim({ any: [name] });
      expect(await settled(mac)).toEqual([]);
      const why = await api('GET', `/hosts/${mac.udid}/profiles/com.example.${made}/why`);
      expect(why.body.channels[0]).toMatchObject({ state: 'waiting', waiting: 'label_unknown' });
      await agent(mac);
      expect(await settled(mac)).toEqual(HAS());
      expect(await labelOf(mac)).toMatchObject({ member: 'yes', since: expect.any(String), why: null });
      expect((await api('GET', `/hosts?label=${encodeURIComponent(name)}`)).body.hosts).toMatchObject([
        { udid: mac.udid },
      ]);
      const { body } = await api('GET', at(name));
      expect(body).toMatchObject({ kind: 'dynamic', query: `SELECT ${made}`, hosts: 1, leaving: 0, filled: true });
      expect(body).toMatchObject({
        profiles: [{ identifier: `com.example.${made}`, team: 'Default', role: 'include' }],
      });
    });

    it('#51300 a query that fails keeps the profile, hour after hour, and says with what', async () => {
      const mac = await enrolled();
      const id = await dynamic();
      mac.truths.set(id, 'yes');
      await aim({ any: [name] });
      await agent(mac);
      expect(await settled(mac)).toEqual(HAS());
      mac.truths.set(id, 'error');
      for (let hour = 0; hour < 3; hour += 1) {
        await agent(mac, 1.2 * HOUR_MS);
        expect(await settled(mac)).toEqual(HAS());
      }
      expect(await labelOf(mac)).toMatchObject({ member: 'unknown', why: expect.stringMatching(/its query failed/) });
      expect((await api('GET', at(name))).body.errors).toMatchObject([{ message: expect.any(String) }]);
    });

    it('one no keeps it and asks again within the minute; two noes in a row take it away', async () => {
      const mac = await enrolled();
      const id = await dynamic();
      mac.truths.set(id, 'yes');
      await aim({ any: [name] });
      await agent(mac);
      expect(await settled(mac)).toEqual(HAS());
      mac.truths.set(id, 'no');
      await agent(mac, 1.2 * HOUR_MS);
      expect(await settled(mac)).toEqual(HAS());
      expect((await api('GET', at(name))).body).toMatchObject({ hosts: 1, leaving: 1 });
      await agent(mac);
      expect(await settled(mac)).toEqual([]);
      expect((await api('GET', at(name))).body).toMatchObject({ hosts: 0, leaving: 0 });
    });

    it('#47865 a new label to exclude by keeps what is installed until it is answered, and then decides', async () => {
      const [stays, goes] = [await enrolled(), await enrolled()];
      await aim({});
      expect([await settled(stays), await settled(goes)]).toEqual([HAS(), HAS()]);
      const id = await dynamic();
      goes.truths.set(id, 'yes');
      await aim({ not: [name] });
      expect([await settled(stays), await settled(goes)]).toEqual([HAS(), HAS()]);
      const newcomer = await enrolled({ agent: 'none' });
      expect(await settled(newcomer)).toEqual([]);
      for (const mac of [stays, goes]) await agent(mac);
      expect([await settled(stays), await settled(goes)]).toEqual([HAS(), []]);
    });

    it('a fresh label in place of the one that let it in keeps what is installed until it is answered', async () => {
      const [stays, goes] = [await enrolled(), await enrolled()];
      await api('POST', '/labels', { name: `${name} manual` });
      const hosts = { hosts: [stays.udid, goes.udid] };
      await api('PUT', `${at(`${name} manual`)}/hosts`, hosts);
      await aim({ any: [`${name} manual`] });
      expect([await settled(stays), await settled(goes)]).toEqual([HAS(), HAS()]);
      const id = await dynamic();
      stays.truths.set(id, 'yes');
      await aim({ any: [name] });
      expect([await settled(stays), await settled(goes)]).toEqual([HAS(), HAS()]);
      for (const mac of [stays, goes]) await agent(mac);
      expect([await settled(stays), await settled(goes)]).toEqual([HAS(), []]);
    });

    it('edited, it holds what is there until the new query is answered', async () => {
      const mac = await enrolled();
      const id = await dynamic();
      mac.truths.set(id, 'yes');
      await aim({ any: [name] });
      await agent(mac);
      expect(await settled(mac)).toEqual(HAS());
      mac.truths.set(id, 'no');
      expect((await api('PATCH', at(name), { query: 'SELECT 0 WHERE 0', name: `${name} edited` })).body).toMatchObject({
        name: `${name} edited`,
        query: 'SELECT 0 WHERE 0',
      });
      expect(await settled(mac)).toEqual(HAS());
      await agent(mac);
      expect(await settled(mac)).toEqual(HAS());
      await agent(mac);
      expect(await settled(mac)).toEqual([]);
    });

    it('#50878 after an enrolment anew what was answered before is not trusted, and the agent is asked at its next poll', async () => {
      const mac = await enrolled();
      const id = await dynamic();
      mac.truths.set(id, 'yes');
      await aim({ any: [name] });
      await agent(mac);
      expect(await settled(mac)).toEqual(HAS());
      mac.erase();
      await mac.enrol(rooms);
      expect(await settled(mac)).toEqual([]);
      expect(await labelOf(mac)).toMatchObject({ member: 'unknown' });
      await agent(mac);
      expect(await settled(mac)).toEqual(HAS());
    });

    it('#33132 a label whose members are a list never waits for anybody', async () => {
      const mac = await enrolled({ agent: 'none' });
      await api('POST', '/labels', { name });
      await api('POST', `${at(name)}/hosts`, { hosts: [mac.udid] });
      await aim({ any: [name] });
      expect(await settled(mac)).toEqual(HAS());
      expect(await labelOf(mac)).toMatchObject({ kind: 'manual', member: 'yes' });
    });
  });

  describe('what the server knows of a host itself', () => {
    it('a new version of macOS opens a gate with the report that tells of it', async () => {
      const mac = await enrolled({ os: '14.6' });
      await aim({ minOs: '15' });
      await agent(mac);
      expect(await settled(mac)).toEqual([]);
      mac.os = '15.0';
      await agent(mac, 1.2 * HOUR_MS);
      expect(await settled(mac)).toEqual(HAS());
    });

    it('a label by criteria is worked out, and follows the Mac', async () => {
      const mac = await enrolled({ os: '14.6' });
      const criteria = { rules: [{ field: 'os_version', op: 'at_most', value: '14' }] };
      expect((await api('POST', '/labels', { name, criteria })).body).toMatchObject({ kind: 'host_vitals' });
      await aim({ any: [name] });
      expect(await settled(mac)).toEqual([]);
      await rooms.labelFiller.fill();
      expect(await settled(mac)).toEqual(HAS());
      mac.os = '15.1';
      await agent(mac, 1.2 * HOUR_MS);
      expect(await settled(mac)).toEqual([]);
      const late = await enrolled({ os: '13.1', agent: 'none' });
      expect(await settled(late)).toEqual(HAS());
    });
  });

  describe('the end of labels and teams', () => {
    it('a label in use is kept; a dry run says who loses what; detached it does exactly that', async () => {
      const mac = await enrolled({ agent: 'none' });
      await api('POST', '/labels', { name });
      await api('POST', `${at(name)}/hosts`, { hosts: [mac.udid] });
      await aim({ any: [name] });
      expect(await settled(mac)).toEqual(HAS());
      const refused = await api('DELETE', at(name));
      expect([refused.status, refused.body.code]).toEqual([409, 'conflict']);
      expect(refused.body.detail).toContain(`com.example.${made}`);
      const { body } = await api('DELETE', `${at(name)}?detach=true&dry_run=true`);
      expect(body).toMatchObject({
        dry_run: true,
        name,
        detached: [{ identifier: `com.example.${made}`, role: 'include' }],
      });
      expect(body.plan.counts).toEqual({ install: 0, replace: 0, remove: 1, hold: 0 });
      expect(body.plan.lines).toMatchObject([{ identifier: `com.example.${made}`, action: 'remove' }]);
      expect(await settled(mac)).toEqual(HAS());
      expect((await api('DELETE', `${at(name)}?detach=true`)).body).toMatchObject({ outcome: 'deleted' });
      expect(await settled(mac)).toEqual([]);
      expect((await api('GET', at(name))).status).toBe(404);
    });

    it('a team ends: its Macs go over, its profiles go, its links and secrets end, and its name is free', async () => {
      const { body: team } = await api('POST', '/teams', { name: `team ${made}` });
      const mac = await enrolled();
      await api('PUT', `/hosts/${mac.udid}/team`, { team: `team ${made}` });
      await aim({ team: team.id });
      expect(await settled(mac)).toEqual(HAS());
      const teamSecret = await rooms.osquery.createSecret(team.id);
      const link = await rooms.links.create({ teamId: team.id, uses: 5, ttlSeconds: 3600 });
      const path = `/teams/${encodeURIComponent(`team ${made}`)}`;
      const dry = await api('DELETE', `${path}?dry_run=true`);
      expect(dry.body).toMatchObject({ dry_run: true, moved_to: 'Default', hosts: 1, profiles: 1 });
      expect(dry.body.plan.lines).toContainEqual(
        expect.objectContaining({ identifier: `com.example.${made}`, action: 'remove' }),
      );
      expect((await api('GET', '/teams')).body.teams.map((one: { name: string }) => one.name)).toContain(
        `team ${made}`,
      );
      expect((await api('DELETE', path)).body).toMatchObject({ outcome: 'deleted', hosts: 1, profiles: 1 });
      expect(await settled(mac)).toEqual([]);
      expect((await api('GET', `/hosts/${mac.udid}`)).body.team).toBe('Default');
      const agentBody = { enroll_secret: teamSecret, host_identifier: `agent of team ${made}` };
      const refused = await rooms.osquery.handle('enroll', Buffer.from(JSON.stringify(agentBody)));
      expect(refused.body).toEqual({ node_invalid: true });
      await expect(rooms.links.mintChallenge(link.code, {})).rejects.toMatchObject({
        code: expect.stringMatching(/^enroll_code_/),
      });
      expect((await api('POST', '/teams', { name: `team ${made}` })).status).toBe(201);
      expect((await api('PATCH', path, { name: `renamed ${made}` })).body).toMatchObject({ name: `renamed ${made}` });
      expect((await api('DELETE', '/teams/Default')).status).toBe(409);
    });
  });
});

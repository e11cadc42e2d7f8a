/** Ideas of Fleet's tests that no room's own tests carry (docs/acceptance.md), with real Macs, agents and rooms. */
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import type { UploadOptions } from '../../profiles/profiles.ts';
import type { Rooms } from '../../server/rooms.ts';
import { eachDatabase } from '../support/databases.ts';
import { mobileconfig } from './history.ts';
import { House, TIMES } from './house.ts';
import { brokenRows } from './invariants.ts';
import { type Agent, type Behaviour, SimMac } from './sim-mac.ts';

const A = 'com.example.a';
const PLACES = ['include any', 'include all', 'exclude'] as const;
const MEMBERSHIPS = ['member', 'not a member', 'not evaluated', 'query failed', 'label gone'] as const;

class Scene {
  readonly db: Database;
  readonly house: House;
  readonly rooms: Rooms;
  #secret = '';
  #macs = 0;

  private constructor(db: Database, house: House, rooms: Rooms) {
    this.db = db;
    this.house = house;
    this.rooms = rooms;
  }

  static async open(db: Database): Promise<Scene> {
    const house = await House.open(db);
    const scene = new Scene(db, house, await house.replica());
    scene.#secret = await scene.rooms.osquery.createSecret(1);
    return scene;
  }

  async mac(agent: Agent = 'none'): Promise<SimMac> {
    this.#macs += 1;
    const mac = new SimMac(this.house, this.#macs, agent);
    await mac.enrol(this.rooms);
    return mac;
  }

  upload(content: number, more: Partial<UploadOptions> = {}) {
    const targets = { includeMode: 'none' as const, includeLabels: [], excludeLabels: [] };
    return this.rooms.profiles.upload(mobileconfig(A, 'device', content), { teamId: 1, ...targets, ...more });
  }

  /** A Mac in a team of its own. */
  async macOfTeam(name: string, agent: Agent = 'none'): Promise<{ mac: SimMac; teamId: number }> {
    const mac = await this.mac(agent);
    const teamId = await this.rooms.teams.create(name);
    await this.rooms.inventory.moveToTeam(mac.serialNumber, teamId);
    return { mac, teamId };
  }

  /** Ticks and polls until nothing is left to do, and what was acknowledged is looked at. Answers the commands of ops. */
  async settle(...macs: readonly SimMac[]): Promise<number> {
    const before = await this.#finished();
    for (let round = 0; round < 3; round += 1) {
      await this.rooms.reconciler.tick();
      for (const mac of macs) while (await mac.poll(this.rooms, 'device', 'obeys'));
      this.house.forward(TIMES.profileListDelayMs);
      await this.agents(macs);
    }
    expect(await brokenRows(this.db, this.house.fingerprintDigest)).toEqual([]);
    return (await this.#finished()) - before;
  }

  async agents(macs: readonly SimMac[]): Promise<void> {
    this.house.forward(TIMES.osqueryIntervalMs);
    await this.rooms.osquery.refresh();
    await this.rooms.osquery.refreshLabels();
    for (const mac of macs) await mac.agentTurn(this.rooms, this.#secret);
  }

  async ops(): Promise<readonly Record<string, unknown>[]> {
    const { rows } = await sql<Record<string, unknown>>`select op, state, reason from op`.execute(this.db.read);
    return rows;
  }

  holds(mac: SimMac): readonly string[] {
    return [...mac.holds.device.keys()];
  }

  async #finished(): Promise<number> {
    const { rows } = await sql<{ n: number }>`
      select count(*)::int as n from command_history where slot_id is not null and outcome <> 'cancelled'
    `.execute(this.db.read);
    return rows[0]?.n ?? 0;
  }
}

eachDatabase((_kind, open) => {
  async function scene(work: (one: Scene) => Promise<void>): Promise<void> {
    const db = await open();
    try {
      await work(await Scene.open(db));
    } finally {
      await db.close();
    }
  }

  const cells = PLACES.flatMap((place) =>
    MEMBERSHIPS.flatMap((membership) => [true, false].map((there) => ({ place, membership, there }))),
  );
  test('a label to include any, include all or exclude; member, not a member, unknown for three reasons; there or not', () =>
    scene(async (one) => {
      const { rooms } = one;
      const hosts = [];
      for (const [index, cell] of cells.entries()) {
        // Whose agent never speaks has evaluated nothing.
        const { mac, teamId } = await one.macOfTeam(`T${index}`, cell.membership === 'not evaluated' ? 'none' : 'full');
        const label = await rooms.labels.create({ name: `L${index}`, kind: 'dynamic', query: `select ${index}` });
        if (cell.there) await one.upload(1, { teamId });
        const truth = cell.membership === 'query failed' ? 'error' : cell.membership === 'member' ? 'yes' : 'no';
        mac.truths.set(label.id, truth);
        hosts.push({ ...cell, mac, teamId, label });
      }
      const macs = hosts.map(({ mac }) => mac);
      await one.settle(...macs);
      for (const { place, teamId, label } of hosts)
        await one.upload(1, {
          teamId,
          ...(place === 'exclude'
            ? { excludeLabels: [label.name] }
            : { includeMode: place === 'include any' ? 'any' : 'all', includeLabels: [label.name] }),
        });
      // Nobody may delete a label that is aimed by; a database restored from a backup may lack it all the same.
      const gone = hosts.filter(({ membership }) => membership === 'label gone').map(({ label }) => label.id);
      await sql`delete from label where id = any(${sql.val(gone)}::int[])`.execute(one.db.read);
      await sql`update catalogue set epoch = epoch + 1`.execute(one.db.read);
      await one.settle(...macs);

      const found = hosts.map(({ mac, place, membership, there }) => [place, membership, there, one.holds(mac).length]);
      const expected = hosts.map(({ place, membership, there }) => {
        const isMember = membership === 'member';
        const isKnown = isMember || membership === 'not a member';
        const wanted = place === 'exclude' ? !isMember : isMember;
        return [place, membership, there, Number(isKnown ? wanted : there)];
      });
      expect(found).toEqual(expected);
      expect(await one.ops()).toEqual([]);
    }));

  test('a profile that is gone is removed, whatever its labels say', () =>
    scene(async (one) => {
      const mac = await one.mac('full');
      const { name, id } = await one.rooms.labels.create({ name: 'L', kind: 'dynamic', query: 'select 1' });
      mac.truths.set(id, 'yes');
      await one.agents([mac]);
      const { profileId } = await one.upload(1, { includeMode: 'any', includeLabels: [name] });
      await one.settle(mac);
      expect(one.holds(mac)).toEqual([A]);
      mac.truths.set(id, 'error');
      for (let turn = 0; turn < 3; turn += 1) await one.agents([mac]);
      await one.settle(mac);
      expect(one.holds(mac)).toEqual([A]);
      await one.rooms.profiles.delete(profileId);
      await one.settle(mac);
      expect(one.holds(mac)).toEqual([]);
    }));

  test('include and exclude together: exclusion wins, in both modes', () =>
    scene(async (one) => {
      const hosts = [];
      for (const includeMode of ['any', 'all'] as const)
        for (const included of [true, false])
          for (const excluded of [true, false]) {
            const name = `${includeMode} ${included} ${excluded}`;
            const { mac, teamId } = await one.macOfTeam(name);
            for (const [label, isMember] of [
              [`In ${name}`, included],
              [`Out ${name}`, excluded],
            ] as const) {
              await one.rooms.labels.create({ name: label, kind: 'manual' });
              if (isMember) await one.rooms.labels.addHosts(label, [mac.serialNumber]);
            }
            await one.upload(1, { teamId, includeMode, includeLabels: [`In ${name}`], excludeLabels: [`Out ${name}`] });
            hosts.push({ name, mac, wanted: included && !excluded });
          }
      await one.settle(...hosts.map(({ mac }) => mac));
      expect(hosts.map(({ name, mac }) => [name, one.holds(mac).length])).toEqual(
        hosts.map(({ name, wanted }) => [name, Number(wanted)]),
      );
    }));

  test('moved to a team with the same identifier: other content is one install and no removal', () =>
    scene(async (one) => {
      const mac = await one.mac();
      const other = await one.rooms.teams.create('Other');
      await one.upload(1);
      await one.upload(2, { teamId: other });
      await one.settle(mac);
      const before = mac.holds.device.get(A)?.uuid;
      await one.rooms.inventory.moveToTeam(mac.serialNumber, other);
      expect(await one.settle(mac)).toBe(1);
      expect(one.holds(mac)).toEqual([A]);
      expect(mac.holds.device.get(A)?.uuid).not.toBe(before);
    }));

  test('moved to a team with the same identifier and the same content: no command at all', () =>
    scene(async (one) => {
      const mac = await one.mac();
      const other = await one.rooms.teams.create('Other');
      await one.upload(1);
      await one.upload(1, { teamId: other });
      await one.settle(mac);
      await one.rooms.inventory.moveToTeam(mac.serialNumber, other);
      expect(await one.settle(mac)).toBe(0);
      expect(one.holds(mac)).toEqual([A]);
      const { profiles } = await one.rooms.reconciler.reads.hostProfiles(
        (await one.rooms.inventory.get(mac.serialNumber)).id,
      );
      expect(profiles).toMatchObject([{ identifier: A, state: 'verified' }]);
    }));

  const stages = ['queued', 'delivered', 'acknowledged', 'verified'] as const;
  const answers: readonly Behaviour[] = [
    'obeys',
    'does it, and the answer is lost',
    'does it and answers when asked again',
    'answers twice',
    'never sees it',
    'is busy',
    'fails: locked',
    'fails: malformed',
  ];
  const deletions = stages.flatMap((stage) => answers.map((answer) => ({ stage, answer })));
  test.each([true, false])(
    'deleted while queued, delivered, acknowledged or verified, whatever the Mac answers; the next tick comes first: %s',
    (tickFirst) =>
      scene(async (one) => {
        const { rooms } = one;
        const hosts: ((typeof deletions)[number] & { mac: SimMac; teamId: number; profileId: number })[] = [];
        for (const [index, { stage, answer }] of deletions.entries()) {
          hosts.push({ stage, answer, ...(await one.macOfTeam(`T${index}`)), profileId: 0 });
        }
        const macs = hosts.map(({ mac }) => mac);
        await one.settle(...macs);
        for (const host of hosts) host.profileId = (await one.upload(1, { teamId: host.teamId })).profileId;
        await rooms.reconciler.tick();
        const at = (stage: string) => hosts.filter((host) => host.stage === stage).map(({ mac }) => mac);
        await one.settle(...at('verified'));
        await rooms.reconciler.tick();
        for (const mac of at('delivered')) await mac.poll(rooms, 'device', 'does it, and the answer is lost');
        for (const mac of at('acknowledged')) await mac.poll(rooms, 'device', 'obeys');

        for (const { profileId } of hosts) await rooms.profiles.delete(profileId);
        if (tickFirst) await rooms.reconciler.tick();
        for (const { mac, answer } of hosts) await mac.poll(rooms, 'device', answer);
        if (!tickFirst) await rooms.reconciler.tick();
        for (const mac of macs) {
          const late = mac.answered.at(-1);
          if (late !== undefined) await mac.report(rooms, 'device', late.message);
        }
        // A removal that failed is tried again, at the latest after a day.
        for (let day = 0; day < 2; day += 1) {
          await one.settle(...macs);
          one.house.forward(25 * 3_600_000);
          await rooms.reconciler.audit();
        }
        await one.settle(...macs);
        const left = hosts.filter(({ mac }) => one.holds(mac).length > 0).map(({ stage, answer }) => [stage, answer]);
        expect(left).toEqual([]);
        expect(await one.ops()).toEqual([]);
        const { rows } = await sql`select distinct applied, op_count from recon`.execute(one.db.read);
        expect(rows).toEqual([{ applied: [], op_count: 0 }]);
      }),
  );

  test('checked out, then a late result of its install: stored, and nothing comes back to life', () =>
    scene(async (one) => {
      const mac = await one.mac();
      await one.upload(1);
      await one.rooms.reconciler.tick();
      await mac.poll(one.rooms, 'device', 'obeys');
      await mac.poll(one.rooms, 'device', 'does it, and the answer is lost');
      const late = mac.answered.at(-1);
      await mac.checkOut(one.rooms);
      await mac.report(one.rooms, 'device', late?.message ?? {});
      await one.rooms.reconciler.audit();
      const { rows } = await sql<{ n: number }>`
        select (select count(*) from recon) + (select count(*) from op) + (select count(*) from command) as n
      `.execute(one.db.read);
      expect(rows).toEqual([{ n: 0 }]);
    }));

  test('a user channel that comes later gets what users of the team should have', () =>
    scene(async (one) => {
      const mac = await one.mac();
      await one.rooms.profiles.upload(mobileconfig(A, 'user', 1), {
        teamId: 1,
        includeMode: 'none',
        includeLabels: [],
        excludeLabels: [],
      });
      await one.settle(mac);
      const host = (await one.rooms.inventory.get(mac.serialNumber)).id;
      const state = async () => (await one.rooms.reconciler.reads.hostProfiles(host)).profiles[0];
      expect(await state()).toMatchObject({ state: 'waiting', waiting: 'no_user_channel' });
      await mac.login(one.rooms);
      await one.rooms.reconciler.tick();
      while (await mac.poll(one.rooms, 'user', 'obeys'));
      expect([...mac.holds.user.keys()]).toEqual([A]);
      expect(await state()).toMatchObject({ state: 'verifying' });
    }));
});

/** One history: a house, some Macs, and what happens to them; then everybody behaves, and the world must settle. */
import { sql } from 'kysely';
import type { Channel } from '../../core/enrollment.ts';
import { EspalierError } from '../../core/errors.ts';
import type { Database } from '../../db/database.ts';
import type { LabelKind } from '../../hosts/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import type { Rooms } from '../../server/rooms.ts';
import type { Faults } from '../support/faulty-sessions.ts';
import { type Event, type Happening, MACS, REPLICAS } from './events.ts';
import { House, TIMES } from './house.ts';
import { brokenRows } from './invariants.ts';
import { VERDICT } from './oracle.ts';
import { type Behaviour, SimMac } from './sim-mac.ts';

const DAY = 86_400_000;
const CHANNELS: readonly Channel[] = ['device', 'user'];
/** Rooms that refuse what a history asks for: the label is in use, the profile is gone. Everything else is a bug. */
const REFUSALS = new Set([
  'conflict',
  'label_exists',
  'label_not_found',
  'profile_not_found',
  'host_not_found',
  'request_malformed',
]);

interface LabelOfTest {
  readonly id: number;
  readonly name: string;
  readonly kind: LabelKind;
}

/** What happens without the server. */
const SILENT = new Set<Event['kind']>([
  'truth',
  'agent becomes',
  'taken away',
  'put back',
  'foreign profile',
  'new system',
  'time',
]);

/** A pair on a Mac: channel and identifier. */
type Place = `${Channel} ${string}`;

export class History {
  readonly house: House;
  readonly faults: Faults;
  readonly macs: SimMac[] = [];
  readonly labels = new Map<number, LabelOfTest>();
  replicas: Rooms[] = [];
  #teams: number[] = [];
  #secret = '';
  /** Everything that was ever installed anywhere. */
  readonly #delivered = new Map<string, { channel: Channel; identifier: string; uuid: string }>();
  #made = 0;

  constructor(house: House, faults: Faults) {
    this.house = house;
    this.faults = faults;
  }

  static async begin(db: Database, faults: Faults): Promise<History> {
    await emptied(db);
    const history = new History(await House.open(db), faults);
    for (let index = 0; index < REPLICAS; index += 1) history.replicas.push(await history.house.replica());
    const rooms = history.#rooms(0);
    const { rows: made } = await sql<{ id: number }>`insert into team (name) values ('Second') returning id`.execute(
      db.read,
    );
    history.#teams = [1, made[0]?.id ?? 0];
    history.#secret = await rooms.osquery.createSecret(1);
    for (let index = 0; index < MACS; index += 1) {
      const mac = new SimMac(history.house, index + 1, index === 1 ? 'none' : 'full');
      history.macs.push(mac);
      await mac.enrol(rooms);
    }
    return history;
  }

  async happen({ event, replica, fault }: Happening): Promise<void> {
    this.faults.arm(fault);
    const before = this.faults.struck;
    try {
      await this.#happen(event, this.#rooms(replica), replica);
    } catch (error) {
      const struck = this.faults.struck > before;
      if (!struck && !(error instanceof EspalierError && REFUSALS.has(error.code))) throw error;
    } finally {
      this.faults.arm(undefined);
    }
    if (!SILENT.has(event.kind)) await this.check();
  }

  async check(): Promise<void> {
    const broken = await brokenRows(this.house.db, this.house.fingerprintDigest);
    if (broken.length > 0) throw new Error(broken.join('; '));
  }

  async #happen(event: Event, rooms: Rooms, replica: number): Promise<void> {
    const mac = 'mac' in event ? (this.macs[event.mac] as SimMac) : undefined;
    if (mac !== undefined) return this.#happenTo(mac, event, rooms);
    switch (event.kind) {
      case 'upload':
        return this.#upload(event, rooms);
      case 'delete': {
        const live = await rooms.profiles.list(undefined);
        const profile = live[event.which % Math.max(1, live.length)];
        if (profile !== undefined) await rooms.profiles.delete(profile.id);
        return;
      }
      case 'make label':
        return this.#makeLabel(event.label, event.sort, rooms);
      case 'edit label':
        return this.#editLabel(event.label, rooms);
      case 'delete label': {
        const label = this.labels.get(event.label);
        if (label === undefined) return;
        await rooms.labels.delete(label.name, { detach: event.detach });
        this.labels.delete(event.label);
        return;
      }
      case 'label hosts': {
        const label = this.labels.get(event.label);
        const hosts = event.macs.map((index) => (this.macs[index] as SimMac).serialNumber);
        if (label?.kind === 'manual') await rooms.labels.setHosts(label.name, hosts);
        return;
      }
      case 'jobs':
        return jobs(rooms);
      case 'tick':
        await rooms.reconciler.tick();
        return;
      case 'restart':
        await rooms.reconciler.stop();
        this.faults.arm(undefined);
        this.replicas[replica] = await this.house.replica();
        return;
      case 'time':
        return this.house.forward(event.ms);
    }
  }

  async #happenTo(mac: SimMac, event: Event, rooms: Rooms): Promise<void> {
    switch (event.kind) {
      case 'truth': {
        const label = this.labels.get(event.label);
        if (label !== undefined) mac.truths.set(label.id, event.truth);
        return;
      }
      case 'agent':
        return mac.agentTurn(rooms, this.#secret);
      case 'agent becomes':
        mac.agent = event.agent;
        return;
      case 'move':
        return rooms.inventory.moveToTeam(mac.serialNumber, this.#teams[event.team] as number);
      case 'poll':
        await this.#poll(mac, rooms, event.channel, event.behaviour);
        return;
      case 'answers again': {
        const again = mac.answered.at(-1 - event.which);
        if (again !== undefined && mac.enrolled) await mac.report(rooms, again.channel, again.message);
        return;
      }
      case 'taken away': {
        const identifier = [...mac.holds[event.channel].keys()].at(event.which);
        if (identifier !== undefined) mac.holds[event.channel].delete(identifier);
        return;
      }
      case 'put back': {
        const old = [...this.#delivered.values()].filter(({ channel }) => channel === event.channel)[event.which];
        if (old !== undefined) mac.holds[event.channel].set(old.identifier, { uuid: old.uuid, managed: event.managed });
        return;
      }
      case 'foreign profile':
        mac.holds[event.channel].set('com.vendor.agent', { uuid: 'F0F0', managed: false });
        return;
      case 'login':
        return mac.login(rooms);
      case 'new token':
        if (mac.enrolled && (event.channel === 'device' || mac.user)) await mac.tokenUpdate(rooms, event.channel);
        return;
      case 'enrols again':
        if (event.erased) mac.erase();
        await mac.enrol(rooms);
        return;
      case 'checks out':
        if (mac.enrolled) await mac.checkOut(rooms);
        return;
      case 'new system':
        mac.os = event.os;
        return;
    }
  }

  async #poll(mac: SimMac, rooms: Rooms, channel: Channel, behaviour: Behaviour): Promise<boolean> {
    const had = await mac.poll(rooms, channel, behaviour);
    for (const [identifier, { uuid, managed }] of mac.holds[channel])
      if (managed) this.#delivered.set(`${channel} ${uuid}`, { channel, identifier, uuid });
    return had;
  }

  async #upload(event: Extract<Event, { kind: 'upload' }>, rooms: Rooms): Promise<void> {
    const names = (places: readonly number[]) => places.flatMap((place) => this.labels.get(place)?.name ?? []);
    await rooms.profiles.upload(profileBytes(event), {
      teamId: this.#teams[event.team] as number,
      includeMode: event.mode,
      includeLabels: event.mode === 'none' ? [] : names(event.include),
      excludeLabels: names(event.exclude),
      ...(event.minOs === undefined ? {} : { minOs: event.minOs }),
      ...(event.maxOs === undefined ? {} : { maxOs: event.maxOs }),
    });
  }

  async #makeLabel(place: number, kind: LabelOfTest['kind'], rooms: Rooms): Promise<void> {
    if (this.labels.has(place)) return;
    const name = `L${place}.${this.#made}`;
    this.#made += 1;
    const { id } = await rooms.labels.create({ name, kind, ...sourceOf(kind, this.#made) });
    this.labels.set(place, { id, name, kind });
  }

  async #editLabel(place: number, rooms: Rooms): Promise<void> {
    const label = this.labels.get(place);
    if (label === undefined || label.kind === 'manual') return;
    this.#made += 1;
    await rooms.labels.edit(label.name, sourceOf(label.kind, this.#made));
  }

  /** What only the audit knows to be missing, once the queue has been worked off: nothing was ever to be announced. */
  async unannounced(): Promise<readonly string[]> {
    this.faults.arm(undefined);
    const { reconciler } = this.#rooms(0);
    for (const mac of this.macs) await mac.flush(this.#rooms(0));
    // What was put aside, for a fault or because somebody else held it, comes back by itself.
    for (const ms of [0, 60_000, 300_000]) {
      this.house.forward(ms);
      await reconciler.tick();
    }
    const before = await this.#orders();
    const { swept } = await reconciler.audit();
    const found = [...(await this.#orders())].filter((order) => !before.has(order));
    return swept?.repaired === 0 ? found : [`${swept?.repaired} copies`, ...found];
  }

  /** Live commands of ops. Routine lists are not among them: that they are due is for the audit to find. */
  async #orders(): Promise<Set<string>> {
    const { rows } = await sql<{ order: string }>`
      select enrollment_id || ' ' || request_type || ' ' || slot_id || ' ' || op_generation as order from command where slot_id is not null
    `.execute(this.house.db.read);
    return new Set(rows.map((row) => row.order));
  }

  /** Everybody behaves from now on: a tick, all commands carried out, and a look at what is there. */
  async goodRound(first: boolean): Promise<void> {
    const { reconciler } = this.#rooms(0);
    // Two days have passed: the first one is as long as it takes the audit to have seen everybody.
    await (first ? reconciler.audit() : reconciler.tick());
    await this.check();
    const rooms = this.#rooms(0);
    for (const mac of this.macs)
      for (const channel of CHANNELS)
        for (let left = 40; left > 0 && (await this.#poll(mac, rooms, channel, 'obeys')); ) left -= 1;
    this.house.forward(TIMES.profileListDelayMs);
    await jobs(rooms);
    for (const mac of this.macs) await mac.agentTurn(rooms, this.#secret);
  }

  /** Faults stop, agents answer; what is known is now what is true. */
  async calm(): Promise<void> {
    for (let turn = 0; turn < 3; turn += 1) {
      this.house.forward(turn === 0 ? 2 * DAY : 10 * TIMES.osqueryIntervalMs);
      await jobs(this.#rooms(0));
      for (const mac of this.macs) await mac.agentTurn(this.#rooms(0), this.#secret);
    }
  }

  /** Dynamic labels of Macs whose agent has answered, where the server's word is not the agent's. */
  async wrongMembers(): Promise<readonly string[]> {
    const { rows } = await sql<{ udid: string; label_id: number }>`
      select h.udid, m.label_id from label_member m join host h on h.id = m.host_id where m.label_id > ${0}
    `.execute(this.house.db.read);
    const members = new Set(rows.map((row) => `${row.udid} ${row.label_id}`));
    // A deletion whose answer was lost is one all the same.
    const { rows: live } = await sql<{ id: number }>`select id from label where kind = 'dynamic'`.execute(
      this.house.db.read,
    );
    return this.macs
      .filter(({ agent }) => agent !== 'none')
      .flatMap(({ udid, truths }) => live.map(({ id }) => ({ key: `${udid} ${id}`, truth: truths.get(id) ?? 'no' })))
      .filter(({ key, truth }) => truth !== 'error' && members.has(key) !== (truth === 'yes'))
      .map(({ key, truth }) => `${key} is ${truth}`);
  }

  /** What each Mac should hold by the definition in SQL; undefined where nobody knows. */
  async wanted(): Promise<Map<SimMac, Map<Place, string | undefined>>> {
    const { rows } = await sql<{
      udid: string;
      channel: Channel;
      identifier: string;
      wanted: boolean | null;
      uuid: string;
    }>`
      with ${VERDICT} select h.udid, s.channel, s.identifier, v.wanted, upper(pv.witness_uuid) as uuid
      from verdict v join enrollment e on e.id = v.enrollment_id join host h on h.id = e.host_id join slot s on s.id = v.slot_id
      join profile_version pv on pv.id = v.version_id where v.wanted is distinct from false
    `.execute(this.house.db.read);
    const all = new Map(this.macs.map((mac) => [mac, new Map<Place, string | undefined>()]));
    for (const row of rows) {
      const mac = this.macs.find(({ udid }) => udid === row.udid) as SimMac;
      all.get(mac)?.set(`${row.channel} ${row.identifier}`, row.wanted === null ? undefined : row.uuid);
    }
    return all;
  }

  /** Places with an op: what becomes of these is being decided. */
  async underWay(): Promise<Set<string>> {
    const { rows } = await sql<{ place: string }>`
      select h.udid || ' ' || s.channel || ' ' || s.identifier as place
      from op o join enrollment e on e.id = o.enrollment_id join host h on h.id = e.host_id join slot s on s.id = o.slot_id
    `.execute(this.house.db.read);
    return new Set(rows.map((row) => row.place));
  }

  /** Profiles whose op was given up: they wait for another content, and get it. True where there were some. */
  async newContentForGivenUp(): Promise<boolean> {
    const { rows } = await sql<{ team_id: number; identifier: string; channel: Channel }>`
      select distinct p.team_id, s.identifier, s.channel from op o join enrollment e on e.id = o.enrollment_id
      join host h on h.id = e.host_id
      join profile p on p.slot_id = o.slot_id and p.team_id = h.team_id and p.deleted_at is null join slot s on s.id = p.slot_id
      where o.state = 'failed' and o.next_at is null
    `.execute(this.house.db.read);
    for (const { team_id: teamId, identifier, channel } of rows) {
      this.#made += 1;
      await this.#rooms(0).profiles.upload(mobileconfig(identifier, channel, 1000 + this.#made), {
        teamId,
        keepTargets: true,
        includeMode: 'none',
        includeLabels: [],
        excludeLabels: [],
      });
    }
    return rows.length > 0;
  }

  /** State and waiting reason of every pair of a Mac, as its page shows them. */
  async states(mac: SimMac): Promise<Map<Place, string>> {
    const { reads } = this.#rooms(0).reconciler;
    const { id } = await this.#rooms(0).inventory.get(mac.serialNumber);
    const { profiles } = await reads.hostProfiles(id);
    return new Map(
      profiles.map(({ channel, identifier, state, waiting }) => [
        `${channel} ${identifier}`,
        waiting === undefined ? state : `${state} ${waiting}`,
      ]),
    );
  }

  /** For a failure: what the database and the Macs hold. */
  async dump(): Promise<string> {
    const { rows } = await sql<{ line: string }>`
      select 'recon ' || (to_jsonb(r) - 'applied_fp')::text as line from recon r
      union all select 'op ' || jsonb_strip_nulls(to_jsonb(o))::text from op o
      union all select 'command ' || jsonb_strip_nulls(to_jsonb(c))::text from command c
      union all select 'queue ' || jsonb_strip_nulls(to_jsonb(q))::text from recon_queue q
      union all select 'version ' || v.id || ' of ' || s.channel || ' ' || s.identifier || ' in team ' || p.team_id || ': ' || v.witness_uuid
      from profile_version v join profile p on p.id = v.profile_id join slot s on s.id = p.slot_id
    `.execute(this.house.db.read);
    const macs = this.macs.map(({ serialNumber, agent, enrolled, user, holds }) => {
      const held = CHANNELS.map((channel) => `${channel} ${JSON.stringify([...holds[channel]])}`);
      return `Mac ${serialNumber} agent=${agent} enrolled=${enrolled} user=${user} ${held.join(' ')}`;
    });
    return [`now ${this.house.clock.now().toISOString()}`, ...macs, ...rows.map((row) => row.line)].join('\n');
  }

  #rooms(replica: number): Rooms {
    return this.replicas[replica] as Rooms;
  }
}

/** What the server does by itself every second or so. */
async function jobs(rooms: Rooms): Promise<void> {
  await rooms.labelFiller.fill();
  await rooms.osquery.refresh();
  await rooms.osquery.refreshLabels();
}

/** Another query, or other criteria, with each number. */
function sourceOf(kind: LabelKind, number: number) {
  if (kind === 'dynamic') return { query: `select ${number}` };
  if (kind === 'manual') return {};
  const value = ['14', '15', '15.1', '26'][number % 4];
  return { criteria: { rules: [{ field: 'os_version', op: 'at_least', value }] } };
}

function profileBytes({ name, channel, content }: Extract<Event, { kind: 'upload' }>): Buffer {
  return mobileconfig(`com.example.${name}`, channel, content);
}

export function mobileconfig(identifier: string, channel: Channel, content: number): Buffer {
  const uuid = (last: number) => `00000000-0000-4000-8000-${String(last).padStart(12, '0')}`;
  return writePlistBytes({
    PayloadType: 'Configuration',
    PayloadVersion: 1,
    PayloadIdentifier: identifier,
    PayloadUUID: uuid(1),
    PayloadDisplayName: identifier,
    PayloadScope: channel === 'user' ? 'User' : 'System',
    PayloadContent: [
      {
        PayloadType: 'com.apple.dock',
        PayloadVersion: 1,
        PayloadIdentifier: `${identifier}.dock`,
        PayloadUUID: uuid(2),
        tilesize: content,
      },
    ],
  });
}

/** In an order that no reference minds. Deleting some hundred rows takes a tenth of what truncating their tables does. */
const TABLES = [
  'op',
  'command',
  'command_history',
  'command_body',
  'push_outbox',
  'push_state',
  'recon_queue',
  'recon_wave',
  'recon_audit',
  'recon_evidence',
  'recon',
  'osquery_seen',
  'osquery_node',
  'osquery_enroll_secret',
  'enrollment_seen',
  'certificate',
  'scep_challenge',
  'enrollment',
  'label_member',
  'host_label',
  'label',
  'host_identity',
  'host',
  'profile_change',
];

/** Everything a history has written; what costs time to make (keys, the push certificate) stays. */
async function emptied(db: Database): Promise<void> {
  const deletes = TABLES.map((table) => `delete from ${table};`).join(' ');
  const profiles = 'update profile set current_version_id = null; delete from profile_version; delete from profile;';
  const rest = 'delete from slot; delete from team where id > 1; update catalogue set epoch = 1;';
  await sql.raw(`do $$ begin ${deletes} ${profiles} ${rest} end $$`).execute(db.read);
}

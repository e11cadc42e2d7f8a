/** A Mac and its agent as the server sees them: messages of the protocol in, messages out. It does what a history tells it. */
import { createHash } from 'node:crypto';
import type { Channel } from '../../core/enrollment.ts';
import { asDict } from '../../plist/fields.ts';
import { readPlist } from '../../plist/read.ts';
import type { PlistDict, Writable } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { parseMobileconfig } from '../../profiles/parse.ts';
import type { Rooms } from '../../server/rooms.ts';
import { ENROLLMENT_PROFILE, type House, type Identity } from './house.ts';

const CHECKIN = 'application/x-apple-aspen-mdm-checkin';
const COMMAND = 'application/x-apple-aspen-mdm; charset=UTF-8';

type Message = Record<string, Writable | undefined>;
interface ChainItem {
  readonly ErrorCode: number;
  readonly ErrorDomain: string;
  readonly LocalizedDescription: string;
}

/** What a Mac does with the command it is given. */
export const BEHAVIOURS = [
  'obeys',
  'does it, and the answer is lost',
  'says so without doing it',
  'does it and answers when asked again',
  'answers twice',
  'never sees it',
  'is busy',
  'undoes it',
  'fails: locked',
  'fails: user refused',
  'fails: malformed',
  'fails: not known',
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

const FAULTS: Partial<Record<Behaviour, ChainItem>> = {
  'fails: locked': fault('MCInstallationErrorDomain', 4009),
  'fails: user refused': fault('MCMDMErrorDomain', 12063),
  'fails: malformed': fault('MCPayloadErrorDomain', 2002),
  'fails: not known': fault('NSCocoaErrorDomain', 4711),
};
const NOT_THERE = fault('MDMClientError', 89);
const NOT_MANAGED = fault('MCMDMErrorDomain', 12013);

interface Held {
  readonly uuid: string;
  /** By MDM; a person's own profile cannot be removed by it. */
  readonly managed: boolean;
}

/** What an agent can tell. `no table`: it answers, and knows nothing about profiles. */
export type Agent = 'none' | 'no table' | 'full';
export type Truth = 'yes' | 'no' | 'error';

export class SimMac {
  readonly udid: string;
  readonly serialNumber: string;
  /** Identifier → what is there, by channel. */
  readonly holds: Record<Channel, Map<string, Held>> = { device: new Map(), user: new Map() };
  /** Answers it has given or meant to give: they may come again at any time. */
  readonly answered: { channel: Channel; message: Message }[] = [];
  /** Its answer to a label's query, by label id; what is not here is no. */
  readonly truths = new Map<number, Truth>();
  agent: Agent;
  os = '15.1';
  enrolled = false;
  user = false;
  readonly #house: House;
  #identity: Identity | undefined;
  #nodeKey = '';
  /** Not stored yet by the server, as far as the Mac knows: sent again before anything else. */
  readonly #unsent: Record<Channel, Message[]> = { device: [], user: [] };

  constructor(house: House, number: number, agent: Agent) {
    this.#house = house;
    this.udid = `AAAAAAAA-0000-4000-8000-${String(number).padStart(12, '0')}`;
    this.serialNumber = `C02SIM${String(number).padStart(6, '0')}`;
    this.agent = agent;
  }

  /** Nothing is left of it but the machine. */
  erase(): void {
    for (const channel of ['device', 'user'] as const) this.holds[channel].clear();
    this.enrolled = false;
    this.user = false;
  }

  /** With a new identity; what it holds is what it holds. False where the server did not take it. */
  async enrol(rooms: Rooms): Promise<boolean> {
    this.#identity = await this.#house.identity(this.serialNumber);
    this.#unsent.device = [];
    this.#unsent.user = [];
    this.user = false;
    const authenticate = await this.#checkIn(rooms, 'device', {
      MessageType: 'Authenticate',
      Topic: this.#house.topic,
      SerialNumber: this.serialNumber,
      DeviceName: this.serialNumber,
      Model: 'Mac15,3',
      ProductName: 'Mac15,3',
      OSVersion: this.os,
      BuildVersion: '24B83',
    });
    this.enrolled = authenticate === 200 && (await this.tokenUpdate(rooms, 'device')) === 200;
    return this.enrolled;
  }

  /** Somebody logs in: the user channel comes to life. */
  async login(rooms: Rooms): Promise<void> {
    this.user = (await this.tokenUpdate(rooms, 'user')) === 200 || this.user;
  }

  tokenUpdate(rooms: Rooms, channel: Channel): Promise<number> {
    return this.#checkIn(rooms, channel, {
      MessageType: 'TokenUpdate',
      Topic: this.#house.topic,
      Token: Buffer.from(`token ${this.udid} ${channel}`),
      PushMagic: 'magic',
    });
  }

  /** Unenrolled by its user: what MDM installed goes with it, whether the server hears of it or not. */
  async checkOut(rooms: Rooms): Promise<void> {
    await this.#send(rooms, CHECKIN, { ...this.#names('device'), MessageType: 'CheckOut', Topic: this.#house.topic });
    this.enrolled = false;
    this.user = false;
    for (const held of Object.values(this.holds))
      for (const [identifier, { managed }] of held) if (managed) held.delete(identifier);
  }

  /** One exchange: the answer that waits, or Idle; then what the command deserves. True where there was a command. */
  async poll(rooms: Rooms, channel: Channel, behaviour: Behaviour): Promise<boolean> {
    if (!this.enrolled || (channel === 'user' && !this.user)) return false;
    const waiting = this.#unsent[channel].shift();
    const body = await this.report(rooms, channel, waiting ?? { Status: 'Idle' });
    if (body === undefined || body.length === 0) return false;
    const command = asDict(readPlist(body));
    const answer = this.#carryOut(channel, command, behaviour);
    if (answer === undefined) return true;
    this.answered.push({ channel, message: answer });
    switch (behaviour) {
      case 'does it, and the answer is lost':
        return true;
      case 'does it and answers when asked again':
        this.#unsent[channel].push(answer);
        return true;
      case 'answers twice':
        await this.report(rooms, channel, answer);
    }
    await this.report(rooms, channel, answer);
    return true;
  }

  /** Sends what the server has not stored yet. */
  async flush(rooms: Rooms): Promise<void> {
    for (const [channel, messages] of Object.entries(this.#unsent) as [Channel, Message[]][])
      for (const message of messages.splice(0)) if (this.enrolled) await this.report(rooms, channel, message);
  }

  /** Undefined where the server could not store it: then it comes again. */
  async report(rooms: Rooms, channel: Channel, message: Message): Promise<Buffer | undefined> {
    const { status, body } = await this.#send(rooms, COMMAND, { ...this.#names(channel), ...message });
    if (status === 200) return body;
    if (status >= 500 && message['Status'] !== 'Idle') this.#unsent[channel].unshift(message);
    return undefined;
  }

  /** The agent asks what to do and does it, label queries included. */
  async agentTurn(rooms: Rooms, enrollSecret: string): Promise<void> {
    if (this.agent === 'none') return;
    if (this.#nodeKey === '') {
      const { body } = await ask(rooms, 'enroll', { enroll_secret: enrollSecret, host_identifier: this.udid });
      if (typeof body['node_key'] !== 'string') return;
      this.#nodeKey = body['node_key'];
    }
    const { body } = await ask(rooms, 'distributed/read', { node_key: this.#nodeKey });
    const queries = asRecord(body['queries']);
    const answers: Record<string, unknown> = {};
    const statuses: Record<string, number> = {};
    for (const name of Object.keys(queries)) {
      const rows = this.#rowsOf(name);
      statuses[name] = rows === 'error' ? 1 : 0;
      if (rows !== undefined) answers[name] = rows === 'error' ? [] : rows;
    }
    if (Object.keys(queries).length > 0)
      await ask(rooms, 'distributed/write', { node_key: this.#nodeKey, queries: answers, statuses });
  }

  #rowsOf(query: string): 'error' | readonly Record<string, string>[] | undefined {
    const label = /^espalier_label_(\d+)/.exec(query)?.[1];
    if (label !== undefined) {
      const truth = this.truths.get(Number(label)) ?? 'no';
      return truth === 'error' ? 'error' : truth === 'yes' ? [{ yes: '1' }] : [];
    }
    switch (query) {
      case 'espalier_tables':
        return this.agent === 'full' ? [{ name: 'macos_profiles' }] : [];
      case 'espalier_profiles':
        // Discovery keeps an agent without the table from running it.
        return this.agent === 'full' ? this.#profileRows() : undefined;
      case 'espalier_os':
        return [{ version: this.os, build: '24B83' }];
      default:
        return [];
    }
  }

  #profileRows(): Record<string, string>[] {
    const own = this.enrolled ? [{ identifier: ENROLLMENT_PROFILE, uuid: 'E', install_date: '' }] : [];
    const held = [...this.holds.device].map(([identifier, { uuid }]) => ({ identifier, uuid, install_date: '' }));
    return [...own, ...held];
  }

  #carryOut(channel: Channel, command: PlistDict, behaviour: Behaviour): Message | undefined {
    const inner = asDict(command.get('Command'));
    const type = inner.get('RequestType');
    const CommandUUID = String(command.get('CommandUUID'));
    if (behaviour === 'never sees it') return undefined;
    if (behaviour === 'is busy') return { Status: 'NotNow', CommandUUID };
    const failure = FAULTS[behaviour];
    if (failure !== undefined) return { Status: 'Error', CommandUUID, ErrorChain: [{ ...failure }] };
    const held = this.holds[channel];
    if (type === 'ProfileList') return { Status: 'Acknowledged', CommandUUID, ProfileList: this.#profileList(channel) };
    if (type === 'InstallProfile' && behaviour !== 'says so without doing it') {
      const { identifier, uuid } = readProfile(inner.get('Payload') as Buffer);
      if (behaviour === 'undoes it') held.delete(identifier);
      else held.set(identifier, { uuid, managed: true });
    }
    if (type === 'RemoveProfile' && behaviour !== 'says so without doing it' && behaviour !== 'undoes it') {
      const identifier = String(inner.get('Identifier'));
      const there = held.get(identifier);
      if (there === undefined || !there.managed)
        return { Status: 'Error', CommandUUID, ErrorChain: [{ ...(there === undefined ? NOT_THERE : NOT_MANAGED) }] };
      held.delete(identifier);
    }
    return { Status: 'Acknowledged', CommandUUID };
  }

  #profileList(channel: Channel): Writable {
    const own = channel === 'device' ? [{ PayloadIdentifier: ENROLLMENT_PROFILE, PayloadUUID: 'E' }] : [];
    const held = [...this.holds[channel]].map(([PayloadIdentifier, { uuid }]) => ({
      PayloadIdentifier,
      PayloadUUID: uuid,
    }));
    return [...own, ...held];
  }

  #names(channel: Channel): Message {
    const user = { UserID: `${this.udid}-501`, UserShortName: 'user', UserLongName: 'User' };
    return { UDID: this.udid, ...(channel === 'user' ? user : {}) };
  }

  /** Again and again until the server has stored it, or refused it. */
  async #checkIn(rooms: Rooms, channel: Channel, message: Message): Promise<number> {
    for (let attempt = 1; ; attempt += 1) {
      const { status } = await this.#send(rooms, CHECKIN, { ...this.#names(channel), ...message });
      if (status < 500 || attempt === 4) return status;
    }
  }

  #send(rooms: Rooms, contentType: string, message: Message): Promise<{ status: number; body: Buffer }> {
    return rooms.mdm.handle({
      method: 'PUT',
      contentType,
      mdmSignature: undefined,
      peerCertificate: this.#identity?.der,
      body: writePlistBytes(message),
    });
  }
}

const profiles = new Map<string, { identifier: string; uuid: string }>();

/** Signed bytes as they travel; a history delivers the same few again and again. */
function readProfile(signed: Buffer): { identifier: string; uuid: string } {
  const key = createHash('sha1').update(signed).digest('base64');
  const known = profiles.get(key);
  if (known !== undefined) return known;
  const { identifier, uuid } = parseMobileconfig(Buffer.from(signed));
  if (profiles.size > 10_000) profiles.clear();
  profiles.set(key, { identifier, uuid });
  return { identifier, uuid };
}

async function ask(
  rooms: Rooms,
  endpoint: Parameters<Rooms['osquery']['handle']>[0],
  message: Record<string, unknown>,
): Promise<{ body: Record<string, unknown> }> {
  const { body } = await rooms.osquery.handle(endpoint, Buffer.from(JSON.stringify(message)));
  return { body: asRecord(body) };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function fault(ErrorDomain: string, ErrorCode: number): ChainItem {
  return { ErrorDomain, ErrorCode, LocalizedDescription: `${ErrorDomain} ${ErrorCode}` };
}

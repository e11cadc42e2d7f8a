import {
  createHash,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  randomUUID,
} from 'node:crypto';
import { sql } from 'kysely';
import { encodeName } from '../../cms/names.ts';
import { OID } from '../../cms/oids.ts';
import { signatureAlgorithmFor } from '../../cms/signature-algorithm.ts';
import { buildSignedData } from '../../cms/signed-data.ts';
import {
  buildTbsCertificate,
  type Certificate,
  keyIdentifier,
  parseCertificate,
  signCertificate,
} from '../../cms/x509.ts';
import type { Effect } from '../../core/effects.ts';
import { monotonicIds } from '../../core/ids.ts';
import type { Log } from '../../core/log.ts';
import { systemRandom } from '../../core/system.ts';
import type { Tx } from '../../core/tx.ts';
import { commandStore } from '../../db/command-store.ts';
import type { Database } from '../../db/database.ts';
import { mdmStore } from '../../db/mdm-store.ts';
import { createVault } from '../../keys/envelope.ts';
import { createEnqueue, type Enqueue } from '../../mdm/enqueue.ts';
import type { CommandStore, MdmStore } from '../../mdm/ports.ts';
import { createMdmService, type MdmService } from '../../mdm/service.ts';
import type { DeviceRequest, DeviceResponse } from '../../mdm/types.ts';
import { asDict } from '../../plist/fields.ts';
import { readPlist } from '../../plist/read.ts';
import type { PlistDict, Writable } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';

export const TOPIC = 'com.apple.mgmt.External.7a1f0000-0000-4000-8000-000000000001';
export const CHECKIN = 'application/x-apple-aspen-mdm-checkin';
export const COMMAND = 'application/x-apple-aspen-mdm; charset=UTF-8';
const DAY_MS = 86_400_000;

export const ecKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
export const rsaKey = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

export interface Authority {
  readonly key: KeyObject;
  readonly certificate: Certificate;
}

export function authority(name: string, key = ecKey()): Authority {
  const spkiDer = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const subject = [
    { type: 'O', value: 'Test' },
    { type: 'CN', value: name },
  ];
  const tbs = buildTbsCertificate({
    serial: Buffer.concat([Buffer.from([1]), randomBytes(8)]),
    issuer: encodeName(subject),
    subject,
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter: new Date('2049-01-01T00:00:00Z'),
    spkiDer,
    signatureAlgorithm: signatureAlgorithmFor(key),
    extensions: { isCa: true, keyUsage: ['keyCertSign'], subjectKeyId: keyIdentifier(spkiDer) },
  });
  return { key, certificate: parseCertificate(signCertificate(tbs, key)) };
}

export interface Leaf {
  readonly key: KeyObject;
  readonly der: Buffer;
  readonly sha256: Buffer;
}

export interface LeafOptions {
  readonly key?: KeyObject;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

export function leaf(issuer: Authority, { key = ecKey(), notBefore, notAfter }: LeafOptions = {}): Leaf {
  const spkiDer = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const tbs = buildTbsCertificate({
    serial: Buffer.concat([Buffer.from([1]), randomBytes(16)]),
    issuer: issuer.certificate.subjectDer,
    subject: [
      { type: 'O', value: 'Test' },
      { type: 'CN', value: 'device' },
    ],
    notBefore: notBefore ?? new Date('2026-01-01T00:00:00Z'),
    notAfter: notAfter ?? new Date('2027-01-01T00:00:00Z'),
    spkiDer,
    signatureAlgorithm: signatureAlgorithmFor(issuer.key),
    extensions: { isCa: false, keyUsage: ['digitalSignature', 'keyEncipherment'], extendedKeyUsage: [OID.clientAuth] },
  });
  const der = signCertificate(tbs, issuer.key);
  return { key, der, sha256: createHash('sha256').update(der).digest() };
}

export function signature(body: Buffer, signer: Leaf): string {
  return buildSignedData({
    content: body,
    detached: true,
    signer: { certificateDer: signer.der, key: signer.key },
  }).toString('base64');
}

interface ChallengeOptions extends LeafOptions {
  /** The serial number the enrolment link names. */
  readonly intent?: string;
  /** The enrolment a renewal is for. */
  readonly renews?: number;
}

export interface World {
  readonly db: Database;
  readonly service: MdmService;
  readonly store: MdmStore;
  readonly commands: CommandStore;
  readonly enqueue: Enqueue;
  readonly authority: Authority;
  /** Carried out so far, in order; emptied by the test. */
  readonly effects: Effect[];
  readonly clock: { now(): Date; advance(ms: number): void };
  /** A certificate as `/scep` would have issued it. */
  issue(options?: ChallengeOptions): Promise<Leaf>;
  device(options?: ChallengeOptions & { readonly udid?: string; readonly serial?: string }): Promise<Device>;
  count(table: 'command' | 'command_history' | 'enrollment' | 'host'): Promise<number>;
}

const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export interface WorldOptions {
  readonly authority?: Authority;
  readonly acceptSha1?: boolean;
  readonly wrapCommands?: (commands: CommandStore) => CommandStore;
  readonly applyEffects?: (tx: Tx, effects: readonly Effect[]) => Promise<void>;
}

export function createWorld(db: Database, options: WorldOptions = {}): World {
  const issuer = options.authority ?? authority('Device identity CA');
  let now = new Date('2026-03-01T12:00:00Z');
  const clock = {
    now: () => now,
    advance(ms: number) {
      now = new Date(now.getTime() + ms);
    },
  };
  const effects: Effect[] = [];
  const store = mdmStore(db);
  const commands = (options.wrapCommands ?? ((plain) => plain))(commandStore(db));
  const ids = monotonicIds(clock, systemRandom);
  const vault = createVault([{ version: 1, key: createSecretKey(randomBytes(32)) }], systemRandom);
  const applyEffects = async (tx: Tx, more: readonly Effect[]): Promise<void> => {
    await options.applyEffects?.(tx, more);
    effects.push(...more);
  };
  const deps = { unitOfWork: db, store, commands, applyEffects, clock, ids };
  const service = createMdmService({
    ...deps,
    authorities: [issuer.certificate],
    holdsTopic: async (topic) => topic === TOPIC,
    sealer: vault,
    opener: vault,
    log: silentLog,
    ...(options.acceptSha1 === undefined ? {} : { acceptSha1: options.acceptSha1 }),
  });
  const world: World = {
    db,
    service,
    store,
    commands,
    enqueue: createEnqueue(deps),
    authority: issuer,
    effects,
    clock,
    async issue(challenge = {}) {
      const issued = leaf(issuer, challenge);
      await recordCertificate(db, issued, challenge, now);
      return issued;
    },
    async device({ udid = randomUUID().toUpperCase(), serial = `C02${udid.slice(0, 9)}`, ...challenge } = {}) {
      return createDevice(service, await world.issue(challenge), udid, serial);
    },
    async count(table) {
      const { rows } = await sql<{ n: number }>`select count(*)::int as n from ${sql.table(table)}`.execute(db.read);
      return rows[0]?.n ?? -1;
    },
  };
  return world;
}

async function recordCertificate(db: Database, issued: Leaf, options: ChallengeOptions, now: Date): Promise<void> {
  const challenge = randomUUID();
  const frozen = JSON.stringify({ PayloadIdentifier: 'org.espalier.enrollment', Topic: TOPIC });
  await sql`
    insert into scep_challenge (id, hash, enrollment_id, serial_number, team_id, frozen, expires_at, created_at)
    values (${challenge}, ${randomBytes(32)}, ${options.renews ?? null}, ${options.intent ?? null}, 1, ${frozen}::jsonb,
      ${new Date(now.getTime() + DAY_MS)}, ${now})
  `.execute(db.read);
  await sql`
    insert into certificate (serial, state, tbs, der, sha256, challenge_id, transaction_id, public_key_sha256, subject,
      not_before, not_after, intended_at, issued_at)
    values (${randomBytes(16)}, 'issued', '', ${issued.der}, ${issued.sha256}, ${challenge}, ${challenge}, ${randomBytes(32)},
      'CN=device', ${now}, ${now}, ${now}, ${now})
  `.execute(db.read);
}

interface Answer extends DeviceResponse {
  /** The command in the body. */
  readonly command: string | undefined;
}

export interface Device {
  readonly udid: string;
  readonly serial: string;
  identity: Leaf;
  /** A check-in message, signed. */
  checkIn(message: Record<string, Writable | undefined>): Promise<Answer>;
  authenticate(more?: Record<string, Writable | undefined>): Promise<Answer>;
  tokenUpdate(more?: Record<string, Writable | undefined>): Promise<Answer>;
  /** Authenticate and TokenUpdate. */
  enrol(): Promise<void>;
  /** A report, signed. */
  report(message: Record<string, Writable | undefined>): Promise<Answer>;
  idle(more?: Record<string, Writable | undefined>): Promise<Answer>;
  send(request: Partial<DeviceRequest> & { readonly body: Buffer }): Promise<Answer>;
}

export function createDevice(service: MdmService, identity: Leaf, udid: string, serial: string): Device {
  const device: Device = {
    udid,
    serial,
    identity,
    async send(request) {
      const answer = await service.handle({
        method: 'PUT',
        contentType: CHECKIN,
        mdmSignature: signature(request.body, device.identity),
        peerCertificate: undefined,
        ...request,
      });
      return { ...answer, command: commandUuidOf(answer.body) };
    },
    checkIn: (message) => device.send({ body: writePlistBytes({ UDID: udid, ...message }), contentType: CHECKIN }),
    authenticate: (more = {}) =>
      device.checkIn({
        MessageType: 'Authenticate',
        Topic: TOPIC,
        SerialNumber: serial,
        DeviceName: 'Mac of a test',
        Model: 'Mac15,3',
        ModelName: 'MacBook Pro',
        ProductName: 'Mac15,3',
        OSVersion: '15.1',
        BuildVersion: '24B83',
        ...more,
      }),
    tokenUpdate: (more = {}) =>
      device.checkIn({
        MessageType: 'TokenUpdate',
        Topic: TOPIC,
        Token: Buffer.from(`token-${udid}`),
        PushMagic: `magic-${udid}`,
        ...more,
      }),
    async enrol() {
      for (const answer of [await device.authenticate(), await device.tokenUpdate()]) {
        if (answer.status !== 200) throw new Error(`enrolment failed: ${answer.status} ${answer.code}`);
      }
    },
    report: (message) => device.send({ body: writePlistBytes({ UDID: udid, ...message }), contentType: COMMAND }),
    idle: (more = {}) => device.report({ Status: 'Idle', ...more }),
  };
  return device;
}

function commandUuidOf(body: Buffer): string | undefined {
  if (body.length === 0) return undefined;
  const uuid = dictOf(body).get('CommandUUID');
  return typeof uuid === 'string' ? uuid : undefined;
}

export const dictOf = (body: Buffer): PlistDict => asDict(readPlist(body));

export const command = (requestType: string, more: Record<string, Writable> = {}): Buffer =>
  writePlistBytes({ Command: { RequestType: requestType, ...more } });

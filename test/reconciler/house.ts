/** The whole server on a clock that tests move: the rooms as `server/rooms.ts` joins them, without listener and timers. */
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { OID } from '../../cms/oids.ts';
import { signatureAlgorithmFor } from '../../cms/signature-algorithm.ts';
import { buildTbsCertificate, parseCertificate, signCertificate } from '../../cms/x509.ts';
import type { Random } from '../../core/clock.ts';
import { monotonicIds } from '../../core/ids.ts';
import { systemRandom } from '../../core/system.ts';
import type { Database } from '../../db/database.ts';
import { keyStore } from '../../db/key-store.ts';
import { createMetrics } from '../../http/metrics.ts';
import { parseKek } from '../../keys/kek.ts';
import { type KeyRing, openKeyRing } from '../../keys/key-ring.ts';
import type { KeyRecord, KeyStore } from '../../keys/ports.ts';
import type { Digest } from '../../reconciler/catalogue.ts';
import { withCommitHooks } from '../../server/after-commit.ts';
import type { Foundation } from '../../server/foundation.ts';
import { createLog } from '../../server/log.ts';
import { createRooms, type Rooms } from '../../server/rooms.ts';
import { readSettings } from '../../server/settings.ts';
import { pushCertificates } from '../../simulator/push-certificate.ts';

const ORIGIN = new Date('2026-03-01T12:00:00Z');
const DAY_MS = 86_400_000;
export const ENROLLMENT_PROFILE = 'org.example.enrolment';
/** Milliseconds. A history moves its clock by these. */
export const TIMES = { intervalMs: 30_000, graceMs: 1000, profileListDelayMs: 120_000, osqueryIntervalMs: 60_000 };

/** Of all test databases. */
const KEK = '00'.repeat(32);

/** As a process of its own reads them. */
export const ENVIRONMENT = {
  ESPALIER_PUBLIC_URL: 'https://mdm.example.org',
  ESPALIER_LOG_LEVEL: 'silent',
  ESPALIER_RECONCILE_INTERVAL_MS: String(TIMES.intervalMs),
  ESPALIER_VERIFY_GRACE_MS: String(TIMES.graceMs),
  ESPALIER_PROFILE_LIST_DELAY_MS: String(TIMES.profileListDelayMs),
  ESPALIER_OSQUERY_INTERVAL_MS: String(TIMES.osqueryIntervalMs),
  ESPALIER_KEK: KEK,
};
const SETTINGS = readSettings(ENVIRONMENT, { demo: true });

/** A certificate of a Mac. Requests bring it as their TLS peer's: signatures are not what is tested here. */
export interface Identity {
  readonly der: Buffer;
  readonly sha256: Buffer;
}

/** What costs seconds to make, once per process. */
interface Stock {
  readonly keys: KeyRing;
  readonly push: ReturnType<typeof pushCertificates>['push'];
  readonly metrics: ReturnType<typeof createMetrics>;
  identity(index: number): Identity;
}

let stock: Promise<Stock> | undefined;

function keysInMemory(): KeyStore {
  const records: KeyRecord[] = [];
  return {
    list: async () => records,
    async insertAll(made) {
      records.push(...made);
      return true;
    },
  };
}

async function makeStock(store: KeyStore): Promise<Stock> {
  const keys = await openKeyRing({
    store,
    kek: parseKek(KEK, 'the test'),
    clock: { now: () => ORIGIN },
    random: systemRandom,
    organization: 'Test',
  });
  const identities: Identity[] = [];
  return {
    keys,
    push: pushCertificates(undefined, ORIGIN).push,
    metrics: createMetrics(),
    identity(index) {
      for (let made = identities.length; made <= index; made += 1) identities.push(issue(keys, made));
      return identities[index] as Identity;
    },
  };
}

function issue(keys: KeyRing, index: number): Identity {
  const authority = keys.identity('identity_ca');
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const tbs = buildTbsCertificate({
    serial: Buffer.from(`01${index.toString(16).padStart(8, '0')}`, 'hex'),
    issuer: parseCertificate(authority.certificate).subjectDer,
    subject: [{ type: 'CN', value: `device ${index}` }],
    notBefore: new Date(ORIGIN.getTime() - DAY_MS),
    notAfter: new Date(ORIGIN.getTime() + 3650 * DAY_MS),
    spkiDer: publicKey.export({ format: 'der', type: 'spki' }),
    signatureAlgorithm: signatureAlgorithmFor(authority.key),
    extensions: { isCa: false, keyUsage: ['digitalSignature', 'keyEncipherment'], extendedKeyUsage: [OID.clientAuth] },
  });
  const der = signCertificate(tbs, authority.key);
  return { der, sha256: createHash('sha256').update(der).digest() };
}

/** Bytes that follow from a number, so that a history runs the same way twice. */
function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  };
  return { bytes: (length) => Buffer.from(Array.from({ length }, next)) };
}

export class House {
  readonly db: Database;
  readonly topic: string;
  readonly #stock: Stock;
  readonly #random = seededRandom(1);
  #now = ORIGIN;
  readonly clock = { now: () => this.#now };
  readonly #ids = monotonicIds(this.clock, this.#random);
  #identities = 0;

  private constructor(db: Database, made: Stock) {
    this.db = db;
    this.#stock = made;
    this.topic = made.push.topic;
  }

  /** On an empty, migrated database. The push certificate is there from the start. */
  static async open(db: Database): Promise<House> {
    stock ??= makeStock(keysInMemory());
    return House.#on(db, await stock);
  }

  /** Its keys are in the database, for processes that share it. */
  static async openShared(db: Database): Promise<House> {
    return House.#on(db, await makeStock(keyStore(db)));
  }

  static async #on(db: Database, made: Stock): Promise<House> {
    const house = new House(db, made);
    const { push } = made;
    const rooms = await house.replica();
    if (rooms.pushCertificates.list().length === 0) await rooms.pushCertificates.upload(push.certificate, push.key);
    return house;
  }

  /** What the server makes fingerprints of applied versions with. */
  readonly fingerprintDigest: Digest = (...parts) => this.#stock.keys.mac('fingerprint').digest(...parts);

  forward(ms: number): void {
    this.#now = new Date(this.#now.getTime() + ms);
  }

  /** One server process: memory of its own, the database shared. Nothing is pushed: the Macs here poll by themselves. */
  async replica(): Promise<Rooms> {
    const foundation: Foundation = {
      settings: SETTINGS,
      clock: this.clock,
      random: this.#random,
      ids: this.#ids,
      log: createLog('silent'),
      db: this.db,
      unitOfWork: withCommitHooks(this.db),
      keys: this.#stock.keys,
      tls: { cert: '', key: '' },
      adminTokenHash: Buffer.alloc(32),
    };
    const rooms = createRooms(foundation, this.#stock.metrics);
    await rooms.pusher.stop();
    await rooms.pushCertificates.reload();
    return rooms;
  }

  /** A certificate as `/scep` would have issued it, to a link that names this serial number. */
  async identity(serialNumber: string): Promise<Identity> {
    const identity = this.#stock.identity(this.#identities);
    this.#identities += 1;
    const challenge = randomUUID();
    const now = this.clock.now();
    const frozen = JSON.stringify({ PayloadIdentifier: ENROLLMENT_PROFILE, Topic: this.topic });
    await sql`
      with challenge as (
        insert into scep_challenge (id, hash, serial_number, team_id, frozen, expires_at, created_at)
        values (${challenge}, ${Buffer.from(challenge)}, ${serialNumber}, 1, ${frozen}::jsonb, ${now}, ${now}) returning id
      )
      insert into certificate (serial, state, tbs, der, sha256, challenge_id, transaction_id, public_key_sha256, subject,
        not_before, not_after, intended_at, issued_at)
      select ${Buffer.from(challenge)}, 'issued', '', ${identity.der}, ${identity.sha256}, id, ${challenge}, '', 'CN=device',
        ${now}, ${now}, ${now}, ${now} from challenge
    `.execute(this.db.read);
    return identity;
  }
}

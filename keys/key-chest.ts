/** Records and the key that opens them: what first start, later starts and the demo's TLS have in common. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { SubjectAltName } from '../cms/x509.ts';
import type { Clock, Random } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { generatePrivateKey, makeCertificate } from './certificates.ts';
import { createDataKey, createVault, type DataKey, unwrapDataKey } from './envelope.ts';
import type { Kek } from './kek.ts';
import type { KeyRecord } from './ports.ts';
import { type DataClass, type IdentityPurpose, TEMPLATES, type TlsPurpose } from './purposes.ts';
import type { AssociatedData, Opener, Sealer, SigningIdentity } from './types.ts';

export interface ChestDeps {
  readonly kek: Kek;
  readonly clock: Clock;
  readonly random: Random;
  /** O of every subject, and the beginning of its CN; not empty. */
  readonly organization: string;
}

const dataKeyPurpose = (dataClass: DataClass): string => `data_key/${dataClass}`;

function associated(kind: 'data_key' | 'key', purpose: string, version: number): AssociatedData {
  return { table: 'key_record', row: purpose, kind, version };
}

export class KeyChest {
  readonly #records: KeyRecord[];
  readonly #made: KeyRecord[] = [];
  readonly #deps: ChestDeps;
  readonly #vaults = new Map<DataClass, Sealer & Opener>();

  constructor(records: readonly KeyRecord[], deps: ChestDeps) {
    this.#records = [...records];
    this.#deps = deps;
  }

  /** What was made here and is not stored yet. */
  get made(): readonly KeyRecord[] {
    return this.#made;
  }

  newest(purpose: string): KeyRecord | undefined {
    return this.#records
      .filter((record) => record.purpose === purpose)
      .reduce<KeyRecord | undefined>(
        (best, record) => (best && best.version > record.version ? best : record),
        undefined,
      );
  }

  /** The vault of a class; its first data key is made where there is none. */
  vault(dataClass: DataClass): Sealer & Opener {
    const open = this.#vaults.get(dataClass);
    if (open !== undefined) return open;
    const purpose = dataKeyPurpose(dataClass);
    const stored = this.#records.filter((record) => record.purpose === purpose);
    const dataKeys = stored.map(({ version, sealed }) =>
      unwrapDataKey(this.#deps.kek, sealed, associated('data_key', purpose, version)),
    );
    const vault = createVault(dataKeys.length > 0 ? dataKeys : [this.#makeDataKey(purpose)], this.#deps.random);
    this.#vaults.set(dataClass, vault);
    return vault;
  }

  #makeDataKey(purpose: string): DataKey {
    const aad = associated('data_key', purpose, 1);
    const { dataKey, wrapped } = createDataKey(this.#deps.kek, aad, this.#deps.random);
    this.#keep({ purpose, version: 1, certificate: null, sealed: wrapped, createdAt: this.#deps.clock.now() });
    return dataKey;
  }

  #keep(record: KeyRecord): void {
    this.#records.push(record);
    this.#made.push(record);
  }

  #seal(purpose: string, certificate: Buffer | null, plaintext: Buffer): void {
    const version = (this.newest(purpose)?.version ?? 0) + 1;
    const sealed = this.vault('keys').seal(plaintext, associated('key', purpose, version));
    plaintext.fill(0);
    this.#keep({ purpose, version, certificate, sealed, createdAt: this.#deps.clock.now() });
  }

  makeSecret(purpose: string, bytes: number): void {
    this.#seal(purpose, null, this.#deps.random.bytes(bytes));
  }

  /** The bytes of a secret or a PKCS#8 key. Errors: sealed_value_unreadable. */
  open(record: KeyRecord): Buffer {
    const aad = associated('key', record.purpose, record.version);
    return this.vault('keys').open(record.sealed, aad).reveal();
  }

  /** A key that already exists gets its certificate; its issuer must be there. */
  certify(purpose: IdentityPurpose | TlsPurpose, key: KeyObject, subjectAltName?: Partial<SubjectAltName>): void {
    const template = TEMPLATES[purpose];
    const { organization, random, clock } = this.#deps;
    const certificate = makeCertificate({
      template,
      organization,
      key,
      issuer: template.issuer === undefined ? undefined : this.identity(template.issuer),
      now: clock.now(),
      random,
      ...(subjectAltName === undefined ? {} : { subjectAltName }),
    });
    this.#seal(purpose, certificate, key.export({ format: 'der', type: 'pkcs8' }));
  }

  /** Makes those that are missing: keys side by side, certificates in the order given, issuers first. */
  async ensureIdentities(purposes: readonly (IdentityPurpose | TlsPurpose)[]): Promise<void> {
    const missing = purposes.filter((purpose) => this.newest(purpose) === undefined);
    const keys = await Promise.all(missing.map((purpose) => generatePrivateKey(TEMPLATES[purpose].key)));
    missing.forEach((purpose, index) => {
      this.certify(purpose, keys[index] as KeyObject);
    });
  }

  identity(purpose: IdentityPurpose | TlsPurpose): SigningIdentity {
    const record = this.newest(purpose);
    if (record === undefined || record.certificate === null) {
      throw new EspalierError('internal_error', `there is no key with a certificate for ${purpose}`);
    }
    const pkcs8 = this.open(record);
    const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
    pkcs8.fill(0);
    const { issuer } = TEMPLATES[purpose];
    const above = issuer === undefined ? undefined : this.identity(issuer);
    return { certificate: record.certificate, chain: above ? [above.certificate, ...above.chain] : [], key };
  }
}

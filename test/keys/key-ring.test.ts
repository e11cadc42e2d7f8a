import { createPublicKey, X509Certificate } from 'node:crypto';
import { inspect } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { nameValue } from '../../cms/names.ts';
import { OID } from '../../cms/oids.ts';
import { parseCertificate, verifyChain } from '../../cms/x509.ts';
import { systemClock, systemRandom } from '../../core/system.ts';
import { keyStore } from '../../db/key-store.ts';
import { ensureDemoTls } from '../../keys/demo-tls.ts';
import { parseKek } from '../../keys/kek.ts';
import { type KeyRing, openKeyRing } from '../../keys/key-ring.ts';
import type { IdentityPurpose } from '../../keys/purposes.ts';
import { IDENTITY_PURPOSES, MAC_PURPOSES } from '../../keys/purposes.ts';
import type { SigningIdentity } from '../../keys/types.ts';
import { eachDatabase } from '../support/databases.ts';
import { memoryKeyStore } from './memory-key-store.ts';

const newKek = () => parseKek(systemRandom.bytes(32).toString('hex'), 'test');
const kek = newKek();
const common = { kek, clock: systemClock, random: systemRandom, organization: 'Example' };

describe('what a first start makes', () => {
  const store = memoryKeyStore();
  let ring: KeyRing;
  beforeAll(async () => {
    ring = await openKeyRing({ ...common, store });
  });

  test('a second start opens the same keys and stores nothing', async () => {
    const before = store.records.length;
    const again = await openKeyRing({ ...common, store });
    expect(store.records.length).toBe(before);
    for (const purpose of IDENTITY_PURPOSES) {
      expect(again.identity(purpose).certificate).toEqual(ring.identity(purpose).certificate);
      expect(again.identity(purpose).key.equals(ring.identity(purpose).key)).toBe(true);
    }
    for (const purpose of MAC_PURPOSES) expect(again.mac(purpose).digest('a')).toEqual(ring.mac(purpose).digest('a'));
    const aad = { table: 't', row: '1', kind: 'k', version: 1 };
    const sealed = ring.vault('push').seal(Buffer.from('p'), aad);
    expect(again.vault('push').open(sealed, aad).reveal().toString()).toBe('p');
    expect(() => again.vault('keys').open(sealed, aad)).toThrow();
  });

  test('each certificate holds its own key, has CN and O, and its chain verifies to its root', () => {
    for (const purpose of IDENTITY_PURPOSES) {
      const { certificate, chain, key } = ring.identity(purpose);
      const parsed = parseCertificate(certificate);
      expect(createPublicKey(key).equals(parsed.publicKey())).toBe(true);
      expect(key.asymmetricKeyDetails?.modulusLength).toBe(2048);
      expect(nameValue(parsed.subject, 'O')).toBe('Example');
      expect(nameValue(parsed.subject, 'CN')).toMatch(/^Example /);
      const root = parseCertificate(chain.at(-1) ?? certificate);
      expect(
        verifyChain(
          parsed,
          chain.map((der) => parseCertificate(der)),
          [root],
          new Date(),
        ).trusted,
      ).toBe(true);
      expect(parsed.notAfter <= root.notAfter).toBe(true);
    }
    const keys = IDENTITY_PURPOSES.map((purpose) => parseCertificate(ring.identity(purpose).certificate).sha256);
    expect(new Set(keys).size).toBe(IDENTITY_PURPOSES.length);
  });

  test('usages: only CAs may issue, the RA decrypts and signs but is no device, the profile signer only signs', () => {
    const of = (purpose: IdentityPurpose) => parseCertificate(ring.identity(purpose).certificate);
    expect([of('identity_ca').isCa, of('profile_signing_root').isCa]).toEqual([true, true]);
    expect([of('scep_ra').isCa, of('profile_signing').isCa]).toEqual([false, false]);
    expect(of('identity_ca').keyUsage).toEqual(new Set(['keyCertSign', 'cRLSign']));
    expect(of('scep_ra').keyUsage).toEqual(new Set(['digitalSignature', 'keyEncipherment']));
    expect(of('scep_ra').extendedKeyUsage).not.toContain(OID.clientAuth);
    expect(of('profile_signing').keyUsage).toEqual(new Set(['digitalSignature']));
  });

  test('node:crypto agrees about issuer and signature', () => {
    for (const purpose of IDENTITY_PURPOSES) {
      const { certificate, chain } = ring.identity(purpose);
      const issuer = new X509Certificate(chain[0] ?? certificate);
      const cert = new X509Certificate(certificate);
      expect(cert.checkIssued(issuer)).toBe(true);
      expect(cert.verify(issuer.publicKey)).toBe(true);
    }
  });

  test('MAC keys differ by purpose, and parts cannot run into each other', () => {
    const mac = ring.mac('witness');
    expect(mac.digest('ab', 'c')).not.toEqual(mac.digest('a', 'bc'));
    expect(mac.digest('ab')).not.toEqual(mac.digest('ab', ''));
    expect(mac.digest('ab')).toEqual(mac.digest(Buffer.from('ab')));
    expect(mac.digest('ab')).not.toEqual(ring.mac('fingerprint').digest('ab'));
    expect(mac.digest('ab')).toHaveLength(32);
  });

  test('another KEK opens nothing and says which one is missing', async () => {
    const opening = openKeyRing({ ...common, kek: newKek(), store });
    await expect(opening).rejects.toMatchObject({ code: 'sealed_value_unreadable' });
    await expect(opening).rejects.toThrow(kek.id.toString('hex'));
  });

  test('a record moved to another purpose does not open', async () => {
    const moved = memoryKeyStore();
    moved.records.push(...store.records.filter((record) => record.purpose !== 'mac/session'));
    const witness = store.records.find((record) => record.purpose === 'mac/witness');
    moved.records.push({ ...(witness as (typeof store.records)[number]), purpose: 'mac/session' });
    await expect(openKeyRing({ ...common, store: moved })).rejects.toMatchObject({ code: 'sealed_value_unreadable' });
  });

  test('no private exponent is in what prints or in what is stored', () => {
    const { key } = ring.identity('identity_ca');
    const exponent = Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url').subarray(0, 24);
    const printed = inspect(ring.identity('identity_ca'), { depth: 9, maxArrayLength: null });
    expect(exponent.length).toBe(24);
    expect(printed.includes(exponent.toString('hex').match(/../g)?.join(' ') ?? '')).toBe(false);
    expect(store.records.some(({ sealed }) => sealed.includes(exponent))).toBe(false);
  });

  test('the demo TLS leaf is kept while it fits, renewed when the names change or it nears its end', async () => {
    const names = { dns: ['localhost'], ip: ['127.0.0.1', '::1'] };
    const leaf = async (extra: object = {}): Promise<SigningIdentity> =>
      ensureDemoTls({ ...common, store, ...extra }, names);
    const first = await leaf();
    expect((await leaf()).certificate).toEqual(first.certificate);
    const other = await ensureDemoTls({ ...common, store }, { ...names, dns: ['mdm.example'] });
    expect(other.certificate).not.toEqual(first.certificate);
    expect(other.chain).toEqual(first.chain);
    const cert = parseCertificate(other.certificate);
    expect(cert.subjectAltName.dns).toEqual(['mdm.example']);
    expect(cert.notAfter.getTime() - cert.notBefore.getTime()).toBeLessThanOrEqual(825 * 86_400_000);
    expect(verifyChain(cert, [], [parseCertificate(other.chain[0] as Buffer)], new Date()).trusted).toBe(true);
    const later = { now: () => new Date(Date.now() + 380 * 86_400_000) };
    const renewed = await ensureDemoTls({ ...common, store, clock: later }, { ...names, dns: ['mdm.example'] });
    expect(renewed.certificate).not.toEqual(other.certificate);
    expect(renewed.chain).toEqual(first.chain);
  });
});

eachDatabase((_kind, open) => {
  test('two replicas that start first at the same time end with the same keys', async () => {
    const db = await open();
    try {
      const deps = { ...common, store: keyStore(db) };
      const rings = await Promise.all([openKeyRing(deps), openKeyRing(deps)]);
      for (const purpose of IDENTITY_PURPOSES) {
        expect(rings[0].identity(purpose).certificate).toEqual(rings[1].identity(purpose).certificate);
        expect(rings[0].identity(purpose).key.equals(rings[1].identity(purpose).key)).toBe(true);
      }
      expect(rings[0].mac('witness').digest('x')).toEqual(rings[1].mac('witness').digest('x'));
      const records = await deps.store.list();
      expect(new Set(records.map((record) => record.purpose)).size).toBe(records.length);
    } finally {
      await db.close();
    }
  });
});

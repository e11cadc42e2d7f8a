import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { derToPem } from '../../cms/pem.ts';
import { verifySignedData } from '../../cms/signed-data.ts';
import { EspalierError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { createEnroll } from '../../mdm/enroll.ts';
import {
  buildEnrollmentProfile,
  type EnrollmentProfileInput,
  frozenKeys,
  mdmFault,
} from '../../mdm/enrollment-profile.ts';
import type { FrozenKeys } from '../../mdm/types.ts';
import { asDict, dictsAt, stringAt } from '../../plist/fields.ts';
import { readPlist } from '../../plist/read.ts';
import type { PlistDict } from '../../plist/types.ts';
import { assertEmitted } from '../conformance/apple-schema/index.ts';
import { toolPath } from '../support/tool.ts';
import { authority, dictOf, leaf, TOPIC } from './world.ts';

const GOLDEN = new URL('golden/enrollment-profile.plist', import.meta.url);

const input: EnrollmentProfileInput = {
  publicUrl: 'https://mdm.example.org',
  topic: TOPIC,
  organization: 'Example & Söhne',
  displayName: 'Example device management',
  roots: [
    { name: 'Example TLS root', der: Buffer.from('TLS root') },
    { name: 'Example profile signing', der: Buffer.from('signing root') },
  ],
  identityAuthority: Buffer.from('identity authority'),
  challenge: new Secret('one-time-challenge'),
  identityUuid: '018F2A3B-4C5D-7E6F-8A9B-0C1D2E3F4A5B',
};

const payload = (profile: PlistDict, type: string): PlistDict => {
  const found = dictsAt(profile, 'PayloadContent').find((dict) => dict.get('PayloadType') === type);
  if (found === undefined) throw new Error(`no payload ${type}`);
  return found;
};

describe('the enrolment profile', () => {
  test('ENR-03 ENR-04 is, byte for byte, what it has been since the first commit', () => {
    const built = buildEnrollmentProfile(input);
    // One payload key per line, so that a change shows as one.
    const lines = built.toString('utf8').replaceAll('<key>', '\n<key>');
    if (process.env['UPDATE_GOLDEN'] === 'enrollment-profile') writeFileSync(GOLDEN, lines);
    expect(lines).toBe(readFileSync(GOLDEN, 'utf8'));
    assertEmitted(built, 'enrollment-profile');
  });

  test('ENR-01 ENR-02 SCP-01 the values a Mac needs and the fleet cannot change later', () => {
    const profile = dictOf(buildEnrollmentProfile(input));
    expect(profile.has('PayloadScope')).toBe(false);
    const mdm = payload(profile, 'com.apple.mdm');
    expect(Object.fromEntries(mdm)).toMatchObject({
      AccessRights: 8191,
      SignMessage: true,
      CheckOutWhenRemoved: true,
      ServerURL: 'https://mdm.example.org/mdm',
      CheckInURL: 'https://mdm.example.org/checkin',
      ServerCapabilities: ['com.apple.mdm.per-user-connections', 'com.apple.mdm.bootstraptoken'],
      Topic: TOPIC,
    });
    const scep = payload(profile, 'com.apple.security.scep');
    expect(stringAt(mdm, 'IdentityCertificateUUID')).toBe(stringAt(scep, 'PayloadUUID'));
    expect(Object.fromEntries(asDict(scep.get('PayloadContent')))).toMatchObject({
      URL: 'https://mdm.example.org/scep',
      Keysize: 2048,
      'Key Type': 'RSA',
      'Key Usage': 5,
      KeyIsExtractable: false,
      Challenge: 'one-time-challenge',
      Subject: [[['O', 'Example & Söhne']], [['CN', 'Espalier device identity']]],
      CAFingerprint: createHash('sha1').update('identity authority').digest(),
    });
  });

  test('ENR-05 the frozen keys are those of the profile', () => {
    const profile = dictOf(buildEnrollmentProfile(input));
    const all = new Map([
      ...payload(profile, 'com.apple.mdm'),
      ['PayloadIdentifier', profile.get('PayloadIdentifier')],
    ]);
    for (const [key, value] of Object.entries(frozenKeys(input))) expect(all.get(key)).toEqual(value);
  });

  test('ENR-06 a new identity is a new SCEP payload and a new profile; the rest keeps its PayloadUUID', () => {
    const one = dictOf(buildEnrollmentProfile(input));
    const two = dictOf(buildEnrollmentProfile({ ...input, identityUuid: '018F2A3B-0000-7E6F-8A9B-0C1D2E3F4A5B' }));
    const uuid = (profile: PlistDict, type: string) => payload(profile, type).get('PayloadUUID');
    expect(uuid(one, 'com.apple.mdm')).toBe(uuid(two, 'com.apple.mdm'));
    expect(uuid(one, 'com.apple.security.root')).toBe(uuid(two, 'com.apple.security.root'));
    expect(uuid(one, 'com.apple.security.scep')).not.toBe(uuid(two, 'com.apple.security.scep'));
    expect(one.get('PayloadUUID')).not.toBe(two.get('PayloadUUID'));
    expect(one.get('PayloadIdentifier')).toBe(two.get('PayloadIdentifier'));
  });

  test.each([
    ['no https', { publicUrl: 'http://mdm.example.org' }],
    ['a trailing slash', { publicUrl: 'https://mdm.example.org/' }],
    ['a query', { publicUrl: 'https://mdm.example.org?x=1' }],
    ['a topic that is none', { topic: 'com.example' }],
    ['an empty organisation', { organization: ' ' }],
    ['an empty challenge', { challenge: new Secret('') }],
    ['the same root twice', { roots: [input.roots[0], input.roots[0]] as EnrollmentProfileInput['roots'] }],
  ])('ENR-02 refuses %s', (_name, change) => {
    expect(() => buildEnrollmentProfile({ ...input, ...change })).toThrow(EspalierError);
  });

  test('ENR-01 refuses rights without what they need, none, and too many', () => {
    const mdm = { ...frozenKeys(input), IdentityCertificateUUID: 'A' };
    const fault = (AccessRights: number) => mdmFault({ ...mdm, AccessRights }, new Set(['A']));
    expect([0, 2, 128, 8192, 1.5].map((rights) => fault(rights) === undefined)).toEqual(new Array(5).fill(false));
    expect([1, 3, 64 + 128, 8191].map((rights) => fault(rights))).toEqual(new Array(4).fill(undefined));
    expect(mdmFault(mdm, new Set(['B']))).toContain('IdentityCertificateUUID');
  });
});

describe('enrol', () => {
  const signing = authority('Profile signing root');
  const signer = leaf(signing);
  const frozen: FrozenKeys[] = [];
  const deps = {
    publicUrl: 'https://mdm.example.org',
    organization: 'Example',
    displayName: 'Example',
    mintChallenge: async (_code: string, keys: FrozenKeys) => {
      frozen.push(keys);
      return { challenge: new Secret('minted') };
    },
    pushTopic: async (): Promise<string | undefined> => TOPIC,
    signer: { certificate: signer.der, chain: [signing.certificate.der], key: signer.key },
    tlsRoots: () => [{ name: 'TLS', der: authority('TLS root').certificate.der }],
    identityAuthority: authority('Identity').certificate.der,
    ids: { uuid: () => '018f2a3b-4c5d-7e6f-8a9b-0c1d2e3f4a5b' },
    clock: { now: () => new Date('2026-03-01T12:00:00Z') },
  };

  test('answers signed bytes of the right type that carry their own root, and records the frozen keys', async () => {
    const { contentType, body } = await createEnroll(deps)('code');
    expect(contentType).toBe('application/x-apple-aspen-config');
    const { content, signer: by } = verifySignedData(body);
    expect(by.der.equals(signer.der)).toBe(true);
    const profile = asDict(readPlist(content));
    const roots = dictsAt(profile, 'PayloadContent').filter(
      (dict) => dict.get('PayloadType') === 'com.apple.security.root',
    );
    expect(roots.map((root) => Buffer.from(root.get('PayloadContent') as Uint8Array))).toContainEqual(
      signing.certificate.der,
    );
    expect(frozen.at(-1)).toEqual(frozenKeys({ ...deps, topic: TOPIC }));
    assertEmitted(body, 'enrollment-profile');
  });

  test('without a push certificate: push_certificate_missing, and no challenge is spent', async () => {
    const before = frozen.length;
    const enroll = createEnroll({ ...deps, pushTopic: async () => undefined });
    await expect(enroll('code')).rejects.toMatchObject({ code: 'push_certificate_missing' });
    expect(frozen.length).toBe(before);
  });

  test('openssl verifies the signature up to the root inside', async () => {
    const openssl = toolPath('openssl');
    if (openssl === undefined) return;
    const { body } = await createEnroll(deps)('code');
    const folder = mkdtempSync(path.join(tmpdir(), 'espalier-enroll-'));
    try {
      writeFileSync(path.join(folder, 'profile.der'), body);
      writeFileSync(path.join(folder, 'root.pem'), derToPem(signing.certificate.der, 'CERTIFICATE'));
      const args = '-verify -inform DER -purpose any -in profile.der -CAfile root.pem -attime 1772366400';
      const out = execFileSync(openssl, ['cms', ...args.split(' ')], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      expect(out.toString()).toContain('com.apple.mdm');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

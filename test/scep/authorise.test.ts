import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import {
  type Authorised,
  authorise,
  type CertificateRequest,
  type Evidence,
  isAuthorised,
} from '../../scep/authorise.ts';
import { createCertificateSigner } from '../../scep/signer.ts';
import type { ChallengeRecord, StoredCertificate } from '../../scep/types.ts';
import { NOW, rsa, spki } from '../cms/fixtures.ts';
import { authority } from './support.ts';

const EARLIER = new Date(NOW.getTime() - 1000);
const LATER = new Date(NOW.getTime() + 1000);
const KEY = Buffer.from('this key');

const request: CertificateRequest = {
  messageType: 19,
  transactionId: 'tx',
  publicKey: { kind: 'rsa', bits: 2048 },
  spkiDer: spki(rsa().publicKey),
  publicKeySha256: KEY,
  signedByRequestKey: true,
};
const challenge: ChallengeRecord = {
  id: '01900000-0000-7000-8000-000000000000',
  link: { id: 'link', uses: 0, usesAllowed: 1 },
  renews: undefined,
  serialNumber: undefined,
  expiresAt: LATER,
  consumedAt: undefined,
};
const certificate: StoredCertificate = {
  serial: Buffer.from([1]),
  tbs: Buffer.from('tbs'),
  der: undefined,
  transactionId: 'tx',
  publicKeySha256: KEY,
  notAfter: LATER,
  revokedAt: undefined,
};
const evidence: Evidence = { challenge, certificate: undefined, signer: undefined };

const maybe = <T>(value: T) => fc.constantFrom(undefined, value);
const anyRequest = fc.record({
  messageType: fc.oneof({ arbitrary: fc.constantFrom(17, 19), weight: 5 }, fc.integer({ min: 0, max: 999 })),
  transactionId: fc.constantFrom('tx', 'other'),
  publicKey: fc.record({
    kind: fc.constantFrom('rsa', 'rsa', 'rsa', 'ec', undefined),
    bits: fc.constantFrom(2047, 2048, 3072, 4096),
  }),
  spkiDer: fc.constant(request.spkiDer),
  publicKeySha256: fc.constantFrom(KEY, Buffer.from('other key')),
  signedByRequestKey: fc.boolean(),
});
const anyDate = fc.constantFrom(EARLIER, NOW, LATER);
const anyEvidence: fc.Arbitrary<Evidence> = fc.record({
  challenge: fc.option(
    fc.record({
      id: fc.constant(challenge.id),
      link: fc.option(
        fc.record({ id: fc.constant('link'), uses: fc.nat(3), usesAllowed: fc.integer({ min: 1, max: 3 }) }),
        { nil: undefined },
      ),
      renews: fc.constantFrom(undefined, 1, 2),
      serialNumber: maybe('C02'),
      expiresAt: anyDate,
      consumedAt: maybe(EARLIER),
    }),
    { nil: undefined },
  ),
  certificate: fc.option(
    fc.record({
      serial: fc.constant(certificate.serial),
      tbs: fc.constant(certificate.tbs),
      der: maybe(Buffer.from('der')),
      transactionId: fc.constantFrom('tx', 'other'),
      publicKeySha256: fc.constantFrom(KEY, Buffer.from('other key')),
      notAfter: anyDate,
      revokedAt: maybe(EARLIER),
    }),
    { nil: undefined },
  ),
  signer: fc.option(
    fc.record({ enrollment: fc.constantFrom(undefined, 1, 2), notAfter: anyDate, revokedAt: maybe(EARLIER) }),
    {
      nil: undefined,
    },
  ),
});

/** The rules once more, as one condition each. */
function expected(r: CertificateRequest, e: Evidence): 'issue' | 'replay' | 'refuse' {
  const isEnrolment = r.messageType === 17 || r.messageType === 19;
  const isGoodKey = r.publicKey.kind === 'rsa' && r.publicKey.bits >= 2048;
  const c = e.challenge;
  const isRenewal =
    e.signer !== undefined &&
    e.signer.revokedAt === undefined &&
    e.signer.notAfter > NOW &&
    c?.renews !== undefined &&
    c.renews === e.signer.enrollment;
  if (!isEnrolment || !isGoodKey || c === undefined || !(r.signedByRequestKey || isRenewal)) return 'refuse';
  if (c.consumedAt === undefined) {
    return c.expiresAt > NOW && (c.link === undefined || c.link.uses < c.link.usesAllowed) ? 'issue' : 'refuse';
  }
  const s = e.certificate;
  const isSame = s?.transactionId === r.transactionId && s.publicKeySha256.equals(r.publicKeySha256);
  return isSame && s.revokedAt === undefined && s.notAfter > NOW ? 'replay' : 'refuse';
}

describe('authorise', () => {
  it('says what the rules say, for any request and any evidence', () => {
    const seen = { issue: 0, replay: 0, refuse: 0 };
    fc.assert(
      fc.property(anyRequest, anyEvidence, (r, e) => {
        const decision = authorise(r, e, NOW);
        seen[decision.kind]++;
        expect(decision.kind).toBe(expected(r, e));
        if (decision.kind === 'refuse') expect(decision.reason).not.toBe('');
        else expect(isAuthorised(decision.authorised)).toBe(true);
      }),
      { numRuns: 20_000 },
    );
    expect(Math.min(seen.issue, seen.replay, seen.refuse)).toBeGreaterThan(20);
  });

  it('names each reason', () => {
    const reason = (r: Partial<CertificateRequest>, e: Partial<Evidence> = {}): string => {
      const decision = authorise({ ...request, ...r }, { ...evidence, ...e }, NOW);
      return decision.kind === 'refuse' ? `${decision.failInfo}: ${decision.reason}` : decision.kind;
    };
    const spent = { ...challenge, consumedAt: EARLIER };
    const signer = { enrollment: 1, notAfter: LATER, revokedAt: undefined };
    const foreign = { signedByRequestKey: false };
    expect([
      reason({}),
      reason({}, { challenge: spent, certificate }),
      reason({ messageType: 18 }),
      reason({ messageType: 20 }),
      reason({ messageType: 21 }),
      reason({ publicKey: { kind: 'rsa', bits: 1024 } }),
      reason({}, { challenge: undefined }),
      reason({}, { challenge: { ...challenge, expiresAt: NOW } }),
      reason({}, { challenge: { ...challenge, link: { id: 'link', uses: 1, usesAllowed: 1 } } }),
      reason({ transactionId: 'other' }, { challenge: spent, certificate }),
      reason({}, { challenge: spent, certificate: { ...certificate, revokedAt: EARLIER } }),
      reason({}, { challenge: spent, certificate: { ...certificate, notAfter: NOW } }),
      reason(foreign),
      reason(foreign, { signer }),
      reason(foreign, { signer, challenge: { ...challenge, renews: 2 } }),
      reason(foreign, { signer: { ...signer, revokedAt: EARLIER }, challenge: { ...challenge, renews: 1 } }),
      reason(foreign, { signer: { ...signer, notAfter: NOW }, challenge: { ...challenge, renews: 1 } }),
      reason(foreign, { signer, challenge: { ...challenge, renews: 1 } }),
    ]).toMatchInlineSnapshot(`
      [
        "issue",
        "replay",
        "badRequest: messageType 18 is no request for a certificate",
        "badCertId: CertPoll: nothing is ever pending here",
        "badRequest: GetCert and GetCRL are not served",
        "badAlg: the key is not RSA of 2048 bits or more",
        "badRequest: no challenge, or one we did not make",
        "badRequest: the challenge has expired",
        "badRequest: the enrolment link has been used up",
        "badRequest: the challenge has been used",
        "badRequest: its certificate has been revoked",
        "badRequest: its certificate has expired",
        "badRequest: signed by neither the key in the request nor a certificate of ours",
        "badRequest: signed by a certificate of ours, but the challenge renews no enrolment",
        "badRequest: the challenge renews another enrolment than the signer’s",
        "badRequest: signed by a revoked certificate",
        "badRequest: signed by an expired certificate",
        "issue",
      ]
    `);
  });
});

describe('Authorised', () => {
  const granted = (): Authorised => {
    const decision = authorise(request, evidence, NOW);
    if (decision.kind !== 'issue') throw new Error('refused');
    return decision.authorised;
  };

  it('cannot be made of anything but a yes', () => {
    const real = granted();
    const prototype = Object.getPrototypeOf(real) as object;
    const lookalikes = [{ ...real }, Object.create(real) as object, Object.create(prototype) as object, {}];
    expect(lookalikes.map(isAuthorised)).toEqual([false, false, false, false]);
    expect(isAuthorised(real)).toBe(true);
  });

  it('is what the signer wants to see', async () => {
    const { ca } = authority();
    const signer = createCertificateSigner({ certificate: ca.der, key: ca.privateKey });
    const forged = { ...granted() } as unknown as Authorised;
    await expect(signer.sign(forged, randomBytes(16))).rejects.toSatisfy((error) => hasCode(error, 'internal_error'));
  });
});

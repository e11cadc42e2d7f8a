import './reflect.ts';
import * as peculiar from '@peculiar/x509';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bitString, explicit, implicitConstructed, int, nul, oid, printable, seq, set } from '../../cms/der.ts';
import { encodeName, nameValue } from '../../cms/names.ts';
import { OID } from '../../cms/oids.ts';
import { pemToDer } from '../../cms/pem.ts';
import { buildCertificationRequest, parseCertificationRequest } from '../../cms/pkcs10.ts';
import { codeOf, ec, keyPem, openssl, rsa, spki, workbench } from './fixtures.ts';

const subject = [{ type: 'CN', value: 'Mac 1' }];
const request = buildCertificationRequest({
  subject,
  keyPair: rsa(),
  challengePassword: 'one-time secret',
  extensions: { keyUsage: ['digitalSignature'], subjectAltName: { dns: ['mac.example'] } },
});

describe('certification requests', () => {
  it('round trip', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), fc.boolean(), (text, elliptic) => {
        const keyPair = elliptic ? ec() : rsa();
        const parsed = parseCertificationRequest(
          buildCertificationRequest({ subject: [{ type: 'CN', value: text }], keyPair, challengePassword: text }),
        );
        expect(nameValue(parsed.subject, 'CN')).toBe(text);
        expect(parsed.challengePassword).toBe(text);
        expect(parsed.publicKey().equals(keyPair.publicKey)).toBe(true);
        expect(parsed.verify()).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('without attributes', () => {
    const parsed = parseCertificationRequest(buildCertificationRequest({ subject, keyPair: ec() }));
    expect(parsed.challengePassword).toBeUndefined();
    expect(parsed.requestedExtensions).toEqual([]);
    expect(parsed.verify()).toBe(true);
  });

  it.skipIf(openssl === undefined)('openssl prints and verifies ours', () => {
    const bench = workbench({ csr: request });
    const { text } = bench.ask('req', '-inform', 'DER', '-in', 'csr', '-noout', '-text', '-verify');
    expect(text).toMatch(/verify OK/);
    expect(text).toContain('Subject: CN = Mac 1');
    expect(text).toContain('one-time secret');
    expect(text).toContain('DNS:mac.example');
    bench.close();
  });

  it.skipIf(openssl === undefined)('we read and verify what openssl makes; SHA-1 only when allowed', () => {
    const config =
      '[req]\ndistinguished_name=d\nattributes=a\nprompt=no\n[d]\nCN=o\n[a]\nchallengePassword=pass word\n';
    const bench = workbench({ config, key: keyPem(rsa().privateKey) });
    const make = (...args: string[]) => {
      bench.run('req', '-new', '-config', 'config', '-key', 'key', '-out', 'csr', ...args);
      return parseCertificationRequest(pemToDer(bench.read('csr').toString()));
    };
    const modern = make('-sha384', '-addext', 'keyUsage=digitalSignature');
    expect(modern.verify()).toBe(true);
    expect(modern.challengePassword).toBe('pass word');
    expect(modern.requestedExtensions.map((extension) => extension.oid)).toEqual([OID.keyUsage]);
    const old = make('-sha1');
    expect(old.verify()).toBe(false);
    expect(old.verify({ allowSha1: true })).toBe(true);
    expect(make('-md5').verify({ allowSha1: true })).toBe(false);
    bench.close();
  });

  it('@peculiar/x509 agrees', async () => {
    const theirs = new peculiar.Pkcs10CertificateRequest(request);
    expect(theirs.subject).toBe('CN=Mac 1');
    expect(await theirs.verify()).toBe(true);
  });

  it('a flipped octet anywhere is refused or does not verify', () => {
    fc.assert(
      fc.property(fc.nat(request.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(request);
        bytes[at]! ^= flip;
        let verified = false;
        const code = codeOf(() => {
          verified = parseCertificationRequest(bytes).verify();
        });
        expect(code === 'accepted' && verified).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});

describe('hostile requests', () => {
  const make = (attributes: Buffer[], version = 0): Buffer =>
    seq(
      seq(int(version), encodeName(subject), spki(rsa().publicKey), implicitConstructed(0, ...attributes)),
      seq(oid(OID.sha256WithRSA), nul()),
      bitString(Buffer.alloc(256)),
    );
  const challenge = (...values: Buffer[]): Buffer => seq(oid(OID.challengePassword), set(...values));
  const manyExtensions = seq(
    oid(OID.extensionRequest),
    set(seq(...Array.from({ length: 10_000 }, (_, i) => seq(oid(`1.2.3.${i}`), Buffer.from([4, 0]))))),
  );
  const MALFORMED = 'certificate_request_malformed';
  const cases: [string, Buffer, string][] = [
    ['two challenges in one attribute', make([challenge(printable('a'), printable('b'))]), MALFORMED],
    ['the challenge attribute twice', make([challenge(printable('a')), challenge(printable('b'))]), MALFORMED],
    ['an empty challenge attribute', make([challenge()]), MALFORMED],
    ['a challenge that is a number', make([challenge(int(5))]), MALFORMED],
    ['version 7', make([], 7), MALFORMED],
    ['100 attributes', make(Array.from({ length: 100 }, (_, i) => seq(oid(`1.2.3.${i}`), set()))), MALFORMED],
    ['10,000 extensions', make([manyExtensions]), MALFORMED],
    [
      'extensions with one twice',
      make([
        seq(oid(OID.extensionRequest), set(seq(...Array<Buffer>(2).fill(seq(oid('1.2.3'), Buffer.from([4, 0])))))),
      ]),
      'certificate_malformed',
    ],
    ['an explicit tag more', explicit(0, request), MALFORMED],
    ['a trailing octet', Buffer.concat([request, Buffer.alloc(1)]), 'asn1_malformed'],
    ['nothing', Buffer.alloc(0), 'asn1_malformed'],
    ['PEM', Buffer.from('-----BEGIN CERTIFICATE REQUEST-----\n'), 'asn1_malformed'],
    ['1 MB', Buffer.alloc(1 << 20, 0x30), MALFORMED],
  ];
  it.each(cases)('refuses %s', (_, bytes, code) => {
    expect(codeOf(() => parseCertificationRequest(bytes))).toBe(code);
  });

  it('a signature by another key does not verify', () => {
    expect(parseCertificationRequest(make([])).verify()).toBe(false);
  });
});

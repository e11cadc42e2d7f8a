import './reflect.ts';
import { createPublicKey, X509Certificate } from 'node:crypto';
import * as peculiar from '@peculiar/x509';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as der from '../../cms/der.ts';
import { encodeName, nameToString } from '../../cms/names.ts';
import { OID } from '../../cms/oids.ts';
import {
  assembleCertificate,
  buildTbsCertificate,
  createCertificateCache,
  KEY_USAGES,
  parseCertificate,
  signCertificate,
  verifyCertificateSignature,
  verifyChain,
} from '../../cms/x509.ts';
import { certPem, codeOf, days, ec, issue, NOW, openssl, rsa, spki, workbench } from './fixtures.ts';

const ROOT = { extensions: { isCa: true, keyUsage: ['keyCertSign', 'cRLSign'] as const } };
const root = issue(rsa(), { ...ROOT, subject: [{ type: 'CN', value: 'root' }] });
const middle = issue(ec(), {
  issuer: root,
  subject: [{ type: 'CN', value: 'middle' }],
  extensions: { isCa: true, pathLength: 0, keyUsage: ['keyCertSign'] },
});
const leaf = issue(rsa('leaf'), {
  issuer: middle,
  extensions: {
    isCa: false,
    keyUsage: ['digitalSignature', 'keyEncipherment'],
    extendedKeyUsage: [OID.clientAuth],
    subjectAltName: {
      dns: ['mac.example'],
      uri: ['urn:uuid:1'],
      ip: ['192.0.2.1', '2001:db8::7'],
      email: ['a@b.example'],
    },
  },
});

describe('certificates against other readers', () => {
  it('node reads what we build, and we read it as node does', () => {
    const theirs = new X509Certificate(leaf.der);
    const ours = leaf.certificate;
    expect(theirs.subject).toBe('O=Espalier test\nCN=device');
    expect(nameToString(ours.subject)).toBe('CN=device,O=Espalier test');
    expect(theirs.serialNumber.toLowerCase()).toBe(ours.serial);
    expect(new Date(theirs.validFrom)).toEqual(ours.notBefore);
    expect(new Date(theirs.validTo)).toEqual(ours.notAfter);
    expect(theirs.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(ours.sha256);
    expect(theirs.publicKey.equals(ours.publicKey())).toBe(true);
    expect(theirs.ca).toBe(false);
    expect(theirs.verify(middle.publicKey)).toBe(true);
    expect(theirs.checkIssued(new X509Certificate(middle.der))).toBe(true);
    expect(theirs.subjectAltName).toContain('DNS:mac.example');
    expect(theirs.keyUsage).toEqual(ours.extendedKeyUsage);
  });

  it('@peculiar/x509 reads the same', () => {
    const theirs = new peculiar.X509Certificate(leaf.der);
    const names = theirs.getExtension(peculiar.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
    expect(names.map((name) => name.value)).toEqual([
      'a@b.example',
      'mac.example',
      'urn:uuid:1',
      '192.0.2.1',
      '2001:db8::7',
    ]);
    expect(leaf.certificate.subjectAltName).toEqual({
      dns: ['mac.example'],
      uri: ['urn:uuid:1'],
      ip: ['192.0.2.1', '2001:db8::7'],
      email: ['a@b.example'],
    });
    const constraints = new peculiar.X509Certificate(middle.der).getExtension(peculiar.BasicConstraintsExtension);
    expect(constraints).toMatchObject({ ca: true, pathLength: 0, critical: true });
    expect(middle.certificate.pathLength).toBe(0);
  });

  it('we read what @peculiar/x509 builds', async () => {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' };
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const theirs = await peculiar.X509CertificateGenerator.createSelfSigned({
      serialNumber: '00ff01',
      name: 'CN=them, O=Peculiar',
      notBefore: days(-1),
      notAfter: new Date('2060-01-01T00:00:00Z'),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new peculiar.BasicConstraintsExtension(true, 3, true),
        new peculiar.KeyUsagesExtension(peculiar.KeyUsageFlags.keyCertSign | peculiar.KeyUsageFlags.decipherOnly, true),
      ],
    });
    const ours = parseCertificate(new Uint8Array(theirs.rawData));
    expect(ours.subject).toEqual([
      { type: 'CN', value: 'them' },
      { type: 'O', value: 'Peculiar' },
    ]);
    expect(ours).toMatchObject({ isCa: true, pathLength: 3, notAfter: new Date('2060-01-01T00:00:00Z') });
    expect([...(ours.keyUsage ?? [])]).toEqual(['keyCertSign', 'decipherOnly']);
    expect(verifyCertificateSignature(ours, ours.publicKey())).toBe(true);
  });

  it.skipIf(openssl === undefined)('openssl prints and verifies the chain', () => {
    const bench = workbench({ root: certPem(root), middle: certPem(middle), leaf: certPem(leaf) });
    const at = String(NOW.getTime() / 1000);
    const verdict = bench.ask(
      'verify',
      '-x509_strict',
      '-attime',
      at,
      '-CAfile',
      'root',
      '-untrusted',
      'middle',
      'leaf',
    );
    expect(verdict.text).toContain('leaf: OK');
    const text = bench.run('x509', '-in', 'leaf', '-noout', '-text').toString();
    expect(text).toContain('X509v3 Basic Constraints: critical\n                CA:FALSE');
    expect(text).toContain('Digital Signature, Key Encipherment');
    expect(text).toContain('TLS Web Client Authentication');
    expect(text).toContain('IP Address:2001:DB8:0:0:0:0:0:7');
    bench.close();
  });

  it.skipIf(openssl === undefined)(
    'we verify what openssl signs: PSS, SHA-384, SHA-512; SHA-1 only when allowed',
    () => {
      const bench = workbench();
      const make = (...args: string[]): ReturnType<typeof parseCertificate> => {
        bench.run(
          'req',
          '-x509',
          '-newkey',
          'rsa:2048',
          '-nodes',
          '-keyout',
          'k',
          '-subj',
          '/CN=o',
          '-outform',
          'DER',
          '-out',
          'c',
          ...args,
        );
        return parseCertificate(bench.read('c'));
      };
      const pss = make('-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32', '-sha256');
      expect(verifyCertificateSignature(pss, pss.publicKey())).toBe(true);
      const long = make('-sha512');
      expect(verifyCertificateSignature(long, long.publicKey())).toBe(true);
      expect(verifyCertificateSignature(long, root.publicKey)).toBe(false);
      const old = make('-sha1');
      expect(verifyCertificateSignature(old, old.publicKey())).toBe(false);
      expect(verifyCertificateSignature(old, old.publicKey(), { allowSha1: true })).toBe(true);
      const broken = make('-md5');
      expect(verifyCertificateSignature(broken, broken.publicKey(), { allowSha1: true })).toBe(false);
      bench.close();
    },
  );
});

describe('building', () => {
  it('what was asked for is read back', () => {
    const wanted = fc.record({
      isCa: fc.boolean(),
      keyUsage: fc.uniqueArray(fc.constantFrom(...KEY_USAGES), { minLength: 1 }),
      ip: fc.array(fc.oneof(fc.ipV4(), fc.ipV6())),
      dns: fc.array(fc.domain(), { minLength: 1 }),
    });
    const keys = ec();
    fc.assert(
      fc.property(wanted, ({ isCa, keyUsage, ip, dns }) => {
        const made = issue(keys, { extensions: { isCa, keyUsage, subjectAltName: { ip, dns } } });
        expect(made.certificate.isCa).toBe(isCa);
        expect([...(made.certificate.keyUsage ?? [])].toSorted()).toEqual(keyUsage.toSorted());
        expect(made.certificate.subjectAltName.dns).toEqual(dns);
        const canonical = ip.map((text) =>
          text.includes(':') ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text,
        );
        expect(made.certificate.subjectAltName.ip).toEqual(canonical);
      }),
      { numRuns: 50 },
    );
  });

  const tbs = (serial: Uint8Array, notAfter = days(1)): Buffer =>
    buildTbsCertificate({
      serial,
      issuer: encodeName([]),
      subject: [],
      notBefore: NOW,
      notAfter,
      spkiDer: spki(rsa().publicKey),
      extensions: {},
      signatureAlgorithm: 'sha256WithRSA',
    });

  it('a signature made elsewhere gives the same certificate', () => {
    const body = tbs(Buffer.from([7]));
    const whole = signCertificate(body, rsa().privateKey);
    expect(assembleCertificate(body, 'sha256WithRSA', parseCertificate(whole).signature).equals(whole)).toBe(true);
  });

  it('refuses a serial of zero or over 20 octets, a backward validity, a key of another type', () => {
    expect(codeOf(() => tbs(Buffer.alloc(8)))).toBe('certificate_malformed');
    expect(codeOf(() => tbs(Buffer.alloc(21, 1)))).toBe('certificate_malformed');
    expect(codeOf(() => tbs(Buffer.alloc(20, 0xff)))).toBe('certificate_malformed');
    expect(codeOf(() => tbs(Buffer.from([1]), days(-1)))).toBe('certificate_malformed');
    expect(codeOf(() => signCertificate(tbs(Buffer.from([1])), ec().privateKey))).toBe('certificate_malformed');
  });
});

describe('keys', () => {
  it('are equal to what node makes of the same SPKI', () => {
    for (const keys of [rsa(), ec(), ec('p384', 'P-384'), ec('p521', 'P-521')]) {
      const ours = issue(keys).certificate;
      expect(ours.publicKey().equals(createPublicKey({ key: ours.spkiDer, format: 'der', type: 'spki' }))).toBe(true);
    }
  });

  const rsaSpki = (n: Buffer, e: Buffer): Buffer =>
    der.seq(der.seq(der.oid(OID.rsaEncryption), der.nul()), der.bitString(der.seq(der.tlv(2, n), der.tlv(2, e))));
  const n2048 = Buffer.concat([Buffer.from([0]), Buffer.alloc(256, 0xff)]);
  const weak: [string, Buffer][] = [
    ['RSA with e = 1', rsaSpki(n2048, Buffer.from([1]))],
    ['RSA with an even e', rsaSpki(n2048, Buffer.from([4]))],
    ['RSA with e = 0', rsaSpki(n2048, Buffer.from([0]))],
    ['RSA with a 2048-bit e', rsaSpki(n2048, n2048)],
    ['RSA of 512 bits', rsaSpki(Buffer.concat([Buffer.from([0]), Buffer.alloc(64, 0xff)]), Buffer.from([3]))],
    ['RSA of 16384 bits', rsaSpki(Buffer.concat([Buffer.from([0]), Buffer.alloc(2048, 0xff)]), Buffer.from([3]))],
    ['a negative modulus', rsaSpki(Buffer.concat([Buffer.from([0x80]), Buffer.alloc(255, 0xff)]), Buffer.from([3]))],
    ['secp256k1', spki(ec('k1', 'secp256k1').publicKey)],
    [
      'a point not on its curve',
      Buffer.concat([spki(ec().publicKey).subarray(0, -1), Buffer.from([spki(ec().publicKey).at(-1)! ^ 1])]),
    ],
    ['DSA', der.seq(der.seq(der.oid('1.2.840.10040.4.1')), der.bitString(der.int(5)))],
  ];
  it.each(weak)('refuses %s', (_, spkiDer) => {
    const body = buildTbsCertificate({
      serial: Buffer.from([1]),
      issuer: encodeName([]),
      subject: [],
      notBefore: NOW,
      notAfter: days(1),
      spkiDer,
      extensions: {},
      signatureAlgorithm: 'sha256WithRSA',
    });
    const certificate = parseCertificate(signCertificate(body, rsa().privateKey));
    expect(codeOf(() => certificate.publicKey())).toBe('certificate_malformed');
  });
});

describe('chains', () => {
  const good = (at: Date) => verifyChain(leaf.certificate, [middle.certificate], [root.certificate], at);

  it('leaf, intermediate, root', () => {
    expect(good(NOW)).toMatchObject({ trusted: true, chain: [leaf.certificate, middle.certificate, root.certificate] });
  });

  it('tells dates from distrust, with the chain it found', () => {
    expect(good(days(400))).toMatchObject({ trusted: false, reason: 'expired', chain: expect.any(Array) });
    expect(good(days(-2))).toMatchObject({ trusted: false, reason: 'not_yet_valid' });
    expect(verifyChain(leaf.certificate, [], [root.certificate], NOW)).toEqual({ trusted: false, reason: 'untrusted' });
  });

  it('a certificate with the right name from another key is not trusted (SIG-02)', () => {
    const other = issue(rsa('other'), { ...ROOT, subject: [{ type: 'CN', value: 'root' }] });
    const forged = issue(rsa('leaf'), { issuer: other });
    const claiming = issue(rsa('leaf'), {
      issuer: other,
      extensions: { authorityKeyId: root.certificate.subjectKeyId! },
    });
    expect(verifyChain(claiming.certificate, [], [root.certificate], NOW).trusted).toBe(false);
    expect(verifyChain(forged.certificate, [], [root.certificate], NOW).trusted).toBe(false);
    expect(verifyChain(forged.certificate, [other.certificate], [root.certificate], NOW).trusted).toBe(false);
  });

  const cases: [string, Parameters<typeof issue>[1]][] = [
    ['an end entity as issuer', { extensions: { isCa: false } }],
    ['an issuer without basicConstraints', {}],
    ['a CA that may not sign certificates', { extensions: { isCa: true, keyUsage: ['cRLSign'] } }],
    [
      'an unknown critical extension',
      { extensions: { isCa: true, other: [{ oid: '1.2.3', critical: true, value: der.nul() }] } },
    ],
    [
      'critical name constraints',
      { extensions: { isCa: true, other: [{ oid: OID.nameConstraints, critical: true, value: der.seq() }] } },
    ],
  ];
  it.each(cases)('refuses %s', (_, options) => {
    const between = issue(ec('between'), { issuer: root, subject: [{ type: 'CN', value: 'between' }], ...options });
    const below = issue(rsa('leaf'), { issuer: between });
    expect(verifyChain(below.certificate, [between.certificate], [root.certificate], NOW).trusted).toBe(false);
  });

  it('refuses a CA below a path length of 0', () => {
    const second = issue(ec('second'), {
      issuer: middle,
      subject: [{ type: 'CN', value: 'second' }],
      extensions: { isCa: true },
    });
    const below = issue(rsa('leaf'), { issuer: second });
    const bundle = [second.certificate, middle.certificate];
    expect(verifyChain(below.certificate, bundle, [root.certificate], NOW).trusted).toBe(false);
    // RFC 5280 4.2.1.9: the last certificate of a path is no intermediate, whatever it may sign.
    expect(verifyChain(second.certificate, bundle, [root.certificate], NOW).trusted).toBe(true);
  });

  it('ends on cross-signed loops', () => {
    const name = [{ type: 'CN', value: 'loop' }];
    const loops = Array.from(
      { length: 20 },
      () => issue(ec(), { subject: name, extensions: { isCa: true } }).certificate,
    );
    const below = issue(rsa('leaf'), { issuer: issue(ec(), { subject: name, extensions: { isCa: true } }) });
    expect(verifyChain(below.certificate, loops, [root.certificate], NOW)).toEqual({
      trusted: false,
      reason: 'untrusted',
    });
  });
});

describe('cache', () => {
  it('keeps the bound, drops the least recently used, and only keeps what is added', () => {
    const cache = createCertificateCache(2);
    const [a, b, c] = [issue(ec()), issue(ec()), issue(ec())].map((identity) => identity.certificate);
    expect(cache.get(a!.der)).not.toBe(cache.get(a!.der));
    expect(cache.size).toBe(0);
    cache.add(a!);
    cache.add(b!);
    expect(cache.get(a!.der)).toBe(a);
    cache.add(c!);
    expect(cache.size).toBe(2);
    expect(cache.get(a!.der)).toBe(a);
    expect(cache.get(b!.der)).not.toBe(b);
  });
});

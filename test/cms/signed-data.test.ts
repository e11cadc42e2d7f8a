import { randomBytes, sign } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { objectIdentifier, readAsn1 } from '../../cms/asn1.ts';
import * as der from '../../cms/der.ts';
import { OID } from '../../cms/oids.ts';
import {
  buildDegenerate,
  buildSignedData,
  prepareSignedData,
  readCertificates,
  verifySignedData,
} from '../../cms/signed-data.ts';
import { createCertificateCache } from '../../cms/x509.ts';
import { certPem, codeOf, ec, type Identity, issue, keyPem, NOW, openssl, rsa, workbench } from './fixtures.ts';

const device = issue(rsa());
const curves: [string, Identity][] = [
  ['RSA-2048', device],
  ['P-256', issue(ec())],
  ['P-384', issue(ec('p384', 'P-384'))],
  ['P-521', issue(ec('p521', 'P-521'))],
];
const signer = (identity: Identity) => ({ certificateDer: identity.der, key: identity.privateKey });
const body = Buffer.from('<plist><dict><key>Status</key><string>Idle</string></dict></plist>\n');

describe('our own signatures', () => {
  it('round trip over content, digest, key type, detached or not, with attributes or without', () => {
    const input = fc.record({
      content: fc.uint8Array({ maxLength: 300 }),
      which: fc.integer({ min: 0, max: 3 }),
      digest: fc.constantFrom('sha256' as const, 'sha384' as const, 'sha512' as const),
      detached: fc.boolean(),
      signedAttributes: fc.boolean(),
    });
    const cache = createCertificateCache(8);
    fc.assert(
      fc.property(input, ({ content, which, digest, detached, signedAttributes }) => {
        const identity = curves[which]![1];
        const cms = buildSignedData({ content, detached, signer: signer(identity), digest, signedAttributes });
        const options = detached ? { detachedContent: content, cache } : { cache };
        const result = verifySignedData(cms, options);
        expect(result.content.equals(content)).toBe(true);
        expect(result.signer.sha256).toBe(identity.certificate.sha256);
        expect(result.digestAlgorithm).toBe(digest);
        expect(result.signedAttributes.size).toBe(signedAttributes ? 2 : 0);
      }),
      { numRuns: 60 },
    );
    expect(cache.size).toBe(4);
  });

  it('extra attributes are sorted, signed and given back', () => {
    const nonce = randomBytes(16);
    const cms = buildSignedData({
      content: body,
      signer: signer(device),
      signingTime: NOW,
      extraSignedAttributes: [
        { oid: OID.scepSenderNonce, value: der.octetString(nonce) },
        { oid: OID.scepMessageType, value: der.printable('19') },
      ],
    });
    const { signedAttributes } = verifySignedData(cms);
    expect(signedAttributes.get(OID.scepSenderNonce)).toEqual([der.octetString(nonce)]);
    expect([...signedAttributes.keys()].toSorted()).toEqual(
      [OID.contentType, OID.messageDigest, OID.signingTime, OID.scepSenderNonce, OID.scepMessageType].toSorted(),
    );
    const { toBeSigned } = prepareSignedData({ content: body, signer: signer(device) });
    const encodings = readAsn1(toBeSigned).children.map((child) => child.raw);
    expect(encodings).toEqual(encodings.toSorted(Buffer.compare));
  });

  it('a signature made elsewhere is put in place', () => {
    const prepared = prepareSignedData({ content: body, signer: signer(device), detached: true });
    const cms = prepared.finish(sign(prepared.digest, prepared.toBeSigned, device.privateKey));
    expect(verifySignedData(cms, { detachedContent: body }).signer.sha256).toBe(device.certificate.sha256);
  });

  it('embedded content may stand beside detached content only when both are the same (SIG-06)', () => {
    const cms = buildSignedData({ content: body, signer: signer(device) });
    expect(codeOf(() => verifySignedData(cms, { detachedContent: body }))).toBe('accepted');
    expect(codeOf(() => verifySignedData(cms, { detachedContent: Buffer.from('x') }))).toBe('cms_signature_invalid');
    // The signature fits the content beside it, and other content was put inside.
    const other = prepareSignedData({ content: Buffer.from('x'), signer: signer(device), signedAttributes: false });
    const spliced = other.finish(sign('sha256', body, device.privateKey));
    expect(codeOf(() => verifySignedData(spliced, { detachedContent: body }))).toBe('cms_signature_invalid');
  });

  it('the same octets signed as another content type are told apart', () => {
    const cms = buildSignedData({ content: body, signer: signer(device), contentType: '1.2.3.4' });
    expect(verifySignedData(cms).contentType).toBe('1.2.3.4');
  });

  it('SHA-1 only when allowed', () => {
    const cms = buildSignedData({ content: body, signer: signer(device), digest: 'sha1' });
    expect(codeOf(() => verifySignedData(cms))).toBe('cms_algorithm_refused');
    expect(verifySignedData(cms, { allowSha1: true }).digestAlgorithm).toBe('sha1');
  });

  it('a chain stands after the signer, and no certificate twice', () => {
    const other = curves[1]![1];
    const cms = buildSignedData({ content: body, signer: signer(device), certificates: [other.der, device.der] });
    expect(verifySignedData(cms).certificates.map((certificate) => certificate.der)).toEqual([device.der, other.der]);
  });

  it('an unproven certificate is not kept', () => {
    const cache = createCertificateCache(8);
    const cms = buildSignedData({ content: body, detached: true, signer: signer(device) });
    codeOf(() => verifySignedData(cms, { detachedContent: Buffer.from('x'), cache }));
    expect(cache.size).toBe(0);
    const { signer: kept } = verifySignedData(cms, { detachedContent: body, cache });
    expect(verifySignedData(cms, { detachedContent: body, cache }).signer).toBe(kept);
  });

  it('degenerate messages keep the order of their certificates', () => {
    const all = curves.map(([, identity]) => identity.der);
    expect(readCertificates(buildDegenerate(all)).map((certificate) => certificate.der)).toEqual(all);
    expect(readCertificates(buildDegenerate([]))).toEqual([]);
    expect(codeOf(() => verifySignedData(buildDegenerate(all)))).toBe('cms_malformed');
  });
});

describe.skipIf(openssl === undefined)('openssl', () => {
  const bench = workbench({ body });
  afterAll(bench.close);
  const layouts: [string, boolean, boolean][] = [
    ['detached, attributes', true, true],
    ['detached, bare', true, false],
    ['embedded, attributes', false, true],
    ['embedded, bare', false, false],
  ];

  describe.each(curves)('%s', (_, identity) => {
    it.each(layouts)('verifies ours: %s', (__, detached, signedAttributes) => {
      bench.write('cert', certPem(identity));
      bench.write('cms', buildSignedData({ content: body, signer: signer(identity), detached, signedAttributes }));
      const content = detached ? ['-content', 'body'] : [];
      const { status, text } = bench.ask(
        'cms',
        '-verify',
        '-binary',
        '-inform',
        'DER',
        '-in',
        'cms',
        '-CAfile',
        'cert',
        '-attime',
        String(NOW.getTime() / 1000),
        '-purpose',
        'any',
        '-out',
        'out',
        ...content,
      );
      expect(text).toMatch(/Verification successful/i);
      expect(status).toBe(0);
      expect(bench.read('out').equals(body)).toBe(true);
    });

    const flags: [string, string[]][] = [
      ['DER', []],
      ['no attributes', ['-noattr']],
      ['signer by key identifier', ['-keyid']],
      ['BER, indefinite lengths', ['-nodetach', '-stream']],
      ['BER, no attributes', ['-nodetach', '-stream', '-noattr']],
      ['embedded', ['-nodetach']],
      ['SHA-384', ['-md', 'sha384']],
      ['SHA-512, embedded, key identifier', ['-md', 'sha512', '-nodetach', '-keyid']],
    ];
    it.each(flags)('is verified by us: %s', (__, extra) => {
      bench.write('cert', certPem(identity));
      bench.write('key', keyPem(identity.privateKey));
      bench.run(
        'cms',
        '-sign',
        '-binary',
        '-in',
        'body',
        '-signer',
        'cert',
        '-inkey',
        'key',
        '-outform',
        'DER',
        '-out',
        'cms',
        ...extra,
      );
      const cms = bench.read('cms');
      const options = extra.includes('-nodetach') ? {} : { detachedContent: body };
      expect(verifySignedData(cms, options).content.equals(body)).toBe(true);
      expect(codeOf(() => verifySignedData(cms, { detachedContent: Buffer.from('other') }))).toBe(
        'cms_signature_invalid',
      );
      if (extra.includes('-stream')) expect(readAsn1(cms).indefinite).toBe(true);
    });
  });

  it.each(['32', '20', 'max', 'digest'])('RSA-PSS with a salt of %s', (salt) => {
    bench.write('cert', certPem(device));
    bench.write('key', keyPem(device.privateKey));
    bench.run(
      'cms',
      '-sign',
      '-binary',
      '-in',
      'body',
      '-signer',
      'cert',
      '-inkey',
      'key',
      '-outform',
      'DER',
      '-out',
      'cms',
      '-keyopt',
      'rsa_padding_mode:pss',
      '-keyopt',
      `rsa_pss_saltlen:${salt}`,
    );
    const code = codeOf(() => verifySignedData(bench.read('cms'), { detachedContent: body }));
    expect(code).toBe(salt === 'max' ? 'cms_algorithm_refused' : 'accepted');
  });

  it('a large streamed message, in many segments', () => {
    const large = randomBytes(300_000);
    bench.write('large', large);
    bench.write('cert', certPem(device));
    bench.write('key', keyPem(device.privateKey));
    bench.run(
      'cms',
      '-sign',
      '-binary',
      '-in',
      'large',
      '-signer',
      'cert',
      '-inkey',
      'key',
      '-outform',
      'DER',
      '-out',
      'cms',
      '-nodetach',
      '-stream',
    );
    expect(verifySignedData(bench.read('cms')).content.equals(large)).toBe(true);
  });

  it('SHA-1 and MD5', () => {
    bench.write('cert', certPem(device));
    bench.write('key', keyPem(device.privateKey));
    for (const [digest, code] of [
      ['sha1', 'accepted'],
      ['md5', 'cms_algorithm_refused'],
    ] as const) {
      bench.run(
        'cms',
        '-sign',
        '-binary',
        '-in',
        'body',
        '-signer',
        'cert',
        '-inkey',
        'key',
        '-outform',
        'DER',
        '-out',
        'cms',
        '-md',
        digest,
      );
      const cms = bench.read('cms');
      expect(codeOf(() => verifySignedData(cms, { detachedContent: body, allowSha1: true }))).toBe(code);
      expect(codeOf(() => verifySignedData(cms, { detachedContent: body }))).toBe('cms_algorithm_refused');
    }
  });

  it('certificates-only, both ways', () => {
    bench.write('certs', curves.map(([, identity]) => certPem(identity)).join(''));
    bench.run('crl2pkcs7', '-nocrl', '-certfile', 'certs', '-outform', 'DER', '-out', 'p7');
    expect(readCertificates(bench.read('p7')).length).toBe(4);
    bench.write('p7', buildDegenerate(curves.map(([, identity]) => identity.der)));
    const printed = bench.run('pkcs7', '-inform', 'DER', '-in', 'p7', '-print_certs').toString();
    expect(printed.match(/BEGIN CERTIFICATE/g)?.length).toBe(4);
  });

  it('prints our message as the RFC lays it out', () => {
    bench.write('cms', buildSignedData({ content: body, signer: signer(device), signingTime: NOW }));
    const text = bench.run('cms', '-cmsout', '-print', '-inform', 'DER', '-in', 'cms', '-noout').toString();
    expect(text).toContain('UTCTIME:Mar  1 12:00:00 2026 GMT');
    expect(text.match(/object: [a-zA-Z]+ /g)?.slice(0, 3)).toEqual([
      'object: contentType ',
      'object: signingTime ',
      'object: messageDigest ',
    ]);
  });
});

it('OID names in the table are the ones encoded', () => {
  for (const dotted of Object.values(OID)) expect(objectIdentifier(readAsn1(der.oid(dotted)))).toBe(dotted);
});

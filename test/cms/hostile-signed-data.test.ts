import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Asn1Budget, DEFAULT_MAX_NODES, readAsn1, walk } from '../../cms/asn1.ts';
import { issuerAndSerial } from '../../cms/content-info.ts';
import * as der from '../../cms/der.ts';
import { encryptEnvelopedData } from '../../cms/enveloped-data.ts';
import { OID } from '../../cms/oids.ts';
import { buildDegenerate, verifySignedData } from '../../cms/signed-data.ts';
import { codeOf, issue, rsa, seededRandom } from './fixtures.ts';
import {
  attribute,
  body,
  contentType,
  device,
  digestOf,
  elliptic,
  good,
  message,
  messageDigest,
  nested,
  SHA256,
} from './messages.ts';

const flip = (bytes: Buffer, at: number): Buffer => {
  const changed = Buffer.from(bytes);
  changed[at < 0 ? bytes.length + at : at]! ^= 1;
  return changed;
};

const sameName = issue(rsa('twin'), { serial: Buffer.from(device.certificate.serial, 'hex') });
const keyId = device.certificate.subjectKeyId!;
const strippedAttributes = der.set(contentType, messageDigest(Buffer.from('something else')));
const pss = (...fields: Buffer[]): Buffer => der.seq(der.oid(OID.rsassaPss), der.seq(...fields));
const mgf1 = (digest: string): Buffer => der.seq(der.oid(OID.mgf1), der.seq(der.oid(digest)));

const signedData: [string, () => Buffer, string][] = [
  ['no signer', () => message({ signerInfos: () => [] }), 'cms_malformed'],
  ['two signers', () => message({ signerInfos: (info) => [info, info] }), 'cms_malformed'],
  ['10,000 signers', () => message({ signerInfos: (info) => Array<Buffer>(10_000).fill(info) }), 'cms_malformed'],
  ['signer not in the bundle', () => message({ certificates: [elliptic.der] }), 'cms_malformed'],
  ['no certificates', () => message({ certificates: [] }), 'cms_malformed'],
  [
    'two certificates under one issuer and serial',
    () => message({ certificates: [device.der, sameName.der] }),
    'cms_malformed',
  ],
  ['10,000 certificates', () => message({ certificates: Array<Buffer>(10_000).fill(device.der) }), 'cms_malformed'],
  ['17 certificates', () => message({ certificates: Array<Buffer>(17).fill(device.der) }), 'cms_malformed'],
  [
    'a certificate that is none',
    () => message({ certificates: [device.der, der.seq(der.int(1))] }),
    'certificate_malformed',
  ],
  ['an unknown key identifier', () => message({ sid: der.implicit(0, Buffer.alloc(20)) }), 'cms_malformed'],
  ['an empty key identifier', () => message({ sid: der.implicit(0, Buffer.alloc(0)) }), 'cms_malformed'],
  ['a flipped octet in the signature', () => flip(good, -1), 'cms_signature_invalid'],
  ['an empty signature', () => message({ signature: Buffer.alloc(0) }), 'cms_signature_invalid'],
  ['a signature of zeros', () => message({ signature: Buffer.alloc(256) }), 'cms_signature_invalid'],
  ['a signature of 1 MB', () => message({ signature: Buffer.alloc(1 << 20, 1) }), 'cms_signature_invalid'],
  ['MD5 digest', () => message({ digest: der.seq(der.oid(OID.md5), der.nul()), hash: 'md5' }), 'cms_algorithm_refused'],
  [
    'MD5 in the signature algorithm',
    () => message({ algorithm: der.seq(der.oid(OID.md5WithRSA), der.nul()) }),
    'cms_algorithm_refused',
  ],
  ['SHA-1 digest', () => message({ digest: der.seq(der.oid(OID.sha1)), hash: 'sha1' }), 'cms_algorithm_refused'],
  [
    'SHA-1 hidden in the signature algorithm',
    () => message({ algorithm: der.seq(der.oid(OID.sha1WithRSA), der.nul()), hash: 'sha1' }),
    'cms_algorithm_refused',
  ],
  ['an unknown digest', () => message({ digest: der.seq(der.oid('1.2.3.4')) }), 'cms_algorithm_refused'],
  [
    'an unknown signature algorithm',
    () => message({ algorithm: der.seq(der.oid('1.2.3.4')) }),
    'cms_algorithm_refused',
  ],
  [
    'a digest algorithm with parameters',
    () => message({ digest: der.seq(der.oid(OID.sha256), der.int(1)) }),
    'cms_malformed',
  ],
  [
    'ECDSA named for an RSA key',
    () => message({ algorithm: der.seq(der.oid(OID.ecdsaWithSHA256)) }),
    'cms_signature_invalid',
  ],
  [
    'an RSA signature under an elliptic certificate',
    () => message({ sid: issuerAndSerial(elliptic.certificate), certificates: [elliptic.der] }),
    'cms_signature_invalid',
  ],
  ['PSS with SHA-1 defaults', () => message({ algorithm: pss() }), 'cms_algorithm_refused'],
  [
    'PSS with another mask digest',
    () => message({ algorithm: pss(der.explicit(0, SHA256), der.explicit(1, mgf1(OID.sha512))) }),
    'cms_algorithm_refused',
  ],
  [
    'PSS with a salt of 4 GB',
    () =>
      message({
        algorithm: pss(
          der.explicit(0, SHA256),
          der.explicit(1, mgf1(OID.sha256)),
          der.explicit(2, der.int(0x7fffffff)),
        ),
      }),
    'cms_algorithm_refused',
  ],
  [
    'PSS with trailer 2',
    () =>
      message({
        algorithm: pss(der.explicit(0, SHA256), der.explicit(1, mgf1(OID.sha256)), der.explicit(3, der.int(2))),
      }),
    'cms_algorithm_refused',
  ],
  [
    'another body digest',
    () => message({ attributes: [contentType, messageDigest(Buffer.from('x'))] }),
    'cms_signature_invalid',
  ],
  [
    'a short body digest',
    () =>
      message({
        attributes: [contentType, attribute(OID.messageDigest, der.octetString(digestOf(body).subarray(0, 8)))],
      }),
    'cms_signature_invalid',
  ],
  ['messageDigest missing', () => message({ attributes: [contentType] }), 'cms_malformed'],
  [
    'messageDigest with two values',
    () =>
      message({
        attributes: [
          contentType,
          attribute(OID.messageDigest, der.octetString(digestOf(body)), der.octetString(Buffer.alloc(32))),
        ],
      }),
    'cms_malformed',
  ],
  [
    'messageDigest of another type',
    () => message({ attributes: [contentType, attribute(OID.messageDigest, der.utf8('x'))] }),
    'cms_malformed',
  ],
  [
    'messageDigest twice',
    () => message({ attributes: [contentType, messageDigest(), messageDigest(Buffer.from('x'))] }),
    'cms_malformed',
  ],
  ['contentType missing', () => message({ attributes: [messageDigest()] }), 'cms_malformed'],
  [
    'contentType of another type',
    () => message({ attributes: [attribute(OID.contentType, der.oid('1.2.3')), messageDigest()] }),
    'cms_signature_invalid',
  ],
  ['eContentType changed after signing', () => message({ eContentType: '1.2.3' }), 'cms_signature_invalid'],
  [
    'another content type without attributes',
    () => message({ attributes: null, eContentType: '1.2.3' }),
    'cms_malformed',
  ],
  ['no attributes in an attribute field', () => message({ attributes: [] }), 'cms_malformed'],
  [
    '1,000 attributes',
    () => message({ attributes: Array.from({ length: 1000 }, (_, i) => attribute(`1.2.3.${i}`, der.nul())) }),
    'cms_malformed',
  ],
  [
    'an attribute with 1,000 values',
    () =>
      message({
        attributes: [contentType, messageDigest(), attribute('1.2.3', ...Array<Buffer>(1000).fill(der.nul()))],
      }),
    'cms_malformed',
  ],
  [
    'an attribute without values',
    () => message({ attributes: [contentType, messageDigest(), attribute('1.2.3')] }),
    'cms_malformed',
  ],
  [
    'embedded content that is not the body',
    () => message({ eContent: der.octetString(Buffer.from('other')) }),
    'cms_signature_invalid',
  ],
  ['embedded content of another ASN.1 type', () => message({ eContent: der.utf8('<plist/>') }), 'cms_malformed'],
  ['version 99', () => message({ version: der.int(99) }), 'cms_malformed'],
  ['negative version', () => message({ version: Buffer.from([2, 1, 0xff]) }), 'asn1_malformed'],
  ['version with padding', () => message({ version: Buffer.from([2, 2, 0, 1]) }), 'asn1_malformed'],
  [
    'an OID with an unfinished arc',
    () => message({ digest: der.seq(Buffer.from('06032a8680', 'hex')) }),
    'asn1_malformed',
  ],
  [
    'an OID of 1,000 octets',
    () => message({ digest: der.seq(der.tlv(6, Buffer.alloc(1000, 0x2a))) }),
    'asn1_malformed',
  ],
  ['a bare signature, tag removed', () => readAsn1(good).children[1]!.body, 'cms_malformed'],
  [
    'EnvelopedData',
    () =>
      encryptEnvelopedData({
        content: body,
        recipientCertificateDer: device.der,
        cipher: 'aes128-cbc',
        random: seededRandom(1),
      }),
    'cms_malformed',
  ],
  ['certificates only', () => buildDegenerate([device.der]), 'cms_malformed'],
  ['a certificate', () => device.der, 'cms_malformed'],
  ['trailing octets', () => Buffer.concat([good, Buffer.from([0])]), 'asn1_malformed'],
  ['two messages', () => Buffer.concat([good, good]), 'asn1_malformed'],
  ['trailing newline', () => Buffer.concat([good, Buffer.from('\n')]), 'asn1_malformed'],
  ['cut in half', () => good.subarray(0, good.length / 2), 'asn1_malformed'],
  ['PEM', () => Buffer.from('-----BEGIN CMS-----\nMIIB\n-----END CMS-----\n'), 'asn1_malformed'],
  ['nothing', () => Buffer.alloc(0), 'asn1_malformed'],
  [
    'a length that is negative as int32',
    () => Buffer.concat([Buffer.from('3084ffffff00', 'hex'), good]),
    'asn1_malformed',
  ],
  ['a length of 127 octets', () => Buffer.concat([Buffer.from([0x30, 0xff]), Buffer.alloc(127, 1)]), 'asn1_malformed'],
  ['indefinite nesting 1000', () => nested(1000, Buffer.alloc(0), [0x30, 0x80], [0, 0]), 'asn1_too_deep'],
  [
    'content segments nested 1000',
    () => message({ eContent: nested(1000, der.octetString(body), [0x24, 0x80], [0, 0]) }),
    'asn1_too_deep',
  ],
  [
    'content in 100,000 empty segments',
    () => message({ eContent: der.tlv(0x24, ...Array<Buffer>(100_000).fill(der.octetString(Buffer.alloc(0)))) }),
    'asn1_too_many_nodes',
  ],
  [
    'content in 100,000 indefinite segments',
    () =>
      message({
        eContent: Buffer.concat([
          Buffer.from([0x24, 0x80]),
          Buffer.alloc(200_000, Buffer.from([4, 0])),
          Buffer.alloc(2),
        ]),
      }),
    'asn1_too_many_nodes',
  ],
];

describe('SignedData', () => {
  it('the untouched message verifies, by issuer and serial and by key identifier, with attributes and bare', () => {
    expect(codeOf(() => verifySignedData(message(), { detachedContent: body }))).toBe('accepted');
    expect(codeOf(() => verifySignedData(message({ sid: der.implicit(0, keyId) }), { detachedContent: body }))).toBe(
      'accepted',
    );
    expect(codeOf(() => verifySignedData(message({ attributes: null }), { detachedContent: body }))).toBe('accepted');
    expect(codeOf(() => verifySignedData(good, { detachedContent: body }))).toBe('accepted');
  });

  it.each(signedData)('refuses %s', (_, make, code) => {
    const bytes = make();
    const budget = new Asn1Budget();
    expect(codeOf(() => verifySignedData(bytes, { detachedContent: body, budget }))).toBe(code);
    expect(budget.nodes).toBeLessThanOrEqual(DEFAULT_MAX_NODES + 1);
  });

  it('attributes sent with indefinite lengths are hashed as DER (RFC 5652 5.4)', () => {
    const sorted = readAsn1(der.set(contentType, messageDigest())).children.map((child) => child.raw);
    const sentAttributes = Buffer.concat([Buffer.from([0xa0, 0x80]), ...sorted, Buffer.alloc(2)]);
    expect(codeOf(() => verifySignedData(message({ sentAttributes }), { detachedContent: body }))).toBe('accepted');
  });

  it('refuses attributes shown as content, which another message may have signed', () => {
    const bytes = message({ attributes: null, content: strippedAttributes });
    expect(codeOf(() => verifySignedData(bytes, { detachedContent: strippedAttributes }))).toBe(
      'cms_signature_invalid',
    );
  });

  it('does not walk into what it does not need', () => {
    const bomb = nested(20, Buffer.alloc(0), [0x30, 0x80], [0, 0]);
    const budget = new Asn1Budget();
    const bytes = message({ attributes: [contentType, messageDigest(), attribute('1.2.3', bomb)] });
    codeOf(() => verifySignedData(bytes, { detachedContent: body, budget }));
    expect(budget.nodes).toBeLessThan(150);
  });

  it('any changed octet is refused with a typed error, or changes nothing that counts', () => {
    const original = verifySignedData(good, { detachedContent: body });
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const bytes = Buffer.from(good);
        bytes[at]! ^= bits;
        const code = codeOf(() => {
          const result = verifySignedData(bytes, { detachedContent: body });
          expect(result.content.equals(body)).toBe(true);
          expect(result.signedAttributes).toEqual(original.signedAttributes);
          // A certificate's own signature is the chain's business; its key is what was proved here.
          expect(result.signer.spkiDer.equals(original.signer.spkiDer)).toBe(true);
        });
        expect(code).toMatch(/^(accepted|asn1_|cms_|certificate_)/);
      }),
      { numRuns: 1500 },
    );
  });

  it('any cut is refused', () => {
    for (let length = 0; length < good.length; length += 7) {
      expect(codeOf(() => verifySignedData(good.subarray(0, length), { detachedContent: body }))).not.toBe('accepted');
    }
  });
});

it('every part of a real message is well-formed to the last level', () => {
  let nodes = 0;
  walk(readAsn1(good), () => nodes++);
  expect(nodes).toBeGreaterThan(60);
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentInfo, issuerAndSerial } from '../../cms/content-info.ts';
import * as der from '../../cms/der.ts';
import { decryptEnvelopedData, encryptEnvelopedData } from '../../cms/enveloped-data.ts';
import { OID } from '../../cms/oids.ts';
import { codeOf, seededRandom } from './fixtures.ts';
import { body, device, good, nested, rsaAlgorithm } from './messages.ts';

describe('EnvelopedData', () => {
  const recipients = [{ certificate: device.certificate, key: device.privateKey }];
  const envelope = encryptEnvelopedData({
    content: body,
    recipientCertificateDer: device.der,
    cipher: 'aes128-cbc',
    random: seededRandom(7),
  });
  const make = (infos: Buffer[], cipher: Buffer, content: Buffer[] = [der.implicit(0, Buffer.alloc(16))]): Buffer =>
    contentInfo(
      OID.envelopedData,
      der.seq(der.int(0), der.set(...infos), der.seq(der.oid(OID.data), cipher, ...content)),
    );
  const info = (algorithm = rsaAlgorithm, key = Buffer.alloc(256, 1)): Buffer =>
    der.seq(der.int(0), issuerAndSerial(device.certificate), algorithm, der.octetString(key));
  const aes = (iv = Buffer.alloc(16)): Buffer => der.seq(der.oid(OID.aes128Cbc), der.octetString(iv));

  const cases: [string, Buffer, string][] = [
    ['no recipients', make([], aes()), 'cms_no_recipient'],
    ['1,000 recipients', make(Array<Buffer>(1000).fill(info()), aes()), 'cms_malformed'],
    ['only a password recipient', make([der.implicitConstructed(3, der.int(0))], aes()), 'cms_no_recipient'],
    [
      'RC2',
      make([info()], der.seq(der.oid('1.2.840.113549.3.2'), der.octetString(Buffer.alloc(8)))),
      'cms_algorithm_refused',
    ],
    [
      'AES-GCM without its own content type',
      make([info()], der.seq(der.oid('2.16.840.1.101.3.4.1.6'), der.seq())),
      'cms_algorithm_refused',
    ],
    ['an IV of 8 octets for AES', make([info()], aes(Buffer.alloc(8))), 'cms_malformed'],
    ['no content', make([info()], aes(), []), 'cms_malformed'],
    ['an unknown key transport', make([info(der.seq(der.oid('1.2.3')))], aes()), 'cms_algorithm_refused'],
    [
      'OAEP with a label',
      make(
        [
          info(
            der.seq(
              der.oid(OID.rsaesOaep),
              der.seq(der.explicit(2, der.seq(der.oid(OID.pSpecified), der.octetString(Buffer.from('x'))))),
            ),
          ),
        ],
        aes(),
      ),
      'cms_algorithm_refused',
    ],
    ['an encrypted key of 1 octet', make([info(rsaAlgorithm, Buffer.alloc(1))], aes()), 'cms_decrypt_failed'],
    ['an encrypted key of 1 MB', make([info(rsaAlgorithm, Buffer.alloc(1 << 20))], aes()), 'cms_decrypt_failed'],
    ['empty encrypted content', make([info()], aes(), [der.implicit(0, Buffer.alloc(0))]), 'cms_decrypt_failed'],
    ['content of half a block', make([info()], aes(), [der.implicit(0, Buffer.alloc(8))]), 'cms_decrypt_failed'],
    [
      'content segments nested 1000',
      make([info()], aes(), [nested(1000, Buffer.alloc(0), [0xa0, 0x80], [0, 0])]),
      'asn1_too_deep',
    ],
    [
      'content segments of another type',
      make([info()], aes(), [der.implicitConstructed(0, der.utf8('x'))]),
      'asn1_malformed',
    ],
    ['SignedData', good, 'cms_malformed'],
    ['trailing octets', Buffer.concat([envelope, Buffer.alloc(1)]), 'asn1_malformed'],
  ];
  it.each(cases)('refuses %s', (_, bytes, code) => {
    expect(codeOf(() => decryptEnvelopedData(bytes, { recipients }))).toBe(code);
  });

  it('any changed octet ends in a typed error or in content', () => {
    fc.assert(
      fc.property(fc.nat(envelope.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const bytes = Buffer.from(envelope);
        bytes[at]! ^= bits;
        expect(codeOf(() => decryptEnvelopedData(bytes, { recipients }))).toMatch(/^(accepted|asn1_|cms_)/);
      }),
      { numRuns: 600 },
    );
  });
});

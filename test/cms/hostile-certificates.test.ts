import { describe, expect, it } from 'vitest';
import { readAsn1 } from '../../cms/asn1.ts';
import * as der from '../../cms/der.ts';
import { OID } from '../../cms/oids.ts';
import { buildDegenerate, readCertificates } from '../../cms/signed-data.ts';
import { parseCertificate } from '../../cms/x509.ts';
import { codeOf } from './fixtures.ts';
import { device } from './messages.ts';

describe('certificates', () => {
  const tbs = readAsn1(device.der).children[0]!.children.map((child) => child.raw);
  const outer = readAsn1(device.der).children.map((child) => child.raw);
  const withTbs = (index: number, ...replacement: Buffer[]): Buffer =>
    der.seq(der.seq(...tbs.toSpliced(index, 1, ...replacement)), outer[1]!, outer[2]!);
  const extension = (oid: string, value: Buffer): Buffer => der.seq(der.oid(oid), der.octetString(value));
  const withExtensions = (...list: Buffer[]): Buffer => withTbs(7, der.explicit(3, der.seq(...list)));

  const cases: [string, Buffer, string][] = [
    [
      'the same extension twice',
      withExtensions(extension('1.2.3', der.nul()), extension('1.2.3', der.nul())),
      'certificate_malformed',
    ],
    [
      '1,000 extensions',
      withExtensions(...Array.from({ length: 1000 }, (_, i) => extension(`1.2.${i}`, der.nul()))),
      'certificate_malformed',
    ],
    [
      'a NUL in a DNS name',
      withExtensions(extension(OID.subjectAltName, der.seq(der.implicit(2, Buffer.from('a\0b'))))),
      'certificate_malformed',
    ],
    [
      'an IP address of 5 octets',
      withExtensions(extension(OID.subjectAltName, der.seq(der.implicit(7, Buffer.alloc(5))))),
      'certificate_malformed',
    ],
    [
      '10,000 alternative names',
      withExtensions(
        extension(OID.subjectAltName, der.seq(...Array<Buffer>(10_000).fill(der.implicit(2, Buffer.from('a'))))),
      ),
      'certificate_malformed',
    ],
    [
      'basicConstraints with a tail',
      withExtensions(extension(OID.basicConstraints, Buffer.concat([der.seq(), der.nul()]))),
      'asn1_malformed',
    ],
    [
      'basicConstraints that are a string',
      withExtensions(extension(OID.basicConstraints, der.utf8('CA'))),
      'certificate_malformed',
    ],
    [
      'a huge path length',
      withExtensions(extension(OID.basicConstraints, der.seq(der.bool(true), der.int(2n ** 64n)))),
      'asn1_malformed',
    ],
    [
      'keyUsage of 100 octets',
      withExtensions(extension(OID.keyUsage, der.bitString(Buffer.alloc(100, 0xff)))),
      'asn1_malformed',
    ],
    ['two signature algorithms', withTbs(2, der.seq(der.oid(OID.sha512WithRSA), der.nul())), 'certificate_malformed'],
    ['version 9', withTbs(0, der.explicit(0, der.int(9))), 'certificate_malformed'],
    ['a serial that is a string', withTbs(1, der.utf8('1')), 'certificate_malformed'],
    ['validity of one date', withTbs(4, der.seq(der.time(new Date(0)))), 'certificate_malformed'],
    ['a date that is no date', withTbs(4, der.seq(der.utf8('today'), der.utf8('tomorrow'))), 'asn1_malformed'],
    ['a field more', withTbs(7, tbs[7]!, der.nul()), 'certificate_malformed'],
    ['a signature of 3 bits', der.seq(outer[0]!, outer[1]!, der.tlv(3, Buffer.from([5, 0xe0]))), 'asn1_malformed'],
    ['1 MB', Buffer.alloc(1 << 20, 0x30), 'certificate_malformed'],
  ];
  it.each(cases)('refuses %s', (_, bytes, code) => {
    expect(codeOf(() => parseCertificate(bytes))).toBe(code);
  });

  it('the untouched one is accepted, also without extensions', () => {
    expect(parseCertificate(withTbs(7)).extensions.size).toBe(0);
  });

  it('a bundle of certificates is bounded', () => {
    const bundle = buildDegenerate(Array<Buffer>(10_000).fill(device.der));
    expect(codeOf(() => readCertificates(bundle))).toBe('cms_malformed');
    expect(readCertificates(buildDegenerate(Array<Buffer>(20).fill(device.der)), { maxCertificates: 20 }).length).toBe(
      20,
    );
  });
});

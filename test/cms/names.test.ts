import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as der from '../../cms/der.ts';
import { decodeName, encodeName, nameToString, nameValue } from '../../cms/names.ts';
import { OID } from '../../cms/oids.ts';
import { derToPem, pemToDer, readPem } from '../../cms/pem.ts';
import { codeOf, openssl, workbench } from './fixtures.ts';

describe('names', () => {
  it('come back as they were', () => {
    const attribute = fc.record({
      type: fc.constantFrom('CN', 'O', 'OU', 'C', 'L', 'ST', 'UID', 'SN', 'serialNumber', '1.2.3.4'),
      value: fc.string({ unit: 'grapheme', maxLength: 40 }),
    });
    fc.assert(
      fc.property(fc.array(attribute, { maxLength: 8 }), (name) => {
        expect(decodeName(encodeName(name))).toEqual(name);
      }),
    );
  });

  it('read every string type of a DirectoryString', () => {
    const value = (encoded: Buffer): string | undefined =>
      nameValue(decodeName(der.seq(der.set(der.seq(der.oid(OID.commonName), encoded)))), 'CN');
    expect(value(der.tlv(0x1e, Buffer.from('00480069', 'hex')))).toBe('Hi');
    expect(value(der.tlv(0x14, Buffer.from('caf\xe9', 'latin1')))).toBe('café');
    expect(value(der.printable('Hi'))).toBe('Hi');
    expect(value(der.nul())).toBe('#0500');
    expect(codeOf(() => value(der.tlv(0x0c, Buffer.from([0xff]))))).toBe('asn1_malformed');
  });

  it('do not let a value break a log line or a comma list', () => {
    const shown = nameToString([
      { type: 'O', value: 'A, B = C' },
      { type: 'CN', value: 'x\r\nERROR\u202e' },
    ]);
    expect(shown).toBe('CN=x\\0d\\0aERROR\\e2\\80\\ae,O=A\\, B \\= C');
  });

  it('refuse a name with thousands of attributes', () => {
    const name = encodeName(Array.from({ length: 5000 }, () => ({ type: 'CN', value: 'x' })));
    expect(codeOf(() => decodeName(name))).toBe('asn1_malformed');
  });

  it.skipIf(openssl === undefined)('are the octets openssl writes', () => {
    const bench = workbench();
    bench.run(
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      'k',
      '-out',
      'r.pem',
      '-utf8',
      '-subj',
      '/C=DE/O=Bäckerei/CN=Mac 1/UID=u-7',
    );
    const request = pemToDer(bench.read('r.pem').toString(), 'CERTIFICATE REQUEST');
    const ours = encodeName([
      { type: 'C', value: 'DE' },
      { type: 'O', value: 'Bäckerei' },
      { type: 'CN', value: 'Mac 1' },
      { type: 'UID', value: 'u-7' },
    ]);
    expect(request.includes(ours)).toBe(true);
    bench.close();
  });
});

describe('pem', () => {
  it('round trip', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(pemToDer(derToPem(bytes, 'CERTIFICATE'), 'CERTIFICATE')).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('takes the block with the label out of several, with CRLF and text between', () => {
    const text = `Subject: x\r\n${derToPem(Buffer.from('a'), 'CERTIFICATE').replaceAll('\n', '\r\n')}junk\n${derToPem(Buffer.from('k'), 'PRIVATE KEY')}`;
    expect(pemToDer(text, 'PRIVATE KEY').toString()).toBe('k');
    expect(readPem(text).map((block) => block.label)).toEqual(['CERTIFICATE', 'PRIVATE KEY']);
  });

  it('refuses a missing block, a missing label, a mismatched end', () => {
    expect(codeOf(() => pemToDer('hello'))).toBe('asn1_malformed');
    expect(codeOf(() => pemToDer(derToPem(Buffer.from('a'), 'CERTIFICATE'), 'PRIVATE KEY'))).toBe('asn1_malformed');
    expect(codeOf(() => pemToDer('-----BEGIN A-----\nAAAA\n-----END B-----'))).toBe('asn1_malformed');
  });
});

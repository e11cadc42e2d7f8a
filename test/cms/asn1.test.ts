import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Asn1Budget,
  boolean,
  DEFAULT_MAX_DEPTH,
  integerOctets,
  namedBits,
  objectIdentifier,
  octets,
  readAsn1,
  smallInteger,
  TAG,
  time,
  walk,
} from '../../cms/asn1.ts';
import * as der from '../../cms/der.ts';
import { codeOf } from './fixtures.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

function nested(levels: number): Buffer {
  let inner: Buffer = Buffer.alloc(0);
  for (let i = 0; i < levels; i++) inner = der.seq(inner);
  return inner;
}

const nestedIndefinite = (levels: number, tag = 0x30): Buffer =>
  Buffer.concat([Buffer.from(Array(levels).fill([tag, 0x80]).flat()), Buffer.alloc(levels * 2)]);

describe('reading', () => {
  it('keeps the raw octets of every element without copying them', () => {
    const bytes = der.seq(der.int(5), der.octetString(Buffer.from('abc')));
    const [first, second] = readAsn1(bytes).children;
    expect(first?.raw.equals(der.int(5))).toBe(true);
    expect(second?.body.toString()).toBe('abc');
    expect(second?.body.buffer).toBe(bytes.buffer);
  });

  it('joins the segments of a constructed OCTET STRING, nested and indefinite', () => {
    const bytes = hex('24 80 0402 6162 24 80 0401 63 0000 2404 0402 6465 0000');
    expect(octets(readAsn1(bytes)).toString()).toBe('abcde');
  });

  it('does not read what nobody asks for', () => {
    const budget = new Asn1Budget();
    const root = readAsn1(der.seq(der.seq(...Array<Buffer>(500).fill(der.nul())), der.int(1)), budget);
    expect(root.children.length).toBe(2);
    expect(budget.nodes).toBe(3);
    walk(root);
    expect(budget.nodes).toBe(503);
  });

  it('reads numbers of any length of length field that fits', () => {
    expect(readAsn1(hex('04 84 00000001 61')).body.toString()).toBe('a');
  });

  const refused: [string, Buffer, string][] = [
    ['nothing', Buffer.alloc(0), 'asn1_malformed'],
    ['a tag alone', hex('30'), 'asn1_malformed'],
    ['length beyond the data', hex('30 05 0500'), 'asn1_malformed'],
    ['length beyond 32 bits', hex('30 85 0000000001 00'), 'asn1_malformed'],
    ['a length that is negative as int32', hex('30 84 ffffffff 0500'), 'asn1_malformed'],
    ['a length of 2^31', hex('30 84 80000000 0500'), 'asn1_malformed'],
    ['reserved length octet ff', hex('30 ff 00'), 'asn1_malformed'],
    ['length field cut off', hex('30 83 0000'), 'asn1_malformed'],
    ['trailing octet', hex('30 00 00'), 'asn1_malformed'],
    ['indefinite length on a primitive', hex('04 80 0000'), 'asn1_malformed'],
    ['indefinite length never ended', hex('30 80 0500'), 'asn1_malformed'],
    ['half an end-of-contents', hex('30 80 00'), 'asn1_malformed'],
    ['tag number above 2^28', hex('3f ffffffff7f 00'), 'asn1_malformed'],
    ['indefinite nesting 1000', nestedIndefinite(1000), 'asn1_too_deep'],
    ['OCTET STRING segments nested 1000', nestedIndefinite(1000, 0x24), 'asn1_too_deep'],
    ['indefinite nesting 100,000', nestedIndefinite(100_000), 'asn1_too_deep'],
  ];
  it.each(refused)('refuses %s', (_, bytes, code) => {
    const budget = new Asn1Budget();
    expect(codeOf(() => readAsn1(bytes, budget))).toBe(code);
    expect(budget.nodes).toBeLessThanOrEqual(DEFAULT_MAX_DEPTH + 2);
  });

  const refusedInside: [string, Buffer, string][] = [
    ['definite nesting 1000', nested(1000), 'asn1_too_deep'],
    ['end-of-contents inside a definite length', hex('30 02 0000'), 'asn1_malformed'],
    // As int32 this length is -6: a reader that believes it stays on the spot for ever.
    ['a child whose negative length leads back to itself', hex('30 06 04 84 fffffffa'), 'asn1_malformed'],
    ['a child longer than its parent', hex('30 03 0402 61'), 'asn1_malformed'],
    ['more elements than allowed', der.seq(...Array<Buffer>(30_000).fill(der.nul())), 'asn1_too_many_nodes'],
  ];
  it.each(refusedInside)('refuses %s once it is read', (_, bytes, code) => {
    const budget = new Asn1Budget();
    expect(codeOf(() => walk(readAsn1(bytes, budget)))).toBe(code);
    expect(budget.nodes).toBeLessThanOrEqual(budget.maxNodes + 1);
  });

  it('refuses an OCTET STRING with a segment of another type', () => {
    expect(codeOf(() => octets(readAsn1(hex('24 02 0500'))))).toBe('asn1_malformed');
  });

  it('says where the fault is', () => {
    expect(() => walk(readAsn1(hex('30 05 0500 0405 61')))).toThrowError(
      expect.objectContaining({ place: { offset: 4 } }),
    );
  });

  it('ends on any octets with a typed error or a value, within its budget', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const budget = new Asn1Budget({ maxNodes: 100 });
        codeOf(() => walk(readAsn1(bytes, budget)));
        expect(budget.nodes).toBeLessThanOrEqual(101);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('values', () => {
  const oids = ['1.2.840.113549.1.1.11', '0.9.2342.19200300.100.1.1', '2.5.4.3', '2.999.1', '1.39.0', '0.0'];
  it.each(oids)('OBJECT IDENTIFIER %s', (dotted) => expect(objectIdentifier(readAsn1(der.oid(dotted)))).toBe(dotted));

  it('OBJECT IDENTIFIER arcs up to 128 bits neither collide nor change', () => {
    const arcs = fc.array(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.constantFrom('0.39', '1.0', '2.47', '2.48'), arcs, (root, rest) => {
        const dotted = [root, ...rest].join('.');
        expect(objectIdentifier(readAsn1(der.oid(dotted)))).toBe(dotted);
      }),
    );
    const wide = `2.${2n ** 100n}`;
    expect(objectIdentifier(readAsn1(der.oid(wide)))).toBe(wide);
  });

  const badOids: [string, string][] = [
    ['empty', '06 00'],
    ['unfinished arc', '06 02 2a 86'],
    ['padded arc', '06 03 2a 80 01'],
    ['longer than 64 octets', `06 41 2a ${'81'.repeat(63)} 01`],
  ];
  it.each(badOids)('refuses an OBJECT IDENTIFIER: %s', (_, text) =>
    expect(codeOf(() => objectIdentifier(readAsn1(hex(text))))).toBe('asn1_malformed'),
  );

  it('INTEGER round trip, minimal', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 160n }), (value) => {
        const body = integerOctets(readAsn1(der.int(value)));
        expect(BigInt(`0x${body.toString('hex')}`)).toBe(value);
        expect(body[0]! < 0x80).toBe(true);
      }),
    );
    expect(smallInteger(readAsn1(der.int(0)))).toBe(0);
    expect(smallInteger(readAsn1(der.int(65_537)))).toBe(65_537);
  });

  it.each(['02 00', '02 02 0001', '02 02 ffff'])('refuses INTEGER %s', (text) =>
    expect(codeOf(() => integerOctets(readAsn1(hex(text))))).toBe('asn1_malformed'),
  );

  it.each(['02 01 ff', '02 05 0100000000'])('refuses small INTEGER %s', (text) =>
    expect(codeOf(() => smallInteger(readAsn1(hex(text))))).toBe('asn1_malformed'),
  );

  it('times follow the year rule of RFC 5280 and come back', () => {
    const min = new Date('0000-01-01T00:00:00Z');
    const max = new Date('9999-12-31T23:59:59Z');
    fc.assert(
      fc.property(fc.date({ min, max, noInvalidDate: true }), (date) => {
        const seconds = new Date(Math.floor(date.getTime() / 1000) * 1000);
        const element = readAsn1(der.time(seconds));
        expect(time(element)).toEqual(seconds);
        const year = seconds.getUTCFullYear();
        expect(element.tag).toBe(year >= 1950 && year < 2050 ? TAG.utcTime : TAG.generalizedTime);
      }),
    );
  });

  it.each(['260230000000Z', '2602010000Z', '260201000000+0100', '261301000000Z', '260201240000Z', '2602010000000Z'])(
    'refuses UTCTime %s',
    (text) => expect(codeOf(() => time(readAsn1(der.tlv(TAG.utcTime, Buffer.from(text)))))).toBe('asn1_malformed'),
  );

  it('named bits come back, without trailing zeros', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 15 })), (bits) => {
        expect(namedBits(readAsn1(der.namedBitString(bits)))).toEqual(bits.toSorted((a, b) => a - b));
      }),
    );
    expect(der.namedBitString([0, 5]).toString('hex')).toBe('03020284');
  });

  it('SET OF is sorted by encoding', () => {
    const values = fc.array(fc.uint8Array({ maxLength: 5 }), { maxLength: 8 });
    fc.assert(
      fc.property(values, (parts) => {
        const encoded = parts.map((part) => der.octetString(part));
        expect(der.set(...encoded).equals(der.set(...encoded.toReversed()))).toBe(true);
      }),
    );
  });

  it('BOOLEAN', () => {
    expect(boolean(readAsn1(der.bool(true)))).toBe(true);
    expect(codeOf(() => boolean(readAsn1(hex('01 02 ffff'))))).toBe('asn1_malformed');
  });

  it.each([127, 128, 255, 256, 65_535, 65_536, 16_777_216])('length %i is written and read', (length) => {
    expect(readAsn1(der.octetString(Buffer.alloc(length))).body.length).toBe(length);
  });

  it('refuses to write what its type cannot hold', () => {
    expect(codeOf(() => der.printable('a@b'))).toBe('asn1_malformed');
    expect(codeOf(() => der.ia5('é'))).toBe('asn1_malformed');
    expect(codeOf(() => der.oid('1.40.1'))).toBe('asn1_malformed');
    expect(codeOf(() => der.oid('1'))).toBe('asn1_malformed');
    expect(codeOf(() => der.int(-1))).toBe('asn1_malformed');
    expect(codeOf(() => der.time(new Date(Number.NaN)))).toBe('asn1_malformed');
  });
});

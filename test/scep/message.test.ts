import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAsn1, TAG } from '../../cms/asn1.ts';
import { ia5, int, nul, octetString, oid, printable, seq, set, tlv, utf8 } from '../../cms/der.ts';
import { encryptEnvelopedData } from '../../cms/enveloped-data.ts';
import { OID } from '../../cms/oids.ts';
import { buildCertificationRequest } from '../../cms/pkcs10.ts';
import { buildDegenerate, buildSignedData, type SignedAttribute } from '../../cms/signed-data.ts';
import { EspalierError } from '../../core/errors.ts';
import { systemRandom } from '../../core/system.ts';
import { buildCertRep, type CertRepResult } from '../../scep/cert-rep.ts';
import { openRequest, readPkiMessage } from '../../scep/message.ts';
import { codeOf, ec, issue, openssl, rsa, workbench } from '../cms/fixtures.ts';
import { authority, clientIdentity, pkiRequest, readCertRep } from './support.ts';

const { ca, ra } = authority();
const RA = { certificate: ra.certificate, key: ra.privateKey };

const TYPE = { oid: OID.scepMessageType, value: printable('19') };
const TRANSACTION = { oid: OID.scepTransactionId, value: printable('tx') };
const NONCE = { oid: OID.scepSenderNonce, value: octetString(Buffer.alloc(16, 7)) };

const withAttributes = (...attributes: SignedAttribute[]): Buffer =>
  pkiRequest({ attributes, envelope: Buffer.from('x') }).body;
const signed = (content: Buffer, more: object = {}): Buffer => {
  const { der, privateKey } = clientIdentity(rsa('device'));
  const signer = { certificateDer: der, key: privateKey };
  return buildSignedData({ content, signer, extraSignedAttributes: [TYPE, TRANSACTION, NONCE], ...more });
};

/** Outer messages nobody can be answered for: a typed error each. */
const UNREADABLE: [string, () => Buffer, string][] = [
  ['nothing', () => Buffer.alloc(0), 'asn1_malformed'],
  ['text', () => Buffer.from('PKIOperation'), 'asn1_malformed'],
  ['an HTML page', () => Buffer.from('<html></html>'), 'asn1_malformed'],
  ['64 KiB of noise', () => Buffer.alloc(65_536, 0x5a), 'asn1_malformed'],
  ['a nesting bomb', () => Buffer.alloc(100_000, Buffer.from([0x30, 0x80])), 'asn1_too_deep'],
  ['a claim of 4 GB', () => Buffer.from('3084ffffffff0601', 'hex'), 'asn1_malformed'],
  ['half a message', () => pkiRequest().body.subarray(0, 1000), 'asn1_malformed'],
  ['a message and a byte', () => Buffer.concat([pkiRequest().body, Buffer.from([0])]), 'asn1_malformed'],
  ['a message twice', () => Buffer.concat([pkiRequest().body, pkiRequest().body]), 'asn1_malformed'],
  [
    'the request without its envelope',
    () => buildCertificationRequest({ subject: [], keyPair: rsa('device') }),
    'cms_malformed',
  ],
  ['the envelope without its signature', () => envelopeOf(Buffer.from('x')), 'cms_malformed'],
  ['certificates alone', () => buildDegenerate([ca.der]), 'cms_malformed'],
  [
    'a signature without attributes',
    () => signed(Buffer.from('x'), { signedAttributes: false, extraSignedAttributes: undefined }),
    'scep_message_malformed',
  ],
  ['a detached signature', () => signed(Buffer.from('x'), { detached: true }), 'cms_malformed'],
  ['no attribute of SCEP', () => withAttributes(), 'scep_message_malformed'],
  ['no messageType', () => withAttributes(TRANSACTION, NONCE), 'scep_message_malformed'],
  ['no transactionID', () => withAttributes(TYPE, NONCE), 'scep_message_malformed'],
  ['no senderNonce', () => withAttributes(TYPE, TRANSACTION), 'scep_message_malformed'],
  [
    'two messageTypes in one attribute',
    () =>
      withAttributes({ oid: TYPE.oid, value: Buffer.concat([printable('19'), printable('3')]) }, TRANSACTION, NONCE),
    'scep_message_malformed',
  ],
  ...['', 'PKCSReq', '-1', '1.9e1', ' 19', '1000', '0x13'].map((value): [string, () => Buffer, string] => [
    `messageType ${JSON.stringify(value)}`,
    () => withAttributes({ oid: TYPE.oid, value: utf8(value) }, TRANSACTION, NONCE),
    'scep_message_malformed',
  ]),
  [
    'messageType as an INTEGER',
    () => withAttributes({ oid: TYPE.oid, value: int(19) }, TRANSACTION, NONCE),
    'scep_message_malformed',
  ],
  [
    'messageType as NULL',
    () => withAttributes({ oid: TYPE.oid, value: nul() }, TRANSACTION, NONCE),
    'scep_message_malformed',
  ],
  ...['', 'a\0b', 'a\r\nb: c', 'ä', '\u202e', 'x'.repeat(256)].map((value): [string, () => Buffer, string] => [
    `transactionID ${JSON.stringify(value.slice(0, 8))}`,
    () => withAttributes(TYPE, { oid: TRANSACTION.oid, value: utf8(value) }, NONCE),
    'scep_message_malformed',
  ]),
  [
    'transactionID as octets',
    () => withAttributes(TYPE, { oid: TRANSACTION.oid, value: octetString(randomBytes(16)) }, NONCE),
    'scep_message_malformed',
  ],
  [
    'transactionID in broken UTF-8',
    () => withAttributes(TYPE, { oid: TRANSACTION.oid, value: tlv(TAG.utf8String, Buffer.from([0xff])) }, NONCE),
    'asn1_malformed',
  ],
  [
    'an empty senderNonce',
    () => withAttributes(TYPE, TRANSACTION, { oid: NONCE.oid, value: octetString(Buffer.alloc(0)) }),
    'scep_message_malformed',
  ],
  [
    'a senderNonce of 65 octets',
    () => withAttributes(TYPE, TRANSACTION, { oid: NONCE.oid, value: octetString(Buffer.alloc(65)) }),
    'scep_message_malformed',
  ],
  [
    'senderNonce as text',
    () => withAttributes(TYPE, TRANSACTION, { oid: NONCE.oid, value: printable('0123456789abcdef') }),
    'scep_message_malformed',
  ],
];

function envelopeOf(content: Buffer): Buffer {
  return encryptEnvelopedData({ content, recipientCertificateDer: ra.der, cipher: 'aes128-cbc', random: randomBytes });
}

describe('a message', () => {
  it.each(UNREADABLE)('that is %s gets a typed error', (_, make, code) => {
    expect(codeOf(() => readPkiMessage(make()))).toBe(code);
  });

  it('is read as the client wrote it', () => {
    const request = pkiRequest({ challenge: 'secret', transactionId: 'A+/=', digest: 'sha1', cipher: 'des-ede3-cbc' });
    const message = readPkiMessage(request.body);
    expect(message).toMatchObject({
      messageType: 19,
      transactionId: 'A+/=',
      senderNonce: request.senderNonce,
      digest: 'sha1',
    });
    const opened = openRequest(message, RA);
    if ('reason' in opened) throw new Error(opened.reason);
    expect(opened.cipher).toBe('des-ede3-cbc');
    expect(opened.csr.challengePassword).toBe('secret');
  });

  it('may name its strings in any of the ASN.1 ways', () => {
    const attributes = [{ oid: TYPE.oid, value: utf8('17') }, { oid: TRANSACTION.oid, value: ia5('tx') }, NONCE];
    expect(readPkiMessage(pkiRequest({ attributes }).body)).toMatchObject({ messageType: 17, transactionId: 'tx' });
  });

  it('signed by an EC key is read, and its request can then be refused by name', () => {
    const keys = ec();
    const message = readPkiMessage(pkiRequest({ keys, signer: issue(keys) }).body);
    expect('csr' in openRequest(message, RA)).toBe(true);
  });

  it('with any byte changed is a typed error or another message, never anything else', () => {
    const { body } = pkiRequest({ challenge: 'x' });
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(body);
        changed[at] = (changed[at] ?? 0) ^ flip;
        try {
          openRequest(readPkiMessage(changed), RA);
        } catch (error) {
          expect(error).toBeInstanceOf(EspalierError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('an envelope', () => {
  const open = (envelope: Buffer) => openRequest(readPkiMessage(signed(envelope)), RA);
  const hostile: [string, () => Buffer][] = [
    ['empty', () => Buffer.alloc(0)],
    ['noise', () => randomBytes(500)],
    ['a SignedData', () => buildDegenerate([ca.der])],
    ['for the CA', () => pkiEnvelope(ca.der)],
    ['cut off', () => envelopeOf(Buffer.from('x')).subarray(0, 200)],
    [
      'with changed content',
      () => {
        const e = envelopeOf(randomBytes(600));
        e[e.length - 20] = (e[e.length - 20] ?? 0) ^ 1;
        return e;
      },
    ],
    ['around nothing', () => envelopeOf(Buffer.alloc(0))],
    ['around noise', () => envelopeOf(randomBytes(700))],
    ['around a certificate', () => envelopeOf(ca.der)],
    [
      'around a request of another version',
      () =>
        envelopeOf(seq(seq(int(1), seq(), seq()), seq(oid(OID.sha256WithRSA)), tlv(TAG.bitString, Buffer.alloc(2)))),
    ],
    ['around a nesting bomb', () => envelopeOf(Buffer.alloc(2000, Buffer.from([0x30, 0x80])))],
    ['around a request with two challenges', () => envelopeOf(requestWith(set(printable('a'), printable('b'))))],
    ['around a request with a number for a challenge', () => envelopeOf(requestWith(set(int(5))))],
    ['around a request of 512-bit RSA', () => envelopeOf(requestOf512())],
  ];
  it.each(hostile)('%s is one answer', (_, make) => {
    expect(open(make())).toEqual({ failInfo: 'badMessageCheck', reason: 'the request inside cannot be read' });
  });

  const pkiEnvelope = (recipientCertificateDer: Buffer): Buffer =>
    encryptEnvelopedData({
      content: Buffer.from('x'),
      recipientCertificateDer,
      cipher: 'aes128-cbc',
      random: randomBytes,
    });
  /** A request whose challengePassword attribute has these values; its own signature no longer fits, nor need it. */
  const requestWith = (values: Buffer): Buffer => {
    const spkiDer = clientIdentity(rsa('device')).certificate.spkiDer;
    const attribute = seq(oid(OID.challengePassword), values);
    const info = seq(int(0), seq(), spkiDer, tlv(0xa0, attribute));
    return seq(info, seq(oid(OID.sha256WithRSA), nul()), tlv(TAG.bitString, Buffer.alloc(257)));
  };
  const requestOf512 = (): Buffer => buildCertificationRequest({ subject: [], keyPair: rsa('tiny', 512) });
});

describe('a CertRep', () => {
  const answer = async (result: CertRepResult, options: Parameters<typeof pkiRequest>[0] = {}) => {
    const request = pkiRequest(options);
    const responder = { certificateDer: ra.der, key: ra.privateKey, random: systemRandom };
    return { request, ber: await buildCertRep(readPkiMessage(request.body), result, responder) };
  };
  const SUCCESS: CertRepResult = { status: 'success', certificate: ca.der, cipher: 'aes128-cbc' };

  it('has its attributes in the order of DER (SCE-07), and a failure has no content', async () => {
    for (const result of [SUCCESS, { status: 'failure', failInfo: 'badTime' }] as const) {
      const { request, ber } = await answer(result);
      const signedData = readAsn1(ber).children[1]?.only;
      const encapsulated = signedData?.children[2];
      expect(encapsulated?.children.length).toBe(result.status === 'success' ? 2 : 1);
      const attributes = signedData?.children.at(-1)?.children[0]?.children[3];
      const encodings = attributes?.children.map(({ raw }) => raw) ?? [];
      expect(encodings.length).toBe(result.status === 'success' ? 7 : 8);
      expect(encodings).toEqual(encodings.toSorted(Buffer.compare));
      expect(readCertRep(ber, request)).toMatchObject(
        result.status === 'success' ? { status: '0' } : { status: '2', failInfo: '3' },
      );
    }
  });

  it('echoes transactionIDs that are no PrintableString', async () => {
    const attributes = [TYPE, { oid: TRANSACTION.oid, value: utf8('a_b@c*') }, NONCE];
    const { request, ber } = await answer(SUCCESS, { attributes });
    const echoed = { ...request, transactionId: 'a_b@c*', senderNonce: Buffer.alloc(16, 7) };
    expect(readCertRep(ber, echoed).certificate?.sha256).toBe(ca.certificate.sha256);
  });

  it('never uses single DES, not for a client that knows nothing else (SCE-15)', async () => {
    const { request, ber } = await answer({ ...SUCCESS, cipher: 'des-cbc' });
    expect(readCertRep(ber, request).cipher).toBe('des-ede3-cbc');
    expect(ber.includes(oid(OID.desCbc))).toBe(false);
  });

  it.skipIf(openssl === undefined)('verifies with openssl', async () => {
    const { ber } = await answer(SUCCESS);
    const bench = workbench({ 'rep.der': ber, 'ca.pem': pem(ca.der) });
    const asked = bench.ask(
      'cms',
      '-verify',
      '-inform',
      'DER',
      '-in',
      'rep.der',
      '-CAfile',
      'ca.pem',
      '-no_check_time',
      '-purpose',
      'any',
      '-out',
      'content.der',
    );
    bench.close();
    expect(asked).toEqual({ status: 0, text: expect.stringContaining('successful') });
  });
});

function pem(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
}

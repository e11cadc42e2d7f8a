import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { nameToString } from '../../cms/names.ts';
import { pemToDer } from '../../cms/pem.ts';
import { parseCertificate } from '../../cms/x509.ts';
import { aMac, ruleOf } from './support/a-mac.ts';
import { newAuthority } from './support/pki.ts';
import { makeWorld, put, TinyServer, type World, type Wrong } from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
beforeAll(() => {
  world = makeWorld();
});
afterEach(() => server.close());

async function refusedBy(wrong: Wrong): Promise<string> {
  server = await TinyServer.start(world, wrong);
  const mac = aMac(server);
  const rule = await ruleOf(mac.enroll(server.link));
  expect(mac.phase).toBe('new');
  return rule;
}

const caps = (body: string): Wrong => ({ caps: { type: 'text/plain', body } });

describe('GetCACaps and GetCACert', () => {
  it('MAC-30 a CA that offers neither AES nor triple DES', async () => {
    expect(await refusedBy(caps('SHA-256\nPOSTPKIOperation\n'))).toBe('MAC-30');
  });

  it('MAC-30 a CA that offers no SHA-256', async () => {
    expect(await refusedBy(caps('AES\nSHA-1\nPOSTPKIOperation\n'))).toBe('MAC-30');
  });

  it('MAC-30 triple DES is used where AES is not offered', async () => {
    server = await TinyServer.start(world, caps('SHA-256\nDES3\nPOSTPKIOperation\n'));
    const mac = aMac(server);
    await mac.enroll(server.link);
    expect(mac.phase).toBe('enrolled');
  });

  it('MAC-30 without POSTPKIOperation the message goes by GET', async () => {
    server = await TinyServer.start(world, caps('SHA-256\r\nAES\r\n'));
    await aMac(server).enroll(server.link);
    const methods = server.received.filter(({ path }) => path === '/scep').map(({ method }) => method);
    expect(methods).toEqual(['GET', 'GET', 'GET']);
  });

  it('MAC-31 a media type that does not say what came', async () => {
    const body = world.ca.certificate.der;
    expect(await refusedBy({ caCert: { type: 'application/octet-stream', body } })).toBe('MAC-31');
  });

  it('MAC-31 a degenerate message under the media type of one certificate', async () => {
    expect(await refusedBy({ caCert: { type: 'application/x-x509-ca-cert', body: Buffer.of(0x30, 0) } })).toBe(
      'MAC-31',
    );
  });

  it('MAC-31 an EC certificate as the only recipient', async () => {
    const body = newAuthority('EC only', 'ec').certificate.der;
    expect(await refusedBy({ caCert: { type: 'application/x-x509-ca-cert', body } })).toBe('MAC-31');
  });

  it('MAC-32 another CA than the fingerprint of the profile says', async () => {
    const profile: Wrong['profile'] = (_, { scep }) => put(scep.PayloadContent, 'CAFingerprint', Buffer.alloc(20, 7));
    expect(await refusedBy({ profile })).toBe('MAC-32');
  });
});

describe('CertRep', () => {
  it('MAC-33 signed by nobody GetCACert named', async () => {
    expect(await refusedBy({ certRep: { signer: newAuthority('Stranger', 'rsa') } })).toBe('MAC-33');
  });

  it('MAC-34 with the transactionID of another request', async () => {
    expect(await refusedBy({ certRep: { transactionId: 'ABCDEF' } })).toBe('MAC-34');
  });

  it('MAC-34 with a recipientNonce that was never sent', async () => {
    expect(await refusedBy({ certRep: { recipientNonce: Buffer.alloc(16) } })).toBe('MAC-34');
  });

  it('MAC-35 with attributes that are not sorted, though the signature fits them', async () => {
    expect(await refusedBy({ certRep: { unsortedAttributes: true } })).toBe('MAC-35');
  });

  it('MAC-36 encrypted with single DES', async () => {
    expect(await refusedBy({ certRep: { singleDes: true } })).toBe('MAC-36');
  });

  it('MAC-37 with a certificate about another key', async () => {
    expect(await refusedBy({ certRep: { foreignKey: true } })).toBe('MAC-37');
  });

  it('MAC-37 with a certificate by another CA', async () => {
    expect(await refusedBy({ certRep: { issuer: newAuthority('Stranger', 'rsa') } })).toBe('MAC-37');
  });

  it('MAC-38 under another media type', async () => {
    expect(await refusedBy({ certRepType: 'application/octet-stream' })).toBe('MAC-38');
  });

  it('MAC-39 a refusal ends the enrolment', async () => {
    expect(await refusedBy({ certRep: { pkiStatus: '2', failInfo: '2' } })).toBe('MAC-39');
    expect(server.scepAttempts).toBe(1);
  });

  it('MAC-39 PENDING is asked again three times, then given up', async () => {
    expect(await refusedBy({ certRep: { pkiStatus: '3' } })).toBe('MAC-39');
    expect(server.scepAttempts).toBe(4);
  });

  it('MAC-40 a certificate whose subject has no common name', async () => {
    expect(await refusedBy({ certRep: { subject: [{ type: 'O', value: 'Example' }] } })).toBe('MAC-40');
  });

  it('MAC-40 a certificate without any subject', async () => {
    expect(await refusedBy({ certRep: { subject: [] } })).toBe('MAC-40');
  });
});

describe('the request', () => {
  it('MAC-20 expands the variables of macOS in the subject', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server);
    await mac.enroll(server.link);
    const { subject } = parseCertificate(pemToDer(mac.certificate ?? ''));
    expect(nameToString(subject)).toBe(`CN=${mac.identity.serialNumber},O=Example`);
  });

  it('MAC-20 takes the PayloadIdentifier where the profile gives no CN', async () => {
    server = await TinyServer.start(world, {
      profile: (_, { scep }) => put(scep.PayloadContent, 'Subject', undefined),
    });
    const mac = aMac(server);
    await mac.enroll(server.link);
    const { subject } = parseCertificate(pemToDer(mac.certificate ?? ''));
    expect(nameToString(subject)).toBe('CN=org.example.enrollment.com.apple.security.scep');
  });
});

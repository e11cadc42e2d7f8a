import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parseCertificate, verifyChain } from '../../cms/x509.ts';
import { type Authorised, authorise } from '../../scep/authorise.ts';
import { createCertificateSigner } from '../../scep/signer.ts';
import { certificateIntent } from '../../scep/template.ts';
import {
  certPem,
  codeOf,
  days,
  ec,
  type Identity,
  issue,
  NOW,
  openssl,
  rsa,
  spki,
  workbench,
} from '../cms/fixtures.ts';
import { authority } from './support.ts';

function authorised(serialNumber?: string): Authorised {
  const decision = authorise(
    {
      messageType: 19,
      transactionId: 'tx',
      publicKey: { kind: 'rsa', bits: 2048 },
      spkiDer: spki(rsa('device').publicKey),
      publicKeySha256: randomBytes(32),
      signedByRequestKey: true,
    },
    {
      challenge: {
        id: '01900000-0000-7000-8000-000000000000',
        link: undefined,
        renews: undefined,
        serialNumber,
        expiresAt: days(1),
        consumedAt: undefined,
      },
      certificate: undefined,
      signer: undefined,
    },
    NOW,
  );
  if (decision.kind !== 'issue') throw new Error('refused');
  return decision.authorised;
}

const certificateFrom = async (ca: Identity, now = NOW, organization = 'Espalier') => {
  const signer = createCertificateSigner({ certificate: ca.der, key: ca.privateKey });
  const yes = authorised('C02X');
  const intent = certificateIntent(yes, {
    now,
    serialRandom: randomBytes(16),
    issuer: signer.certificate,
    signatureAlgorithm: signer.algorithm,
    organization,
  });
  return { intent, certificate: parseCertificate(await signer.sign(yes, intent.tbs)) };
};

const caOf = (keys: ReturnType<typeof ec>, notAfter = days(3650)): Identity =>
  issue(keys, {
    subject: [{ type: 'CN', value: 'CA' }],
    notAfter,
    extensions: { isCa: true, keyUsage: ['keyCertSign'] },
  });

describe('the template', () => {
  it('writes the same octets for the same draw, and other serial numbers for other draws', async () => {
    const { ca } = authority();
    const input = {
      now: NOW,
      serialRandom: Buffer.alloc(16),
      issuer: ca.certificate,
      signatureAlgorithm: 'sha256WithRSA',
      organization: 'O',
    } as const;
    expect(certificateIntent(authorised(), input).tbs).toEqual(certificateIntent(authorised(), input).tbs);
    expect(certificateIntent(authorised(), input).serial.toString('hex')).toBe(`01${'00'.repeat(16)}`);
    const high = certificateIntent(authorised(), { ...input, serialRandom: Buffer.alloc(16, 0xff) });
    expect(high.serial.length).toBe(17);
  });

  it('takes names from our records, whatever characters an organisation has', async () => {
    const { certificate, intent } = await certificateFrom(authority().ca, NOW, 'Müller & Söhne, "KG" #1');
    expect(certificate.subject).toEqual([
      { type: 'O', value: 'Müller & Söhne, "KG" #1' },
      { type: 'CN', value: 'C02X' },
    ]);
    expect(intent.subject).toBe('CN=C02X,O=Müller & Söhne\\, \\"KG\\" #1');
    expect(intent.serial.toString('hex')).toBe(certificate.serial);
    expect([intent.notBefore, intent.notAfter]).toEqual([certificate.notBefore, certificate.notAfter]);
  });

  it('does not outlive its issuer, and an expired issuer issues nothing', async () => {
    const { certificate } = await certificateFrom(caOf(rsa('ca'), days(30)));
    expect(certificate.notAfter).toEqual(days(30));
    const { ca } = authority();
    const input = {
      now: days(3651),
      serialRandom: randomBytes(16),
      issuer: ca.certificate,
      signatureAlgorithm: 'sha256WithRSA',
      organization: 'O',
    } as const;
    expect(codeOf(() => certificateIntent(authorised(), input))).toBe('service_unavailable');
  });

  it('also serves an issuing CA on an elliptic curve (SCE-04)', async () => {
    const ca = caOf(ec('ca'));
    const { certificate } = await certificateFrom(ca);
    expect(verifyChain(certificate, [], [ca.certificate], NOW).trusted).toBe(true);
  });

  it.skipIf(openssl === undefined)('is what openssl calls strict', async () => {
    const { ca } = authority();
    const { certificate } = await certificateFrom(ca);
    const bench = workbench({ 'ca.pem': certPem(ca), 'leaf.der': certificate.der });
    bench.run('x509', '-inform', 'DER', '-in', 'leaf.der', '-out', 'leaf.pem');
    const at = String(NOW.getTime() / 1000);
    const verified = bench.ask(
      'verify',
      '-x509_strict',
      '-purpose',
      'sslclient',
      '-attime',
      at,
      '-CAfile',
      'ca.pem',
      'leaf.pem',
    );
    const asServer = bench.ask('verify', '-purpose', 'sslserver', '-attime', at, '-CAfile', 'ca.pem', 'leaf.pem');
    bench.close();
    expect(verified).toEqual({ status: 0, text: 'leaf.pem: OK\n' });
    expect(asServer.status).not.toBe(0);
  });
});

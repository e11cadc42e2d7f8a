/** PKCSReq messages made beforehand by the simulated Mac's own code. */
import { hash, randomBytes } from 'node:crypto';
import { parseCertificate } from '../../cms/x509.ts';
import { type KeyPair, KeyPool } from '../../simulator/key-pool.ts';
import { buildPkcsReq, selfSign } from '../../simulator/scep-message.ts';
import { each, type Load } from './load.ts';
import { requestBytes } from './wire.ts';

const KEYS = 4;
const KEY_USAGE = 5;

const pool = new KeyPool({ size: KEYS });

/** `recipient`: the DER of the certificate the envelope is for. One message per challenge. */
export async function pkcsReqs(recipient: Buffer, challenges: readonly (string | undefined)[]): Promise<Buffer[]> {
  const parsed = parseCertificate(recipient);
  const identities = await Promise.all(Array.from({ length: KEYS }, (_, index) => identity(index)));
  return challenges.map((challenge, index) => {
    const { keyPair, selfSigned } = identities[index % KEYS] as Awaited<ReturnType<typeof identity>>;
    const transaction = {
      transactionId: hash('sha256', randomBytes(16), 'hex'),
      // Distinct: scepserver looks its names up, ours writes its own.
      subject: [{ type: 'CN', value: `bench-${randomBytes(6).toString('hex')}` }],
      keyPair,
      selfSigned,
      recipient: parsed,
      cipher: 'aes128-cbc',
      random: (octets: number) => randomBytes(octets),
    } as const;
    return buildPkcsReq(transaction, { challenge, keyUsage: KEY_USAGE }, randomBytes(16));
  });
}

async function identity(index: number): Promise<{ keyPair: KeyPair; selfSigned: ReturnType<typeof selfSign> }> {
  const keyPair = await pool.get(index);
  const subject = [{ type: 'CN', value: `Bench SCEP client ${index}` }];
  return { keyPair, selfSigned: selfSign(subject, keyPair, Buffer.from([1 + index]), new Date()) };
}

/** The attribute pkiStatus (RFC 8894 3.2.1.3) with the value SUCCESS, as both servers encode it. */
const SUCCESS = Buffer.concat([
  Buffer.from('060a6086480186f845010903', 'hex'),
  Buffer.from('310313', 'hex'),
  Buffer.from('0130', 'hex'),
]);

export function requireSuccess(body: Buffer): void {
  if (!body.includes(SUCCESS)) throw new Error('a CertRep was not a SUCCESS');
}

export function post(body: Buffer): Buffer {
  return requestBytes('POST', '/scep?operation=PKIOperation', { 'content-type': 'application/x-pki-message' }, body);
}

export function steps(requests: readonly Buffer[]): Load['next'] {
  return each(requests, (request) => [
    {
      request,
      check({ status, body }) {
        if (status !== 200) throw new Error(`SCEP answered ${status}`);
        requireSuccess(body);
      },
    },
  ]);
}

/** Keys and the certificates over them, made once at first start. */
import { createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { encodeName, type Name } from '../cms/names.ts';
import { signatureAlgorithmFor } from '../cms/signature-algorithm.ts';
import {
  buildTbsCertificate,
  keyIdentifier,
  parseCertificate,
  type SubjectAltName,
  signCertificate,
} from '../cms/x509.ts';
import type { Random } from '../core/clock.ts';
import type { CertificateTemplate } from './purposes.ts';
import type { SigningIdentity } from './types.ts';

const generate = promisify(generateKeyPair);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SERIAL_RANDOM_BYTES = 16;

/** In a pool thread: an RSA-2048 key costs about 160 ms. */
export async function generatePrivateKey(kind: 'rsa' | 'ec'): Promise<KeyObject> {
  const { privateKey } =
    kind === 'rsa' ? await generate('rsa', { modulusLength: 2048 }) : await generate('ec', { namedCurve: 'P-256' });
  return privateKey;
}

export interface CertificateRequestInput {
  readonly template: CertificateTemplate;
  readonly organization: string;
  readonly key: KeyObject;
  /** Undefined for a certificate that signs itself. */
  readonly issuer: SigningIdentity | undefined;
  readonly now: Date;
  readonly random: Random;
  readonly subjectAltName?: Partial<SubjectAltName>;
}

const wholeSeconds = (milliseconds: number): Date => new Date(Math.floor(milliseconds / 1000) * 1000);

/** DER. Backdated one hour because clocks differ; never outlives its issuer. */
export function makeCertificate(input: CertificateRequestInput): Buffer {
  const { template, key, issuer, random } = input;
  const issuerCertificate = issuer === undefined ? undefined : parseCertificate(issuer.certificate);
  const spkiDer = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const subject: Name = [
    { type: 'O', value: input.organization },
    { type: 'CN', value: `${input.organization} ${template.name}` },
  ];
  const isCa = template.keyUsage.includes('keyCertSign');
  const end = input.now.getTime() + template.validDays * DAY_MS - HOUR_MS;
  const tbs = buildTbsCertificate({
    serial: Buffer.concat([Buffer.from([1]), random.bytes(SERIAL_RANDOM_BYTES)]),
    issuer: issuerCertificate?.subjectDer ?? encodeName(subject),
    subject,
    notBefore: wholeSeconds(input.now.getTime() - HOUR_MS),
    notAfter: wholeSeconds(Math.min(end, issuerCertificate?.notAfter.getTime() ?? end)),
    spkiDer,
    signatureAlgorithm: signatureAlgorithmFor(issuer?.key ?? key),
    extensions: {
      isCa,
      ...(isCa ? { pathLength: 0 } : {}),
      keyUsage: template.keyUsage,
      ...(template.extendedKeyUsage === undefined ? {} : { extendedKeyUsage: template.extendedKeyUsage }),
      ...(input.subjectAltName === undefined ? {} : { subjectAltName: input.subjectAltName }),
      subjectKeyId: keyIdentifier(spkiDer),
      authorityKeyId: issuerCertificate?.subjectKeyId ?? keyIdentifier(spkiDer),
    },
  });
  return signCertificate(tbs, issuer?.key ?? key);
}

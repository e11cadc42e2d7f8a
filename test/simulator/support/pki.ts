import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { encodeName, type Name } from '../../../cms/names.ts';
import { OID } from '../../../cms/oids.ts';
import { derToPem } from '../../../cms/pem.ts';
import {
  buildTbsCertificate,
  type Certificate,
  type CertificateExtensions,
  keyIdentifier,
  parseCertificate,
  signCertificate,
} from '../../../cms/x509.ts';

const DAY = 24 * 60 * 60 * 1000;

export interface Authority {
  readonly name: Name;
  readonly key: KeyObject;
  readonly certificate: Certificate;
}

export interface Leaf {
  readonly key: KeyObject;
  readonly certificate: Certificate;
}

export interface IssueInput {
  readonly subject: Name;
  readonly publicKey: KeyObject;
  readonly extensions?: CertificateExtensions;
  readonly notBefore?: Date;
  readonly days?: number;
}

export const newKey = (type: 'rsa' | 'ec'): KeyObject =>
  type === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
    : generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

export function issue(issuer: { name: Name; key: KeyObject }, input: IssueInput): Certificate {
  const spkiDer = input.publicKey.export({ format: 'der', type: 'spki' });
  const notBefore = input.notBefore ?? new Date(Date.now() - DAY);
  const tbs = buildTbsCertificate({
    serial: randomBytes(16),
    issuer: encodeName(issuer.name),
    subject: input.subject,
    notBefore,
    notAfter: new Date(notBefore.getTime() + (input.days ?? 365) * DAY),
    spkiDer,
    extensions: { ...input.extensions, subjectKeyId: keyIdentifier(spkiDer) },
    signatureAlgorithm: issuer.key.asymmetricKeyType === 'ec' ? 'ecdsaWithSHA256' : 'sha256WithRSA',
  });
  return parseCertificate(signCertificate(tbs, issuer.key));
}

export function newAuthority(commonName: string, type: 'rsa' | 'ec'): Authority {
  const key = newKey(type);
  const name = [{ type: 'CN', value: commonName }];
  const certificate = issue(
    { name, key },
    {
      subject: name,
      publicKey: createPublicKey(key),
      days: 3650,
      extensions: { isCa: true, keyUsage: ['keyCertSign', 'cRLSign', 'digitalSignature', 'keyEncipherment'] },
    },
  );
  return { name, key, certificate };
}

export interface LeafOptions {
  readonly dns?: readonly string[];
  readonly days?: number;
  readonly extendedKeyUsage?: readonly string[];
}

export function newTlsLeaf(authority: Authority, options: LeafOptions = {}): Leaf {
  const key = newKey('ec');
  const certificate = issue(authority, {
    subject: [{ type: 'CN', value: 'localhost' }],
    publicKey: createPublicKey(key),
    days: options.days ?? 90,
    extensions: {
      extendedKeyUsage: options.extendedKeyUsage ?? [OID.serverAuth],
      subjectAltName: { dns: options.dns ?? ['localhost'] },
    },
  });
  return { key, certificate };
}

export const pem = (certificate: Certificate): string => derToPem(certificate.der, 'CERTIFICATE');
export const keyPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

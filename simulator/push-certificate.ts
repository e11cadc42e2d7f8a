import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  randomUUID,
} from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nul } from '../cms/der.ts';
import { encodeName, type Name, nameValue } from '../cms/names.ts';
import { OID } from '../cms/oids.ts';
import { derToPem } from '../cms/pem.ts';
import {
  buildTbsCertificate,
  type CertificateExtensions,
  keyIdentifier,
  parseCertificate,
  signCertificate,
} from '../cms/x509.ts';
import { writeAtomically } from './files.ts';

/** What stands in for Apple: a CA of its own, the certificate of the push service, and the customer's push certificate. */
export interface PushCertificates {
  /** PEM: what the server must trust in place of Apple's roots. */
  readonly ca: string;
  /** PEM: its key, for renewals. */
  readonly caKey: string;
  readonly server: { readonly certificate: string; readonly key: string };
  /** PEM: what a customer gets from identity.apple.com (apple-protocol 7.4). */
  readonly push: { readonly certificate: string; readonly key: string; readonly topic: string };
}

/** "Apple development push" and "Apple production push": client libraries look for them before they connect. */
const PUSH_EXTENSIONS = ['1.2.840.113635.100.6.3.1', '1.2.840.113635.100.6.3.2'];
const DAY = 24 * 60 * 60 * 1000;
const SERVER_DAYS = 825;

/** Made once and kept in `folder`: a new push certificate would have another topic, and every Mac would be lost (PSH-10). */
export function pushCertificates(folder: string | undefined, now = new Date()): PushCertificates {
  const path = folder === undefined ? undefined : join(folder, 'push-certificates.json');
  if (path !== undefined && existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as PushCertificates;
  const made = makePushCertificates(now);
  if (path !== undefined && folder !== undefined) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeAtomically(path, JSON.stringify(made), 0o600);
  }
  return made;
}

/** The same topic and key until another day, as Apple's portal renews a push certificate. PEM. */
export function renewedPushCertificate({ caKey, push }: PushCertificates, notAfter: Date): string {
  return issue(createPrivateKey(caKey), pushSubject(push.topic), createPrivateKey(push.key), notAfter, PUSH);
}

const CA_NAME: Name = [{ type: 'CN', value: 'Simulated Application Integration CA' }];

function issue(
  ca: KeyObject,
  subject: Name,
  key: KeyObject,
  notAfter: Date,
  extensions: CertificateExtensions,
): string {
  const spkiDer = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const tbs = buildTbsCertificate({
    serial: randomBytes(16),
    issuer: encodeName(CA_NAME),
    subject,
    notBefore: new Date(Date.now() - DAY),
    notAfter,
    spkiDer,
    extensions: { ...extensions, subjectKeyId: keyIdentifier(spkiDer) },
    signatureAlgorithm: 'ecdsaWithSHA256',
  });
  return derToPem(signCertificate(tbs, ca), 'CERTIFICATE');
}

const PUSH: CertificateExtensions = {
  keyUsage: ['digitalSignature'],
  extendedKeyUsage: [OID.clientAuth],
  other: PUSH_EXTENSIONS.map((oid) => ({ oid, critical: false, value: nul() })),
};

const pushSubject = (topic: string): Name => [
  { type: 'UID', value: topic },
  { type: 'CN', value: topic.replace('com.apple.mgmt.External.', 'APSP:') },
  { type: 'C', value: 'US' },
];

function makePushCertificates(now: Date): PushCertificates {
  const ca = newKey('ec');
  const inDays = (days: number) => new Date(now.getTime() + (days - 1) * DAY);
  const server = newKey('ec');
  const push = newKey('rsa');
  const topic = `com.apple.mgmt.External.${randomUUID()}`;
  return {
    ca: issue(ca, CA_NAME, ca, inDays(3650), { isCa: true, keyUsage: ['keyCertSign', 'cRLSign'] }),
    caKey: toPem(ca),
    server: {
      certificate: issue(ca, [{ type: 'CN', value: 'localhost' }], server, inDays(SERVER_DAYS), {
        extendedKeyUsage: [OID.serverAuth],
        subjectAltName: { dns: ['localhost'], ip: ['127.0.0.1', '::1'] },
      }),
      key: toPem(server),
    },
    push: {
      certificate: issue(ca, pushSubject(topic), push, inDays(365), PUSH),
      key: toPem(push),
      topic,
    },
  };
}

const newKey = (type: 'ec' | 'rsa'): KeyObject =>
  type === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
    : generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

const toPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

/** The topic of a push certificate: the subject's UID (apple-protocol 7.1). */
export const topicOf = (certificateDer: Uint8Array): string | undefined =>
  nameValue(parseCertificate(certificateDer).subject, 'UID');

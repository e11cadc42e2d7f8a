import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { pemToDer } from '../cms/pem.ts';
import { parseCertificate } from '../cms/x509.ts';
import { EspalierError } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import type { PushCertificate } from './ports.ts';

const TOPIC_PREFIX = 'com.apple.mgmt.';
const FIX =
  'Download the certificate again from identity.apple.com/pushcert and give it with the key its CSR was made from.';

/**
 * A push certificate and its key as an admin uploads them, checked before anything is stored (PSH-13): key matches,
 * topic is the subject's UID with Apple's prefix, not expired at `now`. Errors: push_certificate_invalid.
 */
export function readPushCertificate(certificatePem: string, keyPem: string, now: Date): PushCertificate {
  const der = attempt('the certificate cannot be read', () => pemToDer(certificatePem, 'CERTIFICATE'));
  const certificate = attempt('the certificate cannot be read', () => parseCertificate(der));
  const key = attempt('the private key cannot be read', () => createPrivateKey(keyPem));
  if (!samePublicKey(key, certificate.publicKey()))
    throw refused('the private key does not belong to this certificate');
  const topic = certificate.subject.find((part) => part.type === 'UID')?.value;
  if (topic === undefined || !topic.startsWith(TOPIC_PREFIX)) {
    throw refused(
      `the subject's UID is ${JSON.stringify(topic ?? null)}; an MDM push certificate has ${TOPIC_PREFIX}…`,
    );
  }
  if (certificate.notAfter <= now) throw refused(`the certificate expired on ${certificate.notAfter.toISOString()}`);
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  return {
    topic,
    certificate: Buffer.from(certificate.der),
    privateKey: new Secret(pem),
    notAfter: certificate.notAfter,
  };
}

function samePublicKey(key: KeyObject, expected: KeyObject): boolean {
  const own = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return own.equals(expected.export({ type: 'spki', format: 'der' }));
}

function refused(detail: string): EspalierError {
  return new EspalierError('push_certificate_invalid', detail, { fix: FIX });
}

function attempt<T>(detail: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new EspalierError('push_certificate_invalid', detail, { fix: FIX, cause });
  }
}

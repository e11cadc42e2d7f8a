import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { nameValue } from '../cms/names.ts';
import { derToPem, readPem } from '../cms/pem.ts';
import { type Certificate, parseCertificate } from '../cms/x509.ts';
import type { Clock } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { SigningIdentity } from '../keys/types.ts';
import { leafFaults } from './tls-leaf.ts';

/** Milliseconds between looks at the certificate files. */
const WATCH_MS = 2000;

export interface TlsMaterial {
  /** PEM, leaf first, then intermediates. */
  readonly cert: string;
  readonly key: string;
}

/** Reads and checks the TLS files. Errors: settings_invalid with one stable word per fault a Mac would refuse. */
export function readTls(certFile: string, keyFile: string, publicUrl: string, clock: Clock): TlsMaterial {
  const material = readFiles(certFile, keyFile);
  checkTls(material, publicUrl, clock, certFile);
  return material;
}

export function checkTls(material: TlsMaterial, publicUrl: string, clock: Clock, origin: string): void {
  const chain = readChain(material.cert, origin);
  const hostName = new URL(publicUrl).hostname.replace(/^\[|\]$/g, '');
  const faults: string[] = [...leafFaults(chain, hostName, clock.now())];
  if (!isPair(material)) faults.push('tls_key_mismatch');
  if (faults.length > 0) {
    throw new EspalierError(
      'settings_invalid',
      `a Mac would refuse the certificate in ${origin}: ${faults.join(', ')}`,
      {
        fix: 'docs/settings.md explains each of these words.',
      },
    );
  }
}

function readChain(pem: string, origin: string): readonly Certificate[] {
  try {
    return readPem(pem).map(({ der }) => parseCertificate(der));
  } catch (cause) {
    throw new EspalierError('settings_invalid', `${origin} holds no certificate: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Whether the key is readable and is the leaf's. */
function isPair({ cert, key }: TlsMaterial): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/**
 * Looks at the files again and again, and uses what is new; a certificate that a Mac would refuse leaves the old one in
 * place. Contents are compared and not times: a renewal writes two files one after the other, and whichever comes last
 * makes the pair. `inUse` is what was read at start, so that a change in between is not missed.
 */
export function watchTls(
  files: { cert: string; key: string },
  inUse: TlsMaterial,
  publicUrl: string,
  clock: Clock,
  log: Log,
  use: (material: TlsMaterial) => void,
): () => void {
  let seen = inUse.cert + inUse.key;
  const timer = setInterval(() => {
    try {
      const material = readFiles(files.cert, files.key);
      if (material.cert + material.key === seen) return;
      seen = material.cert + material.key;
      checkTls(material, publicUrl, clock, files.cert);
      use(material);
      log.info({ cert: files.cert }, 'TLS certificate reloaded');
    } catch (error) {
      log.error({ err: error, cert: files.cert }, 'the new TLS certificate is not used; the old one stays');
    }
  }, WATCH_MS).unref();
  return () => clearInterval(timer);
}

function readFiles(certFile: string, keyFile: string): TlsMaterial {
  return { cert: readText('ESPALIER_TLS_CERT', certFile), key: readText('ESPALIER_TLS_KEY', keyFile) };
}

function readText(variable: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new EspalierError('settings_invalid', `${variable}: ${file} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The demo's own certificate, with its CA behind it: simulated Macs learn that CA from the enrolment profile. */
export function demoTls(identity: SigningIdentity): TlsMaterial {
  const cert = [identity.certificate, ...identity.chain].map((der) => derToPem(der, 'CERTIFICATE')).join('');
  return { cert, key: identity.key.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/**
 * Roots a Mac must be given to trust this server: the self-signed end of the chain, where the file carries one. A
 * chain that ends below a public root carries none.
 */
export function tlsRoots(material: TlsMaterial): readonly { name: string; der: Buffer }[] {
  const last = readPem(material.cert).at(-1);
  if (last === undefined) return [];
  const root = parseCertificate(last.der);
  if (!root.isCa || !root.issuerDer.equals(root.subjectDer)) return [];
  return [{ name: nameValue(root.subject, 'CN') ?? 'TLS root', der: last.der }];
}

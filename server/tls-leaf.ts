import { readSignatureAlgorithm } from '../cms/signature-algorithm.ts';
import type { Certificate } from '../cms/x509.ts';

/** Why a Mac would refuse the server's certificate; one stable code each. */
export type LeafFault =
  | 'tls_name_missing'
  | 'tls_server_auth_missing'
  | 'tls_validity_too_long'
  | 'tls_key_too_small'
  | 'tls_digest_too_weak'
  | 'tls_expired'
  | 'tls_chain_incomplete';

const DAY_MS = 86_400_000;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
/** Apple HT210176: certificates issued after 1 July 2019 are refused beyond 825 days. */
const MAX_VALIDITY_DAYS = 825;

/**
 * What a Mac checks of a TLS server certificate (Apple HT210176): a SAN with the name it dials, serverAuth, at most
 * 825 days, RSA >= 2048 bits, SHA-2, every intermediate sent. `chain` is the PEM file's order: leaf first.
 */
export function leafFaults(chain: readonly Certificate[], hostName: string, now: Date): readonly LeafFault[] {
  const leaf = chain[0];
  if (leaf === undefined) return ['tls_chain_incomplete'];
  const faults: LeafFault[] = [];
  if (!namesHost(leaf, hostName)) faults.push('tls_name_missing');
  if (!leaf.extendedKeyUsage.includes(SERVER_AUTH)) faults.push('tls_server_auth_missing');
  if (leaf.notAfter.getTime() - leaf.notBefore.getTime() > MAX_VALIDITY_DAYS * DAY_MS)
    faults.push('tls_validity_too_long');
  const key = leaf.publicKey();
  if (key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < 2048) {
    faults.push('tls_key_too_small');
  }
  if (isWeak(leaf)) faults.push('tls_digest_too_weak');
  if (now < leaf.notBefore || now > leaf.notAfter) faults.push('tls_expired');
  if (!isLinked(chain)) faults.push('tls_chain_incomplete');
  return faults;
}

function isWeak(leaf: Certificate): boolean {
  try {
    return readSignatureAlgorithm(leaf.signatureAlgorithm).digest === 'sha1';
  } catch {
    return true;
  }
}

function namesHost(leaf: Certificate, hostName: string): boolean {
  const wanted = hostName.toLowerCase();
  const { dns, ip } = leaf.subjectAltName;
  if (ip.includes(wanted)) return true;
  return dns.some((name) => {
    const pattern = name.toLowerCase();
    if (!pattern.startsWith('*.')) return pattern === wanted;
    const dot = wanted.indexOf('.');
    return dot > 0 && wanted.slice(dot) === pattern.slice(1);
  });
}

/** Each certificate is issued by the next; the last is a root or is issued by one the Mac is expected to hold. */
function isLinked(chain: readonly Certificate[]): boolean {
  return chain.every((certificate, index) => {
    const issuer = chain[index + 1];
    return issuer === undefined || certificate.issuerDer.equals(issuer.subjectDer);
  });
}

import type { KeyObject } from 'node:crypto';
import { hasCode } from '../core/errors.ts';
import type { Certificate } from './certificate.ts';
import { OID } from './oids.ts';
import { readSignatureAlgorithm, verifySignature } from './signature-algorithm.ts';

const MAX_CHAIN_LENGTH = 8;
/** Cross-signed bundles branch; a hostile one would branch for ever. */
const MAX_SIGNATURE_CHECKS = 32;

export interface ChainOptions {
  /** Apple's older device CAs signed with SHA-1. */
  readonly allowSha1?: boolean;
}

export type ChainResult =
  | { readonly trusted: true; readonly chain: readonly Certificate[] }
  | {
      readonly trusted: false;
      readonly reason: 'untrusted' | 'expired' | 'not_yet_valid';
      /** Set when all but the dates is in order: what a renewal of an expired identity needs to know. */
      readonly chain?: readonly Certificate[];
    };

/** Extensions read or safely ignored here; any other critical one forbids use (RFC 5280 4.2). */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  OID.basicConstraints,
  OID.keyUsage,
  OID.extendedKeyUsage,
  OID.subjectAltName,
  OID.subjectKeyIdentifier,
  OID.authorityKeyIdentifier,
  OID.certificatePolicies,
]);

export function verifyCertificateSignature(
  cert: Certificate,
  issuerPublicKey: KeyObject,
  options: ChainOptions = {},
): boolean {
  try {
    const scheme = readSignatureAlgorithm(cert.signatureAlgorithm);
    if (scheme.digest === undefined || (scheme.digest === 'sha1' && options.allowSha1 !== true)) return false;
    return verifySignature(scheme, scheme.digest, issuerPublicKey, cert.tbsDer, cert.signature);
  } catch (error) {
    if (hasCode(error, 'cms_algorithm_refused', 'cms_malformed', 'asn1_malformed')) return false;
    throw error;
  }
}

/** An intermediate with an unusable key has issued nothing; it must not spoil the chain beside it. */
function isSignedBy(cert: Certificate, issuer: Certificate, options: ChainOptions): boolean {
  try {
    return verifyCertificateSignature(cert, issuer.publicKey(), options);
  } catch (error) {
    if (hasCode(error, 'certificate_malformed', 'asn1_malformed')) return false;
    throw error;
  }
}

function mayHaveIssued(issuer: Certificate, cert: Certificate, below: number): boolean {
  if (!issuer.subjectDer.equals(cert.issuerDer) || !issuer.isCa) return false;
  if (issuer.keyUsage !== undefined && !issuer.keyUsage.has('keyCertSign')) return false;
  if (issuer.pathLength !== undefined && below > issuer.pathLength) return false;
  const ids = [issuer.subjectKeyId, cert.authorityKeyId];
  return ids[0] === undefined || ids[1] === undefined || ids[0].equals(ids[1]);
}

const hasUnknownCritical = (cert: Certificate): boolean =>
  [...cert.extensions.values()].some((extension) => extension.critical && !UNDERSTOOD.has(extension.oid));

/** RFC 5280 section 6 without policies and name constraints (a critical one is refused). Depth first, bounded. */
export function verifyChain(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  roots: readonly Certificate[],
  at: Date,
  options: ChainOptions = {},
): ChainResult {
  const trustAnchors = new Set(roots.map((root) => root.sha256));
  let checks = 0;
  let misdated: ChainResult | undefined;

  const extend = (chain: readonly Certificate[]): ChainResult | undefined => {
    const top = chain.at(-1)!;
    if (hasUnknownCritical(top)) return undefined;
    if (trustAnchors.has(top.sha256)) {
      const dated = checkDates(chain, at);
      if (dated.trusted) return dated;
      misdated ??= dated;
      return undefined;
    }
    if (chain.length === MAX_CHAIN_LENGTH) return undefined;
    // Self-issued certificates do not count against a path length (RFC 5280 6.1.4 l); the leaf never does.
    const below = chain.slice(1).filter((cert) => !cert.subjectDer.equals(cert.issuerDer)).length;
    for (const issuer of [...roots, ...intermediates]) {
      if (!mayHaveIssued(issuer, top, below) || chain.some((cert) => cert.sha256 === issuer.sha256)) continue;
      if (++checks > MAX_SIGNATURE_CHECKS) return undefined;
      if (!isSignedBy(top, issuer, options)) continue;
      const found = extend([...chain, issuer]);
      if (found !== undefined) return found;
    }
    return undefined;
  };

  return extend([leaf]) ?? misdated ?? { trusted: false, reason: 'untrusted' };
}

function checkDates(chain: readonly Certificate[], at: Date): ChainResult {
  if (chain.some((cert) => at > cert.notAfter)) return { trusted: false, reason: 'expired', chain };
  if (chain.some((cert) => at < cert.notBefore)) return { trusted: false, reason: 'not_yet_valid', chain };
  return { trusted: true, chain };
}

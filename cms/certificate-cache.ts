import { type Certificate, parseCertificate, sha256Hex } from './certificate.ts';

/**
 * Parsed certificates and their KeyObjects by SHA-256 of the bytes, least recently used out first.
 * Parsing a certificate and first use of its key cost ~4 times a signature check, and a Mac polls with the same one.
 */
export interface CertificateCache {
  /** The kept certificate, or a fresh parse that is *not* kept: unproven input must not push out proven. */
  get(der: Uint8Array): Certificate;
  /** Keep: call it once the certificate has proved something. `verifySignedData` does after a valid signature. */
  add(certificate: Certificate): void;
  readonly size: number;
}

export function createCertificateCache(max: number): CertificateCache {
  const kept = new Map<string, Certificate>();
  return {
    get(der) {
      const sha256 = sha256Hex(der);
      const certificate = kept.get(sha256);
      if (certificate === undefined) return parseCertificate(der);
      kept.delete(sha256);
      kept.set(sha256, certificate);
      return certificate;
    },
    add(certificate) {
      if (kept.has(certificate.sha256)) return;
      kept.set(certificate.sha256, certificate);
      for (const oldest of kept.keys()) {
        if (kept.size <= max) break;
        kept.delete(oldest);
      }
    },
    get size() {
      return kept.size;
    },
  };
}

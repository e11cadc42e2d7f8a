import { verifySignedData } from '../cms/signed-data.ts';
import { type Certificate, createCertificateCache, verifyChain } from '../cms/x509.ts';
import type { Clock } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import type { DeviceRequest } from './types.ts';

/** A certificate of ours that signed this very request. Whom it speaks for is in the `certificate` table. */
export interface DeviceIdentity {
  readonly sha256: Buffer;
  readonly validity: 'valid' | 'expired' | 'not_yet_valid';
}

export interface IdentityDeps {
  /** The device-identity CA, old ones included as long as their certificates are in use. */
  readonly authorities: readonly Certificate[];
  readonly clock: Clock;
  /** Certificates kept parsed with their keys and their chain's verdict; ~6 KB each. */
  readonly cacheSize?: number;
  /** Old Macs sign with SHA-1 (§1.2); forging one takes a second preimage, which SHA-1 still withstands. */
  readonly acceptSha1?: boolean;
}

/** Octets of CMS. RSA-4096 with a chain of three stays below 8 KiB. */
const MAX_SIGNATURE_BYTES = 16 * 1024;
const MAX_HEADER_CHARACTERS = Math.ceil(MAX_SIGNATURE_BYTES / 3) * 4;
const DEFAULT_CACHE_SIZE = 20_000;

/**
 * Who sent the request, by the certificate that signed exactly these bytes (SIG-01 to SIG-06) or that TLS has seen.
 * Errors: mdm_identity_missing, mdm_identity_invalid, mdm_identity_untrusted; each is a 400, never a 401 (CHK-05, CHK-06).
 */
export function createIdentityVerifier(deps: IdentityDeps): (request: DeviceRequest) => DeviceIdentity {
  const cacheSize = deps.cacheSize ?? DEFAULT_CACHE_SIZE;
  const cache = createCertificateCache(cacheSize);
  // A valid signature proves only that somebody has the key: strangers must not push our Macs out of the cache.
  const withoutAdding = { get: cache.get, add: () => undefined, size: 0 };
  // Filled only with what chains to us; entries hold no verdict that a date could change.
  const ours = new Map<string, Buffer>();

  function identityOf(certificate: Certificate): DeviceIdentity {
    const now = deps.clock.now();
    const sha256 = ours.get(certificate.sha256) ?? admit(certificate, now);
    const validity = now > certificate.notAfter ? 'expired' : now < certificate.notBefore ? 'not_yet_valid' : 'valid';
    return { sha256, validity };
  }

  function admit(certificate: Certificate, now: Date): Buffer {
    const chain = verifyChain(certificate, [], deps.authorities, now);
    // Out of date but ours is a matter of policy, decided where the enrolment is known (SIG-07).
    if (certificate.isCa || (!chain.trusted && chain.chain === undefined)) {
      throw new EspalierError('mdm_identity_untrusted', 'the certificate was not issued by the device-identity CA');
    }
    const sha256 = Buffer.from(certificate.sha256, 'hex');
    cache.add(certificate);
    ours.set(certificate.sha256, sha256);
    for (const oldest of ours.keys()) {
      if (ours.size <= cacheSize) break;
      ours.delete(oldest);
    }
    return sha256;
  }

  function signerOf(header: string, body: Buffer): Certificate {
    const bytes = header.length > MAX_HEADER_CHARACTERS ? undefined : base64Line(header);
    if (bytes === undefined) {
      throw new EspalierError('mdm_identity_invalid', 'Mdm-Signature is not one line of base64 of a sensible length');
    }
    try {
      return verifySignedData(bytes, {
        detachedContent: body,
        allowSha1: deps.acceptSha1 ?? true,
        cache: withoutAdding,
      }).signer;
    } catch (cause) {
      if (!(cause instanceof EspalierError)) throw cause;
      throw new EspalierError('mdm_identity_invalid', `Mdm-Signature does not verify: ${cause.message}`, { cause });
    }
  }

  return ({ mdmSignature, peerCertificate, body }) => {
    const signed = mdmSignature === undefined ? undefined : identityOf(signerOf(mdmSignature, body));
    if (peerCertificate === undefined) {
      if (signed !== undefined) return signed;
      throw new EspalierError('mdm_identity_missing', 'the request has neither Mdm-Signature nor a client certificate');
    }
    const peer = identityOf(parsePeer(peerCertificate));
    if (signed !== undefined && !signed.sha256.equals(peer.sha256)) {
      throw new EspalierError('mdm_identity_invalid', 'Mdm-Signature and the client certificate are of two identities');
    }
    return peer;
  };

  function parsePeer(der: Buffer): Certificate {
    try {
      return cache.get(der);
    } catch (cause) {
      throw new EspalierError('mdm_identity_invalid', 'the client certificate cannot be read', { cause });
    }
  }
}

/** The bytes of one line of padded base64. Node skips what it does not know, so a length that is too small tells it. */
function base64Line(text: string): Buffer | undefined {
  if (text === '' || text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === (text.length / 4) * 3 - padding ? bytes : undefined;
}

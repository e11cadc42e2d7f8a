import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { objectIdentifier } from '../cms/asn1.ts';
import { OID } from '../cms/oids.ts';
import { derToPem, readPem } from '../cms/pem.ts';
import { type Certificate, parseCertificate, verifyCertificateSignature } from '../cms/x509.ts';
import { CERTIFICATE_PAYLOADS } from './payload-types.ts';
import type { ConfigurationProfile } from './profile.ts';
import { readOr, refusal } from './refusal.ts';

export interface PayloadCertificate {
  readonly payloadUuid: string;
  readonly certificate: Certificate;
}

const PEM_MARK = 0x2d;

/** The certificates a profile brings, without their keys. */
export function certificatesIn(profile: ConfigurationProfile): PayloadCertificate[] {
  return profile.payloads
    .filter((payload) => CERTIFICATE_PAYLOADS.has(payload.type))
    .flatMap((payload) => {
      const bytes = Buffer.from(payload.keys.data('PayloadContent'));
      const unreadable = (detail: string, cause: unknown) =>
        refusal('MAC-23', 'MCCertificate', 9000, `${payload.keys.path} is no certificate: ${detail}`, cause);
      return readOr(
        () => (bytes[0] === PEM_MARK ? readPem(bytes.toString('latin1')).map((block) => block.der) : [bytes]),
        unreadable,
      ).map((der) => ({ payloadUuid: payload.uuid, certificate: readOr(() => parseCertificate(der), unreadable) }));
    });
}

/** Self-signed ones become trust anchors; the others are only known. */
export function rootsIn(profile: ConfigurationProfile): Certificate[] {
  return certificatesIn(profile)
    .map(({ certificate }) => certificate)
    .filter(isSelfSigned);
}

const isSelfSigned = (certificate: Certificate): boolean =>
  certificate.subjectDer.equals(certificate.issuerDer) &&
  verifyCertificateSignature(certificate, certificate.publicKey(), { allowSha1: true });

export const toPem = (certificate: Certificate): string => derToPem(certificate.der, 'CERTIFICATE');

const DAY = 24 * 60 * 60 * 1000;
const MAX_LEAF_DAYS = 825;
const WEAK_SIGNATURES: ReadonlySet<string> = new Set([OID.md5WithRSA, OID.sha1WithRSA, OID.ecdsaWithSHA1]);

/**
 * What macOS 10.15 asks of a TLS leaf beyond a trusted chain (Apple, "Requirements for trusted certificates in
 * macOS 10.15"). The host must be in the subjectAltName; the common name no longer counts.
 */
export function leafFault(host: string, peer: PeerCertificate): Error | undefined {
  const mismatch = checkServerIdentity(host, peer);
  if (mismatch !== undefined) return mismatch;
  const leaf = parseCertificate(peer.raw);
  if (leaf.subjectAltName.dns.length + leaf.subjectAltName.ip.length === 0) return leafError('has no subjectAltName');
  if (!leaf.extendedKeyUsage.includes(OID.serverAuth)) return leafError('is not for serverAuth');
  if (leaf.notAfter.getTime() - leaf.notBefore.getTime() > MAX_LEAF_DAYS * DAY) {
    return leafError(`is valid for more than ${MAX_LEAF_DAYS} days`);
  }
  const key = leaf.publicKey().asymmetricKeyDetails;
  if (key?.modulusLength !== undefined && key.modulusLength < 2048) return leafError('has an RSA key below 2048 bits');
  const [algorithm] = leaf.signatureAlgorithm.children;
  if (algorithm !== undefined && WEAK_SIGNATURES.has(objectIdentifier(algorithm)))
    return leafError('is signed with SHA-1');
  return undefined;
}

export const LEAF_REFUSED = 'MAC_LEAF_REFUSED';

function leafError(why: string): Error {
  return Object.assign(new Error(`the server's certificate ${why}`), { code: LEAF_REFUSED });
}

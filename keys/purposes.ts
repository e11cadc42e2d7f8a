/** Every key this server has, one purpose each; none is shared (design §6). A new line here is created at next start. */

import { OID } from '../cms/oids.ts';
import type { KeyUsage } from '../cms/x509.ts';

/** What data keys seal: keys of this room, push certificates' private keys, and what devices entrust (bootstrap and unlock tokens). */
export const DATA_CLASSES = ['keys', 'push', 'device'] as const;
export type DataClass = (typeof DATA_CLASSES)[number];

/** HMAC-SHA-256 keys: profile witness UUIDs, the fingerprint over applied versions, console sessions. */
export const MAC_PURPOSES = ['witness', 'fingerprint', 'session'] as const;
export type MacPurpose = (typeof MAC_PURPOSES)[number];

export const IDENTITY_PURPOSES = ['identity_ca', 'scep_ra', 'profile_signing_root', 'profile_signing'] as const;
export type IdentityPurpose = (typeof IDENTITY_PURPOSES)[number];

/** Certificates of the demo only; a real installation brings its own. */
export type TlsPurpose = 'tls_ca' | 'tls';

export interface CertificateTemplate {
  /** Follows the organisation in the CN. */
  readonly name: string;
  /** Undefined: signs itself. */
  readonly issuer: IdentityPurpose | TlsPurpose | undefined;
  readonly key: 'rsa' | 'ec';
  readonly validDays: number;
  readonly keyUsage: readonly KeyUsage[];
  readonly extendedKeyUsage?: readonly string[];
}

const YEARS = 365;
const CA_USAGE: readonly KeyUsage[] = ['keyCertSign', 'cRLSign'];

/**
 * RSA wherever a Mac's SCEP or CMS code reads the key (SCE-04); P-256 for the demo's TLS. TLS leaves stay below the 825
 * days a Mac accepts (HT210176). The RA's extended usage (RFC 6402 id-kp-cmcRA) keeps it from passing as a device.
 */
export const TEMPLATES: Readonly<Record<IdentityPurpose | TlsPurpose, CertificateTemplate>> = {
  identity_ca: { name: 'Device Identity CA', issuer: undefined, key: 'rsa', validDays: 20 * YEARS, keyUsage: CA_USAGE },
  scep_ra: {
    name: 'SCEP RA',
    issuer: 'identity_ca',
    key: 'rsa',
    validDays: 10 * YEARS,
    keyUsage: ['digitalSignature', 'keyEncipherment'],
    extendedKeyUsage: ['1.3.6.1.5.5.7.3.28'],
  },
  profile_signing_root: {
    name: 'Profile Signing Root',
    issuer: undefined,
    key: 'rsa',
    validDays: 20 * YEARS,
    keyUsage: CA_USAGE,
  },
  profile_signing: {
    name: 'Profile Signing',
    issuer: 'profile_signing_root',
    key: 'rsa',
    validDays: 10 * YEARS,
    keyUsage: ['digitalSignature'],
    extendedKeyUsage: [OID.emailProtection],
  },
  tls_ca: { name: 'Demo TLS CA', issuer: undefined, key: 'ec', validDays: 10 * YEARS, keyUsage: CA_USAGE },
  tls: {
    name: 'Demo TLS',
    issuer: 'tls_ca',
    key: 'ec',
    validDays: 397,
    keyUsage: ['digitalSignature'],
    extendedKeyUsage: [OID.serverAuth],
  },
};

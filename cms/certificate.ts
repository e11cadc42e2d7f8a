import { hash, type KeyObject } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import {
  type Asn1Element,
  type Asn1Limits,
  bitStringOctets,
  Fields,
  integerOctets,
  readAsn1,
  smallInteger,
  TAG,
  time,
} from './asn1.ts';
import {
  type Extension,
  type KeyUsage,
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtendedKeyUsage,
  readExtensions,
  readKeyIdentifier,
  readKeyUsage,
  readSubjectAltName,
  type SubjectAltName,
} from './certificate-extensions.ts';
import { type Name, readName } from './names.ts';
import { OID } from './oids.ts';
import { readPublicKey } from './public-key.ts';

/** Apple's attestation certificates, the largest met, stay below 2 KB; RSA-8192 with 256 names below 16 KB. */
const MAX_CERTIFICATE_BYTES = 64 * 1024;
const MAX_CERTIFICATE_NODES = 4_000;

export interface Certificate {
  readonly der: Buffer;
  /** SHA-256 of `der` in lower-case hex: the certificate's identity everywhere in this server. */
  readonly sha256: string;
  /** The serial number's octets as encoded, in lower-case hex. */
  readonly serial: string;
  readonly issuer: Name;
  readonly subject: Name;
  readonly issuerDer: Buffer;
  readonly subjectDer: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly spkiDer: Buffer;
  readonly isCa: boolean;
  readonly pathLength: number | undefined;
  /** Undefined when the extension is absent, which permits every usage. */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined;
  readonly extendedKeyUsage: readonly string[];
  readonly subjectKeyId: Buffer | undefined;
  readonly authorityKeyId: Buffer | undefined;
  readonly subjectAltName: SubjectAltName;
  readonly extensions: ReadonlyMap<string, Extension>;
  readonly tbsDer: Buffer;
  /** The signatureAlgorithm's AlgorithmIdentifier. */
  readonly signatureAlgorithm: Asn1Element;
  readonly signature: Buffer;
  /** Made at first use and kept: it is most of a certificate's cost. */
  publicKey(): KeyObject;
}

const NO_NAMES: SubjectAltName = { dns: [], uri: [], ip: [], email: [] };
const NO_EXTENSIONS: ReadonlyMap<string, Extension> = new Map();

export const sha256Hex = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex');

export function parseCertificate(
  bytes: Uint8Array,
  limits: Asn1Limits = { maxNodes: MAX_CERTIFICATE_NODES },
): Certificate {
  if (bytes.length > MAX_CERTIFICATE_BYTES) throw new EspalierError('certificate_malformed', 'certificate too large');
  // A copy of its own, not from node's pool: a cached certificate would keep a request body or an 8 KB slab alive.
  const der = Buffer.allocUnsafeSlow(bytes.length);
  der.set(bytes);
  const outer = new Fields(readAsn1(der, limits), TAG.sequence, 'certificate_malformed', 'Certificate');
  const tbs = outer.next(TAG.sequence);
  const signatureAlgorithm = outer.next(TAG.sequence);
  const signature = bitStringOctets(outer.next());
  outer.end();

  const fields = new Fields(tbs, TAG.sequence, 'certificate_malformed', 'TBSCertificate');
  const version = fields.optional(0xa0);
  const serial = integerOctets(fields.next(TAG.integer));
  const innerAlgorithm = fields.next(TAG.sequence);
  const issuer = fields.next(TAG.sequence);
  const validity = new Fields(fields.next(), TAG.sequence, 'certificate_malformed', 'Validity');
  const notBefore = time(validity.next());
  const notAfter = time(validity.next());
  validity.end();
  const subject = fields.next(TAG.sequence);
  const spkiDer = fields.next(TAG.sequence).raw;
  fields.optional(0x81);
  fields.optional(0x82);
  const extensionsField = fields.optional(0xa3);
  fields.end();

  if (version !== undefined && smallInteger(version.only) > 2) {
    throw new EspalierError('certificate_malformed', 'unknown certificate version');
  }
  // RFC 5280 4.1.1.2: both must be the same, or the unsigned one could be swapped for another.
  if (!innerAlgorithm.raw.equals(signatureAlgorithm.raw)) {
    throw new EspalierError('certificate_malformed', 'two different signature algorithms');
  }
  const extensions = extensionsField === undefined ? NO_EXTENSIONS : readExtensions(extensionsField.only);
  const value = <T>(oid: string, read: (value: Buffer) => T): T | undefined => {
    const found = extensions.get(oid);
    return found === undefined ? undefined : read(found.value);
  };
  const constraints = value(OID.basicConstraints, readBasicConstraints);
  let publicKey: KeyObject | undefined;

  return {
    der,
    sha256: sha256Hex(der),
    serial: serial.toString('hex'),
    issuer: readName(issuer),
    subject: readName(subject),
    issuerDer: issuer.raw,
    subjectDer: subject.raw,
    notBefore,
    notAfter,
    spkiDer,
    isCa: constraints?.isCa ?? false,
    pathLength: constraints?.pathLength,
    keyUsage: value(OID.keyUsage, readKeyUsage),
    extendedKeyUsage: value(OID.extendedKeyUsage, readExtendedKeyUsage) ?? [],
    subjectKeyId: value(OID.subjectKeyIdentifier, readKeyIdentifier),
    authorityKeyId: value(OID.authorityKeyIdentifier, readAuthorityKeyIdentifier),
    subjectAltName: value(OID.subjectAltName, readSubjectAltName) ?? NO_NAMES,
    extensions,
    tbsDer: tbs.raw,
    signatureAlgorithm,
    signature,
    publicKey: () => {
      publicKey ??= readPublicKey(spkiDer, 'certificate_malformed');
      return publicKey;
    },
  };
}

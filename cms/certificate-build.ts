import { createHash, type KeyObject } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import { bitStringOctets, Fields, readAsn1, TAG } from './asn1.ts';
import { type CertificateExtensions, encodeTbsExtensions } from './certificate-extensions.ts';
import { bitString, explicit, int, seq, time } from './der.ts';
import { encodeName, type Name } from './names.ts';
import {
  type SignatureAlgorithmName,
  signatureAlgorithmDer,
  signatureAlgorithmFor,
  signSha256,
} from './signature-algorithm.ts';

/** RFC 5280 4.1.2.2 allows at most 20 octets, sign bit clear. */
const MAX_SERIAL_OCTETS = 20;

export interface TbsCertificateInput {
  /** Unsigned, big-endian, not zero. */
  readonly serial: Uint8Array;
  /** The issuer's subject exactly as in its certificate: names are matched by their octets. */
  readonly issuer: Uint8Array;
  readonly subject: Name;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly spkiDer: Uint8Array;
  readonly extensions: CertificateExtensions;
  readonly signatureAlgorithm: SignatureAlgorithmName;
}

export function buildTbsCertificate(input: TbsCertificateInput): Buffer {
  const serial = int(input.serial);
  if (serial.length - 2 > MAX_SERIAL_OCTETS || input.serial.every((octet) => octet === 0)) {
    throw new EspalierError('certificate_malformed', 'serial number must be positive and fit 20 octets');
  }
  if (input.notAfter < input.notBefore)
    throw new EspalierError('certificate_malformed', 'validity ends before it starts');
  return seq(
    explicit(0, int(2)),
    serial,
    signatureAlgorithmDer(input.signatureAlgorithm),
    input.issuer,
    seq(time(input.notBefore), time(input.notAfter)),
    encodeName(input.subject),
    input.spkiDer,
    ...encodeTbsExtensions(input.extensions),
  );
}

/** For signatures made elsewhere: a thread, a token, another process. */
export function assembleCertificate(tbs: Uint8Array, algorithm: SignatureAlgorithmName, signature: Uint8Array): Buffer {
  return seq(tbs, signatureAlgorithmDer(algorithm), bitString(signature));
}

export function signCertificate(tbs: Uint8Array, key: KeyObject): Buffer {
  const algorithm = signatureAlgorithmFor(key);
  const fields = new Fields(readAsn1(tbs), TAG.sequence, 'certificate_malformed', 'TBSCertificate');
  fields.next(0xa0);
  fields.next(TAG.integer);
  if (!fields.next(TAG.sequence).raw.equals(signatureAlgorithmDer(algorithm))) {
    throw new EspalierError('certificate_malformed', `the certificate to be signed does not name ${algorithm}`);
  }
  return assembleCertificate(tbs, algorithm, signSha256(tbs, key));
}

/** RFC 5280 4.2.1.2 method (1): SHA-1 of the public key's bits. A name, not a protection. */
export function keyIdentifier(spkiDer: Uint8Array): Buffer {
  const fields = new Fields(readAsn1(spkiDer), TAG.sequence, 'certificate_malformed', 'SubjectPublicKeyInfo');
  fields.next(TAG.sequence);
  const bits = bitStringOctets(fields.next(TAG.bitString));
  fields.end();
  return createHash('sha1').update(bits).digest();
}

import { type Name, nameToString } from '../cms/names.ts';
import { OID } from '../cms/oids.ts';
import { buildTbsCertificate, type Certificate, keyIdentifier, type SignatureAlgorithmName } from '../cms/x509.ts';
import { EspalierError } from '../core/errors.ts';
import type { Authorised } from './authorise.ts';
import type { Intent } from './types.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Device clocks lag (SCE-10). */
const BACKDATE_MS = HOUR_MS;
const VALIDITY_MS = 365 * DAY_MS;

/** 128 bits (SCE-10, B6). */
export const SERIAL_RANDOM_OCTETS = 16;

export interface TemplateInput {
  readonly now: Date;
  /** Exactly `SERIAL_RANDOM_OCTETS` unpredictable octets. */
  readonly serialRandom: Buffer;
  readonly issuer: Certificate;
  readonly signatureAlgorithm: SignatureAlgorithmName;
  /** O of the subject; not empty: a Mac refuses an identity without CN and O. */
  readonly organization: string;
}

/** What will be signed. All of it is from our records but the public key (SCE-08; VU#971035). */
export function certificateIntent(authorised: Authorised, input: TemplateInput): Intent {
  const { request, challenge } = authorised;
  const notBefore = wholeSeconds(input.now.getTime() - BACKDATE_MS);
  // A leaf that outlives its issuer stops verifying before it says so.
  const notAfter = wholeSeconds(Math.min(input.now.getTime() + VALIDITY_MS, input.issuer.notAfter.getTime()));
  if (notAfter <= input.now) {
    throw new EspalierError('service_unavailable', 'the certificate of the device-identity CA has expired');
  }
  const subject: Name = [
    { type: 'O', value: input.organization },
    { type: 'CN', value: challenge.serialNumber ?? challenge.id },
  ];
  // The leading 01 keeps the INTEGER positive and its length the same for every draw.
  const serial = Buffer.concat([Buffer.from([1]), input.serialRandom]);
  const tbs = buildTbsCertificate({
    serial,
    issuer: input.issuer.subjectDer,
    subject,
    notBefore,
    notAfter,
    spkiDer: request.spkiDer,
    signatureAlgorithm: input.signatureAlgorithm,
    extensions: {
      isCa: false,
      keyUsage: ['digitalSignature', 'keyEncipherment'],
      extendedKeyUsage: [OID.clientAuth],
      subjectKeyId: keyIdentifier(request.spkiDer),
      authorityKeyId: input.issuer.subjectKeyId ?? keyIdentifier(input.issuer.spkiDer),
    },
  });
  return {
    serial,
    tbs,
    challengeId: challenge.id,
    transactionId: request.transactionId,
    publicKeySha256: request.publicKeySha256,
    subject: nameToString(subject),
    notBefore,
    notAfter,
    intendedAt: input.now,
  };
}

function wholeSeconds(milliseconds: number): Date {
  return new Date(Math.floor(milliseconds / 1000) * 1000);
}

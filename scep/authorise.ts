import {
  type ChallengeRecord,
  MESSAGE_TYPE,
  type Refusal,
  type SignerIdentity,
  type StoredCertificate,
} from './types.ts';

/** SCE-11. */
const LEAST_RSA_BITS = 2048;

/** What a device asks, reduced to what the decision needs. */
export interface CertificateRequest {
  readonly messageType: number;
  readonly transactionId: string;
  readonly publicKey: { readonly kind: string | undefined; readonly bits: number };
  readonly spkiDer: Buffer;
  readonly publicKeySha256: Buffer;
  /** Whether the key that signed the message is the key in the request (SCE-05). */
  readonly signedByRequestKey: boolean;
}

/** What the database knows about it. Undefined: no such row. */
export interface Evidence {
  readonly challenge: ChallengeRecord | undefined;
  /** The certificate this challenge was spent on. */
  readonly certificate: StoredCertificate | undefined;
  /** The certificate of ours that signed the message in place of the request's own key. */
  readonly signer: SignerIdentity | undefined;
}

declare const granted: unique symbol;

/**
 * Proof that `authorise` said yes; the signer takes nothing else (CVE-2025-44005, CVE-2026-30836 at step-ca). The symbol
 * is not exported, so no other file can write one down.
 */
export interface Authorised {
  readonly [granted]: true;
  readonly request: CertificateRequest;
  readonly challenge: ChallengeRecord;
}

const everyGranted = new WeakSet<object>();

function grant(request: CertificateRequest, challenge: ChallengeRecord): Authorised {
  const authorised = Object.freeze({ request, challenge }) as Authorised;
  everyGranted.add(authorised);
  return authorised;
}

/** For the signer: a cast can fool the compiler, not this. */
export const isAuthorised = (value: object): boolean => everyGranted.has(value);

export type Decision =
  | { readonly kind: 'issue'; readonly authorised: Authorised }
  /** SCE-09: the same request again; finish or repeat what was begun. */
  | { readonly kind: 'replay'; readonly authorised: Authorised; readonly certificate: StoredCertificate }
  | ({ readonly kind: 'refuse' } & Refusal);

function refuse(failInfo: Refusal['failInfo'], reason: string): Decision {
  return { kind: 'refuse', failInfo, reason };
}

/** Whether this request gets a certificate. Pure; the only place that can say yes. */
export function authorise(request: CertificateRequest, evidence: Evidence, now: Date): Decision {
  switch (request.messageType) {
    case MESSAGE_TYPE.PKCSReq:
    // macOS sends PKCSReq for a renewal too, so the type says nothing about which it is (SCE-14).
    case MESSAGE_TYPE.RenewalReq:
      return decide(request, evidence, now);
    case MESSAGE_TYPE.CertPoll:
      return refuse('badCertId', 'CertPoll: nothing is ever pending here');
    case MESSAGE_TYPE.GetCert:
    case MESSAGE_TYPE.GetCRL:
      return refuse('badRequest', 'GetCert and GetCRL are not served');
    default:
      return refuse('badRequest', `messageType ${request.messageType} is no request for a certificate`);
  }
}

function decide(request: CertificateRequest, { challenge, certificate, signer }: Evidence, now: Date): Decision {
  const { kind, bits } = request.publicKey;
  // The answer is encrypted to this key, and that takes RSA (SCE-04).
  if (kind !== 'rsa' || bits < LEAST_RSA_BITS) {
    return refuse('badAlg', `the key is not RSA of ${LEAST_RSA_BITS} bits or more`);
  }
  if (challenge === undefined) return refuse('badRequest', 'no challenge, or one we did not make');
  const refusal = request.signedByRequestKey ? undefined : refuseRenewal(challenge, signer, now);
  if (refusal !== undefined) return refuse('badRequest', refusal);

  if (challenge.consumedAt !== undefined) return decideSpent(request, challenge, certificate, now);
  if (challenge.expiresAt <= now) return refuse('badRequest', 'the challenge has expired');
  if (challenge.link !== undefined && challenge.link.uses >= challenge.link.usesAllowed) {
    return refuse('badRequest', 'the enrolment link has been used up');
  }
  return { kind: 'issue', authorised: grant(request, challenge) };
}

/** A challenge that was spent gives its own certificate to its own key again, and nothing to any other. */
function decideSpent(
  request: CertificateRequest,
  challenge: ChallengeRecord,
  certificate: StoredCertificate | undefined,
  now: Date,
): Decision {
  const isSameRequest =
    certificate !== undefined &&
    certificate.transactionId === request.transactionId &&
    certificate.publicKeySha256.equals(request.publicKeySha256);
  if (!isSameRequest) return refuse('badRequest', 'the challenge has been used');
  if (certificate.revokedAt !== undefined) return refuse('badRequest', 'its certificate has been revoked');
  if (certificate.notAfter <= now) return refuse('badRequest', 'its certificate has expired');
  return { kind: 'replay', authorised: grant(request, challenge), certificate };
}

/**
 * Another key than the request's own may sign only as the identity that the challenge was made to renew.
 * The reason to refuse, or undefined.
 */
function refuseRenewal(challenge: ChallengeRecord, signer: SignerIdentity | undefined, now: Date): string | undefined {
  if (signer === undefined) return 'signed by neither the key in the request nor a certificate of ours';
  if (signer.revokedAt !== undefined) return 'signed by a revoked certificate';
  if (signer.notAfter <= now) return 'signed by an expired certificate';
  if (challenge.renews === undefined) return 'signed by a certificate of ours, but the challenge renews no enrolment';
  if (challenge.renews !== signer.enrollment) return 'the challenge renews another enrolment than the signer’s';
  return undefined;
}

import type { EnrollmentRef } from '../core/enrollment.ts';

/** RFC 8894 3.2.1.2. */
export const MESSAGE_TYPE = {
  CertRep: 3,
  RenewalReq: 17,
  PKCSReq: 19,
  CertPoll: 20,
  GetCert: 21,
  GetCRL: 22,
} as const;

/** RFC 8894 3.2.1.4. */
export const FAIL_INFO = { badAlg: 0, badMessageCheck: 1, badRequest: 2, badTime: 3, badCertId: 4 } as const;
export type FailInfo = keyof typeof FAIL_INFO;

/** Why a request gets no certificate. `reason` is for our log; the device only hears the failInfo. */
export interface Refusal {
  readonly failInfo: FailInfo;
  readonly reason: string;
}

/** What a row of `scep_challenge` says, with the state of the link it was minted from. */
export interface ChallengeRecord {
  readonly id: string;
  readonly link: { readonly id: string; readonly uses: number; readonly usesAllowed: number } | undefined;
  /** The live enrolment this challenge renews; undefined where it starts one. */
  readonly renews: EnrollmentRef | undefined;
  /** The serial number an admin wrote into the link. */
  readonly serialNumber: string | undefined;
  readonly expiresAt: Date;
  readonly consumedAt: Date | undefined;
}

/** A row of `certificate`: `der` is undefined between the intent and the signature. */
export interface StoredCertificate {
  readonly serial: Buffer;
  readonly tbs: Buffer;
  readonly der: Buffer | undefined;
  readonly transactionId: string;
  readonly publicKeySha256: Buffer;
  readonly notAfter: Date;
  readonly revokedAt: Date | undefined;
}

/** A certificate we issued that signed a request in place of the request's own key. */
export interface SignerIdentity {
  readonly enrollment: EnrollmentRef | undefined;
  readonly notAfter: Date;
  readonly revokedAt: Date | undefined;
}

/** What is about to be signed, written down first. */
export interface Intent {
  readonly serial: Buffer;
  readonly tbs: Buffer;
  readonly challengeId: string;
  readonly transactionId: string;
  readonly publicKeySha256: Buffer;
  /** RFC 4514 form, for showing. */
  readonly subject: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly intendedAt: Date;
}

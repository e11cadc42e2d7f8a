import type { ErrorCode } from '../core/errors.ts';
import type { EnrollmentRecord, Known } from './types.ts';

export type Standing =
  | { readonly kind: 'proven'; readonly device: EnrollmentRecord; readonly promote: boolean }
  | { readonly kind: 'first_use' }
  | { readonly kind: 'quarantined' }
  | Refusal;

export interface Refusal {
  readonly kind: 'refuse';
  readonly code: ErrorCode;
  readonly detail: string;
}

/** Does this certificate speak for the device the message names? (R21, S6, SIG-03) */
export function standingOf({ certificate, validity, device }: Known): Standing {
  if (certificate === undefined) return refuse('mdm_identity_untrusted', 'the certificate is not on record');
  if (certificate.revoked) return refuse('mdm_identity_untrusted', 'the certificate has been revoked');
  const { pinnedTo } = certificate;
  switch (certificate.standing) {
    case 'quarantined':
      return { kind: 'quarantined' };
    case 'superseded':
      return refuse('mdm_identity_mismatch', 'a newer certificate has taken the place of this one');
    case 'current':
    case 'unbound':
      if (pinnedTo !== undefined) {
        return device?.ref === pinnedTo
          ? { kind: 'proven', device, promote: certificate.standing === 'unbound' }
          : refuse('mdm_identity_mismatch', 'the certificate is pinned to another device');
      }
      // An expired identity is kept alive for the enrolment it is pinned to, never let in as a new one (SIG-07).
      return validity === 'valid'
        ? { kind: 'first_use' }
        : refuse('mdm_identity_untrusted', 'the certificate is outside its validity and pinned to no device');
  }
}

export function refuse(code: ErrorCode, detail: string): Refusal {
  return { kind: 'refuse', code, detail };
}

import { buildSignedData } from '../cms/signed-data.ts';
import type { Clock, Ids } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import type { SigningIdentity } from '../keys/types.ts';
import {
  buildEnrollmentProfile,
  type EnrollmentSettings,
  frozenKeys,
  type ProfileCertificate,
} from './enrollment-profile.ts';
import type { FrozenKeys } from './types.ts';

export interface EnrollDeps extends Omit<EnrollmentSettings, 'topic'> {
  /** One challenge for one profile. Errors: enroll_code_invalid, enroll_code_exhausted. */
  mintChallenge(code: string, frozen: FrozenKeys): Promise<{ readonly challenge: Secret<string> }>;
  /** The topic new Macs enrol with; undefined while there is no push certificate. */
  pushTopic(): Promise<string | undefined>;
  /** The profile-signing identity; its root travels in the profile, so that the Mac shows Verified ever after. */
  readonly signer: SigningIdentity;
  /** Roots a Mac needs for this server's TLS; empty where its leaf chains to a public root. */
  tlsRoots(): readonly ProfileCertificate[];
  /** DER of the CA that issues device identities. */
  readonly identityAuthority: Buffer;
  readonly ids: Ids;
  readonly clock: Clock;
}

export interface EnrollmentProfileAnswer {
  readonly contentType: 'application/x-apple-aspen-config';
  readonly body: Buffer;
}

/**
 * The signed profile behind an enrolment link.
 * Errors: push_certificate_missing, enroll_code_invalid, enroll_code_exhausted, profile_invalid.
 */
export function createEnroll(deps: EnrollDeps): (code: string) => Promise<EnrollmentProfileAnswer> {
  const { signer } = deps;
  return async (code) => {
    const topic = await deps.pushTopic();
    if (topic === undefined) {
      throw new EspalierError('push_certificate_missing', 'A Mac that enrols now could never be woken', {
        fix: 'Upload an MDM push certificate first; its topic is written into every enrolment profile.',
      });
    }
    const settings = { ...deps, topic };
    const { challenge } = await deps.mintChallenge(code, frozenKeys(settings));
    const signingRoot = {
      name: `${deps.organization} profile signing`,
      der: signer.chain.at(-1) ?? signer.certificate,
    };
    const content = buildEnrollmentProfile({
      ...settings,
      roots: distinct([...deps.tlsRoots(), signingRoot]),
      challenge,
      identityUuid: deps.ids.uuid().toUpperCase(),
    });
    return {
      contentType: 'application/x-apple-aspen-config',
      body: buildSignedData({
        content,
        signer: { certificateDer: signer.certificate, key: signer.key },
        certificates: signer.chain,
        signingTime: deps.clock.now(),
      }),
    };
  };
}

function distinct(roots: readonly ProfileCertificate[]): readonly ProfileCertificate[] {
  return roots.filter((root, index) => roots.findIndex((other) => other.der.equals(root.der)) === index);
}

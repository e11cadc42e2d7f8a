import { createHash } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import { writePlistBytes } from '../plist/write.ts';
import type { FrozenKeys } from './types.ts';

/**
 * The enrolment profile, final from the first commit: a Mac refuses an update in which one frozen key differs, and the
 * way out is to enrol it again (apple-protocol §3.2, ENR-03, ENR-04).
 */
export interface EnrollmentSettings {
  /** https origin, without a path or with one that will stay for ever. */
  readonly publicUrl: string;
  /** Of the push certificate: `com.apple.mgmt.…`. */
  readonly topic: string;
  /** Shown on the Mac, and the O of the device's certificate. */
  readonly organization: string;
  readonly displayName: string;
}

export interface ProfileCertificate {
  /** Shown in System Settings. */
  readonly name: string;
  /** DER. */
  readonly der: Buffer;
}

export interface EnrollmentProfileInput extends EnrollmentSettings {
  /** Roots the Mac needs for this server's TLS (none where they are Apple's) and for our profile signatures. */
  readonly roots: readonly ProfileCertificate[];
  /** DER of the CA that issues device identities. */
  readonly identityAuthority: Buffer;
  readonly challenge: Secret<string>;
  /** New for every profile: a Mac makes a new identity when the PayloadUUID of the SCEP payload is a new one (ENR-06). */
  readonly identityUuid: string;
}

/** PayloadIdentifiers are the same for ever: an update finds the installed profile by them. */
export const ENROLLMENT_PROFILE_IDENTIFIER = 'org.espalier.enrollment';
const ID = {
  mdm: `${ENROLLMENT_PROFILE_IDENTIFIER}.mdm`,
  scep: `${ENROLLMENT_PROFILE_IDENTIFIER}.identity`,
  root: `${ENROLLMENT_PROFILE_IDENTIFIER}.root`,
} as const;

/** Every right: none can be added later without enrolling again (ENR-03). */
const ALL_ACCESS_RIGHTS = 8191;
const SERVER_CAPABILITIES = ['com.apple.mdm.per-user-connections', 'com.apple.mdm.bootstraptoken'];

export function frozenKeys(settings: EnrollmentSettings): FrozenKeys {
  return {
    ServerURL: `${settings.publicUrl}/mdm`,
    CheckInURL: `${settings.publicUrl}/checkin`,
    Topic: settings.topic,
    AccessRights: ALL_ACCESS_RIGHTS,
    ServerCapabilities: SERVER_CAPABILITIES,
    PayloadIdentifier: ENROLLMENT_PROFILE_IDENTIFIER,
  };
}

/** The unsigned profile. Errors: profile_invalid where a Mac would refuse it or the fleet would regret it. */
export function buildEnrollmentProfile(input: EnrollmentProfileInput): Buffer {
  const frozen = frozenKeys(input);
  const roots = input.roots.map((root) => {
    const fingerprint = createHash('sha256').update(root.der).digest();
    return {
      PayloadType: 'com.apple.security.root',
      PayloadVersion: 1,
      PayloadIdentifier: `${ID.root}.${fingerprint.toString('hex', 0, 8)}`,
      PayloadUUID: uuidFrom('root', fingerprint),
      PayloadDisplayName: root.name,
      PayloadContent: root.der,
    };
  });
  const scep = {
    PayloadType: 'com.apple.security.scep',
    PayloadVersion: 1,
    PayloadIdentifier: ID.scep,
    PayloadUUID: input.identityUuid,
    PayloadDisplayName: 'Device identity',
    PayloadContent: {
      URL: `${input.publicUrl}/scep`,
      Name: 'Espalier',
      // What the Mac asks for; what it gets is written by the server's own template (SCE-08).
      Subject: [[['O', input.organization]], [['CN', 'Espalier device identity']]],
      Challenge: input.challenge.reveal(),
      Keysize: 2048,
      'Key Type': 'RSA',
      'Key Usage': 5,
      KeyIsExtractable: false,
      // SHA-1 or MD5 are what Apple documents here; SHA-256 is not among them. TLS is what protects the exchange.
      CAFingerprint: createHash('sha1').update(input.identityAuthority).digest(),
      Retries: 3,
      RetryDelay: 10,
    },
  };
  const { PayloadIdentifier, ...mdmKeys } = frozen;
  const mdm = {
    PayloadType: 'com.apple.mdm',
    PayloadVersion: 1,
    PayloadIdentifier: ID.mdm,
    PayloadUUID: uuidFrom('mdm', frozen.ServerURL, frozen.Topic),
    PayloadDisplayName: 'Device management',
    IdentityCertificateUUID: input.identityUuid,
    ...mdmKeys,
    SignMessage: true,
    CheckOutWhenRemoved: true,
  };
  const profile = {
    PayloadType: 'Configuration',
    PayloadVersion: 1,
    PayloadIdentifier,
    PayloadUUID: uuidFrom('profile', input.identityUuid),
    PayloadDisplayName: input.displayName,
    PayloadDescription: `Enrols this Mac with ${input.organization}.`,
    PayloadOrganization: input.organization,
    PayloadContent: [...roots, scep, mdm],
  };
  refuseFaults(input, [...roots, scep, mdm], mdm);
  return writePlistBytes(profile);
}

/** UUID version 8 (RFC 9562 §5.8): the same input, the same UUID, so that a profile built twice is the same profile. */
function uuidFrom(...parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  const bytes = hash.digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
    .toUpperCase();
}

export interface MdmPayloadKeys {
  readonly IdentityCertificateUUID: string;
  readonly AccessRights: number;
  readonly ServerURL: string;
  readonly CheckInURL: string;
  readonly Topic: string;
}

function refuseFaults(
  input: EnrollmentProfileInput,
  payloads: readonly { readonly PayloadUUID: string; readonly PayloadIdentifier: string }[],
  mdm: MdmPayloadKeys,
): void {
  const fault = mdmFault(mdm, new Set(payloads.map((payload) => payload.PayloadUUID)));
  if (fault !== undefined) throw invalid(fault);
  for (const key of ['PayloadUUID', 'PayloadIdentifier'] as const) {
    if (new Set(payloads.map((payload) => payload[key])).size !== payloads.length)
      throw invalid(`a ${key} stands twice`);
  }
  if (input.publicUrl.includes('?') || input.publicUrl.endsWith('/')) {
    throw invalid('the public URL must have no query and no trailing slash: the SCEP client appends its own query');
  }
  if (input.organization.trim() === '') throw invalid('the organisation is empty: a Mac refuses an identity without O');
  if (input.challenge.reveal() === '') throw invalid('the challenge is empty');
}

/** What is wrong with an MDM payload, or undefined (ENR-01, ENR-02, §3.2). */
export function mdmFault(mdm: MdmPayloadKeys, uuids: ReadonlySet<string>): string | undefined {
  const rights = mdm.AccessRights;
  if (!Number.isInteger(rights) || rights < 1 || rights > ALL_ACCESS_RIGHTS) return 'AccessRights must be 1 to 8191';
  if ((rights & 2) !== 0 && (rights & 1) === 0) return 'AccessRights 2 (install profiles) needs 1 (inspect)';
  if ((rights & 128) !== 0 && (rights & 64) === 0) return 'AccessRights 128 (install provisioning) needs 64 (inspect)';
  if (!uuids.has(mdm.IdentityCertificateUUID)) return 'IdentityCertificateUUID names no payload of this profile';
  if (!mdm.ServerURL.startsWith('https://')) return 'ServerURL is not https';
  if (!mdm.CheckInURL.startsWith('https://')) return 'CheckInURL is not https';
  if (!mdm.Topic.startsWith('com.apple.mgmt.')) return 'Topic does not begin with com.apple.mgmt.';
  return undefined;
}

function invalid(detail: string): EspalierError {
  return new EspalierError('profile_invalid', `The enrolment profile cannot be built: ${detail}`);
}

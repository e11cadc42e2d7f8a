import type { Channel } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { PlistDict } from '../plist/types.ts';

/** Apple's word for the channel; an absent PayloadScope means System (apple-protocol §3.1). */
export type PayloadScope = 'System' | 'User';

/** `none` = the whole team. */
export type IncludeMode = 'none' | 'any' | 'all';

/** One element of PayloadContent. A field the upload lacks or mistypes is '' here and a finding in validate. */
export interface Payload {
  readonly index: number;
  readonly type: string;
  readonly identifier: string;
  readonly uuid: string;
  readonly content: PlistDict;
}

/** Who signed the upload. `verified` speaks of integrity only: the certificate's chain is the Mac's business. */
export interface Signature {
  readonly verified: boolean;
  readonly signer: SignerSummary | undefined;
}

export interface SignerSummary {
  readonly subject: string;
  readonly sha256: string;
  readonly notAfter: Date;
}

/** A configuration profile as uploaded, read leniently: what is wrong with it is `validate`'s to say. */
export interface Mobileconfig {
  /** What the property list is written in; a signed upload's is the one inside. */
  readonly format: 'xml' | 'binary';
  /** The bytes as they came. */
  readonly original: Buffer;
  /** The property list: the same bytes, or what a signature held. */
  readonly plist: Buffer;
  readonly root: PlistDict;
  readonly identifier: string;
  readonly uuid: string;
  /** PayloadDisplayName on one line of bounded length, else the identifier: it is optional to Apple and what people read. */
  readonly displayName: string;
  readonly scope: PayloadScope;
  readonly payloads: readonly Payload[];
  readonly signed: Signature | undefined;
}

export const FINDING_CODES = [
  // errors: the upload is refused
  'missing_key',
  'wrong_type',
  'not_a_configuration',
  'payload_version_unsupported',
  'identifier_malformed',
  'identifier_reserved',
  'duplicate_identifier',
  'duplicate_uuid',
  'scope_invalid',
  'payload_type_forbidden',
  'payload_channel_forbidden',
  'enrollment_scep',
  'encrypted_content',
  'empty_content',
  'variable_unsupported',
  // warnings: it is taken, and the answer says so
  'binary_plist',
  'uuid_malformed',
  'removes_itself',
  'not_for_mac',
  'witness_shared',
  'other_channel',
] as const;

export type FindingCode = (typeof FINDING_CODES)[number];

/** One thing that is wrong with an upload, and where. */
export interface Finding {
  readonly code: FindingCode;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** `PayloadContent[2].PayloadUUID`. */
  readonly path: string;
  readonly payloadIndex?: number;
  readonly key?: string;
}

/** `profile_invalid`, carrying every finding and not just the first: people fix all of them in one go. */
export class ProfileInvalidError extends EspalierError {
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    const errors = findings.filter((finding) => finding.severity === 'error');
    const first = errors[0];
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    super('profile_invalid', `${first?.message ?? 'The profile is invalid'}${more}`, {
      ...(first === undefined || first.path === '' ? {} : { place: { path: first.path } }),
    });
    this.name = 'ProfileInvalidError';
    this.findings = findings;
  }
}

export interface LabelRef {
  readonly id: number;
  readonly name: string;
}

/** Which hosts of the team should have it. */
export interface Targets {
  readonly includeMode: IncludeMode;
  readonly includeLabels: readonly LabelRef[];
  readonly excludeLabels: readonly LabelRef[];
  /** Inclusive, `14` or `14.2.1`. */
  readonly minOs: string | undefined;
  /** Inclusive: `14` holds all of 14.x. */
  readonly maxOs: string | undefined;
}

/** One content of one profile; an edit is another version and never a change of this one. */
export interface ProfileVersion {
  readonly id: number;
  /** Lower-case hex. */
  readonly contentSha256: string;
  /** `rewritten`: our top-level UUID, our signature. `verbatim`: the admin's signed bytes, untouched. */
  readonly delivery: 'rewritten' | 'verbatim';
  /** The top-level PayloadUUID a Mac reports when it holds this version. */
  readonly witnessUuid: string;
  readonly displayName: string;
  /** Bytes of the upload. */
  readonly size: number;
  readonly createdAt: Date;
}

export interface Profile extends Targets {
  readonly id: number;
  readonly teamId: number;
  readonly slotId: number;
  readonly channel: Channel;
  readonly identifier: string;
  readonly name: string;
  readonly version: ProfileVersion;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface ProfileWithVersions extends Profile {
  /** Newest first. */
  readonly versions: readonly ProfileVersion[];
}

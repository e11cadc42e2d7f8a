import type { Channel } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { LinePlace, PlistPath } from '../plist/locate.ts';
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

/** A payload as the other profiles of its team are compared with it. */
export interface PayloadSummary {
  readonly index: number;
  readonly type: string;
  readonly identifier: string;
  readonly uuid: string;
  /** Equal where the settings are: lower-case hex. */
  readonly settings: string;
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
  // errors, and warnings where a Mac makes do (`payload-keys.ts`)
  'payload_key_missing',
  'payload_key_wrong_type',
  // errors of an entry of a whole set
  'unreadable',
  'targets_invalid',
  'label_not_found',
  'duplicate_entry',
  // warnings: it is taken, and the answer says so
  'binary_plist',
  'uuid_malformed',
  'removes_itself',
  'not_for_mac',
  'payload_key_misspelt',
  'escrow_elsewhere',
  'signer_expired',
  'witness_shared',
  'display_name_shared',
  'exclusive_type_clash',
  'identifier_shared',
  'uuid_shared',
  'targets_widened',
] as const;

export type FindingCode = (typeof FINDING_CODES)[number];

/** The payload a finding is about. */
export interface FindingPayload {
  readonly index: number;
  /** '' where the payload does not say. */
  readonly type: string;
  readonly identifier: string;
}

/** One thing that is wrong with an upload, and where. */
export interface Finding {
  readonly code: FindingCode;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** `PayloadContent[2].PayloadUUID`, long keys cut. */
  readonly path: string;
  /** The same in parts. */
  readonly at: PlistPath;
  /** The last key of the path. */
  readonly key?: string;
  readonly payload?: FindingPayload;
  /** Where the path stands in the text, or its deepest part that does; absent where there is no text. */
  readonly place?: LinePlace;
}

/** What the lines of findings count in: the file, the property list a signature holds, or nothing (a binary list). */
export type LinesOf = 'file' | 'signed_content' | 'nothing';

/** `profile_invalid`, carrying every finding and not just the first: people fix all of them in one go. */
export class ProfileInvalidError extends EspalierError {
  readonly findings: readonly Finding[];
  readonly linesOf: LinesOf;

  constructor(findings: readonly Finding[], linesOf: LinesOf) {
    const errors = findings.filter((finding) => finding.severity === 'error');
    const first = errors[0];
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    super('profile_invalid', `${first?.message ?? 'The profile is invalid'}${more}`, {
      ...(first === undefined || first.path === '' ? {} : { place: { path: first.path, ...first.place } }),
    });
    this.name = 'ProfileInvalidError';
    this.findings = findings;
    this.linesOf = linesOf;
  }
}

/** What there is to say about one entry of a whole set. */
export interface EntryFindings {
  /** Position in the list. */
  readonly index: number;
  /** As the caller named it. */
  readonly file: string | undefined;
  readonly identifier: string | undefined;
  readonly linesOf: LinesOf;
  readonly findings: readonly Finding[];
}

/** `profile_invalid` for a whole set: the findings of all entries at once. */
export class ProfileSetInvalidError extends EspalierError {
  readonly entries: readonly EntryFindings[];

  constructor(entries: readonly EntryFindings[]) {
    const wrong = entries.filter(({ findings }) => findings.some(({ severity }) => severity === 'error'));
    const first = wrong[0];
    const name = first?.file ?? `entry ${first?.index ?? 0}`;
    const said = first?.findings.find(({ severity }) => severity === 'error')?.message ?? 'the set is invalid';
    const more = wrong.length > 1 ? ` (and ${wrong.length - 1} more entries)` : '';
    super('profile_invalid', `${name}: ${said}${more}; nothing was changed`);
    this.name = 'ProfileSetInvalidError';
    this.entries = entries;
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

/**
 * `rewritten`: our top-level UUID, our signature. `resigned`: the same for what a signed upload held. `verbatim`: the
 * admin's signed bytes, untouched.
 */
export type DeliveryKind = 'rewritten' | 'resigned' | 'verbatim';

/** One content of one profile; an edit is another version and never a change of this one. */
export interface ProfileVersion {
  readonly id: number;
  /** Lower-case hex. */
  readonly contentSha256: string;
  readonly delivery: DeliveryKind;
  /** Who signed the upload; undefined where nobody did. */
  readonly signer: SignerSummary | undefined;
  /** Who uploaded it, as the caller said. */
  readonly uploadedBy: string;
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
  /** Set where it is no longer wanted; it can be restored. */
  readonly deletedAt: Date | undefined;
  /** The channel it was on before its PayloadScope changed, and its profile there. */
  readonly movedFrom: { readonly channel: Channel; readonly profileId: number } | undefined;
}

export const CHANGE_KINDS = [
  'created',
  'updated',
  'moved',
  'edited',
  'version_restored',
  'deleted',
  'restored',
] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** One line of a profile's history. */
export interface ProfileChange {
  readonly at: Date;
  readonly by: string;
  readonly change: ChangeKind;
  /** The version that was current from then on. */
  readonly versionId: number;
}

export interface ProfileWithVersions extends Profile {
  /** Newest first. */
  readonly versions: readonly ProfileVersion[];
  /** Newest first, at most 100. */
  readonly changes: readonly ProfileChange[];
}

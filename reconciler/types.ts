import type { ErrorChainItem, OpRef } from '../core/effects.ts';
import type { Channel, EnrollmentRef } from '../core/enrollment.ts';

/** What can hold one thing at a time: Apple replaces by identifier within a channel (design §4). */
export interface Slot {
  readonly id: number;
  readonly kind: 'mdm' | 'ddm';
  readonly channel: Channel;
  readonly identifier: string;
}

/** `none` = the whole team; the other two read `includeLabelIds`. */
export type IncludeMode = 'none' | 'any' | 'all';

/** A live profile of a team and who should have it. */
export interface CatalogueProfile {
  readonly id: number;
  readonly teamId: number;
  readonly slotId: number;
  readonly name: string;
  readonly includeMode: IncludeMode;
  readonly includeLabelIds: readonly number[];
  readonly excludeLabelIds: readonly number[];
  /** Inclusive. `14` or `14.2.1`. */
  readonly minOs: string | undefined;
  /** Inclusive: `14` holds all of 14.x. */
  readonly maxOs: string | undefined;
  readonly versionId: number;
  /** PayloadTypes of that version. */
  readonly payloadTypes: readonly string[];
  readonly targetDeviceType: number | undefined;
  /** Where the profile was before its PayloadScope changed: first it goes there, then it comes here (design §4). */
  readonly movedFromSlotId: number | undefined;
}

/** One content of one profile, live or not: what a Mac reports must be recognised after a deletion too. */
export interface CatalogueVersion {
  readonly id: number;
  readonly profileId: number;
  readonly slotId: number;
  /** Top-level PayloadUUID in lower case. */
  readonly witness: string;
  /** The first version of this slot, in any team, with the same content and delivery; undefined where that is this one. */
  readonly sameAs?: number;
}

export interface CatalogueLabel {
  readonly id: number;
  readonly name: string;
  /** Known for a host only from `recon.label_epoch >= epoch` on; 0 for manual labels, whose members we wrote ourselves. */
  readonly epoch: number;
}

/** Everything that decides who should have what, as of one epoch. */
export interface CatalogueRows {
  readonly epoch: number;
  readonly slots: readonly Slot[];
  readonly profiles: readonly CatalogueProfile[];
  readonly versions: readonly CatalogueVersion[];
  readonly labels: readonly CatalogueLabel[];
}

/** 64 bits as two signed 32-bit halves: XOR on numbers costs nothing, on bigint an allocation each. */
export interface Fingerprint {
  readonly high: number;
  readonly low: number;
}

export type OsqueryState = 'never' | 'rows' | 'zero_rows' | 'table_absent' | 'query_error';

/**
 * not_ours: the device refused to remove it as not managed (12013) · left_over: an identifier of ours with content that
 * is not, or what another MDM server or an earlier enrolment left · duplicate: listed more than once · foreign: never ours.
 */
export type DriftKind = 'not_ours' | 'left_over' | 'duplicate' | 'foreign';

/** What a list of drift shows besides: taken away or replaced and on its way back, or changed in place. */
export const DRIFT_KINDS = [
  'not_ours',
  'left_over',
  'duplicate',
  'foreign',
  'removed_by_hand',
  'replaced_by_hand',
  'content_changed',
] as const;
export type ShownDriftKind = (typeof DRIFT_KINDS)[number];

/** On the device and not settled by us: shown, never touched. */
export interface ExtraProfile {
  readonly identifier: string;
  readonly uuid: string;
  readonly displayName: string;
  readonly why: DriftKind;
}

/**
 * How much is proven (design §4), ascending. fresh: installed at or after the delivery · version: PayloadUUID equal, what
 * verified needs · unchanged: the checksum is the one first verified on this host, version and OS build · effective: the
 * keys of a preference payload are among the managed policies.
 */
export type EvidenceLevel = 'absent' | 'present' | 'fresh' | 'version' | 'unchanged' | 'effective';

/** The best evidence there is about one pair. It is shown; what is verified or failed is decided by `version` alone. */
export interface PairEvidence {
  readonly level: EvidenceLevel;
  readonly source: 'osquery' | 'ProfileList';
  /** When it was seen last. */
  readonly at: Date;
  /** What speaks against more: changed on the device, keys that are not in force. One sentence without its full stop. */
  readonly note?: string;
}

/** Keys that a version forces in one preference domain: they are managed policies where it is in force. */
export interface ExpectedPolicy {
  readonly domain: string;
  readonly keys: readonly string[];
}

/** A version that the device holds, and keys of it that are not among the managed policies. */
export interface IneffectiveVersion {
  readonly versionId: number;
  /** `domain key`, the first few. */
  readonly missing: readonly string[];
  /** How many are missing besides. */
  readonly more: number;
}

/** What is known of contents beyond the PayloadUUID, where an observer says more. Shown, never part of a decision. */
export interface ContentEvidence {
  /** Build of the operating system the baselines were taken on. */
  readonly osBuild: string;
  /** Version → first 64 bits, in hex, of the checksum it was first verified with. */
  readonly baselines: ReadonlyMap<number, string>;
  /** Versions whose checksum is another now. Ascending. */
  readonly changed: readonly number[];
  readonly changedAt: Date | undefined;
  readonly policiesAt: Date | undefined;
  /** Versions of which every expected key is among the managed policies. Ascending. */
  readonly effective: readonly number[];
  readonly ineffective: readonly IneffectiveVersion[];
}

/** What kind of device; '' while it has not said. */
export type Platform = 'mac' | 'iphone' | 'ipad' | 'tv' | 'vision' | 'watch' | '';

/** What the gate reads of one enrolment. */
export interface GateSubject {
  readonly teamId: number;
  readonly channel: Channel;
  readonly platform: Platform;
  /** A User Enrolment, which many payloads are not for. */
  readonly userEnrollment: boolean;
  /** '' while the host has not said. */
  readonly osVersion: string;
  /** Ascending. */
  readonly labelIds: readonly number[];
  readonly labelEpoch: number;
  /** Labels whose query failed on this host. */
  readonly unknownLabelIds: readonly number[];
}

/** The compact row of one enrolment: what is settled (design §4, scale.md model (e)). */
export interface ReconRow extends GateSubject {
  readonly enrollment: EnrollmentRef;
  readonly enrollmentGeneration: number;
  /** Version ids the device is known to hold, ascending. */
  readonly applied: readonly number[];
  /** XOR over `applied`. */
  readonly fingerprint: Fingerprint;
  /** False from a re-enrolment until the device's own report: the Mac is not empty. */
  readonly actualKnown: boolean;
  readonly rev: number;
  readonly osqueryAt: Date | undefined;
  readonly osqueryState: OsqueryState;
  readonly profileListAt: Date | undefined;
  readonly observedExtra: readonly ExtraProfile[];
  /** AccessRights of the enrolment allow installing and removing profiles. */
  readonly mayManageProfiles: boolean;
  /** A push certificate of its topic is there and has not expired. */
  readonly pushable: boolean;
  /** PayloadIdentifier of the enrolment profile, which only lifecycle touches. */
  readonly enrollmentProfile: string | undefined;
}

/** The live command of an op, as far as a decision needs it. */
export interface LiveCommand {
  readonly uuid: string;
  readonly state: 'queued' | 'sent' | 'not_now';
  /** How often it was handed out. 0 = the device cannot have seen it. */
  readonly deliveries: number;
  readonly notNowCount: number;
  readonly queuedAt: Date;
  readonly sentAt: Date | undefined;
  readonly notNowAt: Date | undefined;
}

/** Of a row, what the fingerprint test reads. */
export type QuietRow = GateSubject &
  Pick<ReconRow, 'enrollment' | 'fingerprint' | 'actualKnown' | 'osqueryAt' | 'osqueryState' | 'profileListAt'>;

/** One enrolment as read under its lock. */
export interface HostFacts {
  readonly row: ReconRow;
  readonly ops: readonly Op[];
  /** Live commands of this enrolment's ops, by UUID. */
  readonly commands: ReadonlyMap<string, LiveCommand>;
  /** A ProfileList of ours is already waiting. */
  readonly profileListLive: boolean;
  /** Slots that profiles have moved from and that another channel of the host holds, or is being rid of. */
  readonly heldElsewhere: readonly number[];
}

/** What Apple last said about the enrolment's token, and whether a push waits. */
export interface PushSummary {
  readonly waitingSince: Date | undefined;
  readonly lastPushAt: Date | undefined;
  readonly lastStatus: number | undefined;
  readonly lastReason: string | undefined;
  readonly tokenRetired: boolean;
}

export type OpKind = 'install' | 'remove';
/** queued: its command waits or travels, or is still to be made · acked: verifying · failed: retried at `nextAt`, if set. */
export type OpState = 'queued' | 'acked' | 'failed';

/** A pair that is not settled. One per enrolment and slot, so two live commands for a slot cannot exist. */
export interface Op {
  readonly slotId: number;
  readonly op: OpKind;
  /** The version to install; for a removal, the one last known there. */
  readonly versionId: number;
  /** Every command is a generation of its own; the two counters belong to the intent and outlive a re-send. */
  readonly generation: number;
  readonly enrollmentGeneration: number;
  readonly state: OpState;
  /** Stable code of what went wrong last: an error of `errors.ts`, a reason of `reasons.ts`; '' where nothing did. */
  readonly reason: string;
  readonly errorChain: readonly ErrorChainItem[];
  /** Commands of this intent that ended in an error. */
  readonly deliveryAttempts: number;
  /** Commands of this intent that were acknowledged and not confirmed by an observer. */
  readonly verifyMisses: number;
  readonly nextAt: Date | undefined;
  /** Undefined while the command is still to be made. */
  readonly commandUuid: string | undefined;
  readonly ackedAt: Date | undefined;
  readonly observedUuid: string | undefined;
  readonly observedAt: Date | undefined;
  readonly createdAt: Date;
}

/** Why an observer disagrees with an acknowledgement. */
export type ObservationReason = 'not_observed' | 'other_version_observed' | 'other_content_since' | 'still_observed';
/** Why a pair that was settled is installed again although nothing of ours changed. */
export type ByHandReason = 'removed_by_hand' | 'replaced_by_hand';

/** What one decision does to one op. At most one per slot; `cancel` names the live command it ends. */
export type OpChange =
  /** Upsert `op` and give it a command. */
  | { readonly kind: 'send'; readonly op: Op; readonly cancel: string | undefined }
  /** Upsert `op` without a command. */
  | { readonly kind: 'set'; readonly op: Op; readonly cancel: string | undefined }
  | { readonly kind: 'drop'; readonly slotId: number; readonly cancel: string | undefined };

/** What an ack or a report does to an enrolment. It never makes commands: `dirty` asks the next tick to look. */
export interface FactsChange {
  readonly applied: readonly number[];
  readonly changes: readonly OpChange[];
  readonly observedExtra: readonly ExtraProfile[];
  readonly actualKnown: boolean;
  readonly dirty: boolean;
}

export interface Settlement {
  readonly op: OpRef;
  readonly enrollmentGeneration: number;
  readonly outcome: 'Acknowledged' | 'Error' | 'CommandFormatError' | 'Unknown';
  readonly errorChain: readonly ErrorChainItem[];
}

export type PairState =
  | 'verified'
  | 'verifying'
  | 'pending'
  | 'removing'
  | 'failed'
  | 'waiting'
  | 'unmanaged'
  | 'not_in_scope';

/** Closed list (design §4): why a wanted pair has neither content nor command. */
export type WaitingReason =
  | 'label_unknown'
  | 'rollout_stage'
  | 'paused'
  | 'os_gate'
  | 'no_user_channel'
  | 'user_not_logged_in'
  | 'not_supervised'
  | 'enrollment_kind_forbids'
  | 'access_right_missing'
  | 'variable_unresolved'
  | 'dependency_not_verified'
  | 'one_per_machine_clash'
  | 'quarantined_identity'
  | 'actual_state_unknown'
  | 'no_push_certificate'
  | 'deferred_to_setup'
  | 'awaiting_user_action';

/** What a change would alter, as it would be once committed. The present is read beside it. */
export interface PreviewChange {
  /** The catalogue after the change. */
  readonly rows: CatalogueRows;
  /** Only hosts of these teams can be concerned; undefined = all. */
  readonly teamIds: readonly number[] | undefined;
  /** Team → team its hosts move to. */
  readonly moves?: ReadonlyMap<number, number>;
}

/** replace = an install over another version · hold = wanted or held, and an unknown keeps it as it is. */
export type PreviewAction = 'install' | 'replace' | 'remove' | 'hold';

export interface PreviewLine {
  readonly hostId: string;
  readonly hostName: string;
  readonly channel: Channel;
  readonly identifier: string;
  readonly action: PreviewAction;
}

/** What the next tick would do because of a change, decided by the code that will do it (design §1.2). */
export interface Preview {
  readonly asOf: Date;
  /** Enrolments looked at. */
  readonly hosts: number;
  /** Enrolments with at least one action. */
  readonly changed: number;
  readonly counts: Readonly<Record<PreviewAction, number>>;
  /** Ordered by host and identifier, at most a stated bound. */
  readonly lines: readonly PreviewLine[];
  readonly truncated: boolean;
}

export type PreviewOf = (change: PreviewChange) => Promise<Preview>;

/** Enrolments from `low` on, before `high`. */
export interface KeyRange {
  readonly low: number;
  readonly high: number;
}

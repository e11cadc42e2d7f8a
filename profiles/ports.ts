import type { Channel } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import type {
  ChangeKind,
  DeliveryKind,
  IncludeMode,
  LabelRef,
  PayloadSummary,
  Profile,
  ProfileVersion,
  ProfileWithVersions,
  SignerSummary,
} from './types.ts';

/** Targets with labels as ids, as the tables have them. */
export interface StoredTargets {
  readonly includeMode: IncludeMode;
  readonly includeLabelIds: readonly number[];
  readonly excludeLabelIds: readonly number[];
  readonly minOs: string | undefined;
  readonly maxOs: string | undefined;
}

/** What a Mac knows a profile by: one per team. */
export interface SlotKey {
  readonly channel: Channel;
  readonly identifier: string;
}

/** A profile under its lock. */
export interface LiveProfile extends StoredTargets, SlotKey {
  readonly id: number;
  readonly teamId: number;
  readonly slotId: number;
  readonly name: string;
  readonly versionId: number;
  /** These three of the current version. */
  readonly displayName: string;
  readonly delivery: DeliveryKind;
  readonly payloads: readonly PayloadSummary[];
  readonly deleted: boolean;
}

export interface NewVersion {
  readonly contentSha256: Buffer;
  readonly original: Buffer;
  readonly delivery: DeliveryKind;
  readonly witnessUuid: string;
  readonly displayName: string;
  readonly signer: SignerSummary | undefined;
  readonly payloads: readonly PayloadSummary[];
  /** One of Apple's numbers; undefined = any device. */
  readonly targetDeviceType: number | undefined;
  readonly uploadedBy: string;
  /** The bytes that travel; asked for only where the version is new. */
  readonly delivered: () => Buffer;
}

/** What of a version its profile's neighbours and the gate read. */
export type VersionSummary = Pick<NewVersion, 'signer' | 'payloads' | 'targetDeviceType'>;

/** A line of a profile's history. */
export interface ChangeLine {
  readonly change: ChangeKind;
  readonly by: string;
}

export interface NewProfile extends StoredTargets {
  readonly teamId: number;
  readonly slotId: number;
  readonly name: string;
  readonly movedFrom: MovedFrom | undefined;
}

export interface Created {
  readonly profileId: number;
  readonly versionId: number;
}

/** Where a profile stood before its PayloadScope changed. */
export interface MovedFrom {
  readonly slotId: number;
  readonly profileId: number;
}

export interface ProfileStore {
  /**
   * Changes to the profiles of a team go one by one, and no label they aim by goes meanwhile. Always before a profile is
   * locked: whoever deletes a label or a team locks that first and its profiles after. False where there is no such team.
   */
  lockTeam(tx: Tx, teamId: number): Promise<boolean>;
  /** Whose a profile is; that never changes. */
  teamOf(tx: Tx, profileId: number): Promise<number | undefined>;
  /** Ids by `slotText`, made where they are new, locked in one order whoever asks. */
  slots(tx: Tx, wanted: readonly SlotKey[]): Promise<ReadonlyMap<string, number>>;
  labels(tx: Tx, names: readonly string[]): Promise<readonly LabelRef[]>;
  /** Which of these labels exist. */
  labelsOf(tx: Tx, ids: readonly number[]): Promise<readonly LabelRef[]>;
  /** Of every label, for a name that was misspelt. */
  labelNames(tx: Tx): Promise<readonly string[]>;
  /** What deleted labels were called; one that was deleted before names were kept is missing. */
  goneLabels(tx: Tx, ids: readonly number[]): Promise<readonly LabelRef[]>;
  /** Every live profile of the team, by id. */
  live(tx: Tx, teamId: number): Promise<readonly LiveProfile[]>;
  /** One profile, deleted or not. */
  find(tx: Tx, profileId: number): Promise<LiveProfile | undefined>;
  /** A new profile with its first version and its first line of history, in one statement. */
  create(tx: Tx, profile: NewProfile, version: NewVersion, line: ChangeLine, now: Date): Promise<Created>;
  /** A version that the profile does not have yet. The team is locked: nobody else stores one now. */
  addVersion(tx: Tx, profileId: number, version: NewVersion, now: Date): Promise<number>;
  /** Whether the profile has such a version; undefined where not. */
  versionOf(tx: Tx, profileId: number, versionId: number): Promise<ProfileVersion | undefined>;
  /** Whose version it is. */
  ownerOf(tx: Tx, versionId: number): Promise<number | undefined>;
  /** Versions of other content that a Mac could not tell from this one. */
  sharesWitness(tx: Tx, slotId: number, witnessUuid: string, versionId: number): Promise<boolean>;
  /** With a line of history. */
  update(
    tx: Tx,
    profileId: number,
    change: { name: string; versionId: number } & StoredTargets,
    line: ChangeLine,
    now: Date,
  ): Promise<void>;
  /** Soft: versions stay, since Macs still report them. */
  remove(tx: Tx, profileId: number, now: Date): Promise<void>;
  /** Takes a removal back; its slot must be free and its team live. */
  revive(tx: Tx, profileId: number, now: Date): Promise<void>;
  note(
    tx: Tx,
    profileId: number,
    line: { change: ChangeKind; by: string; versionId: number },
    now: Date,
  ): Promise<void>;
  bumpCatalogue(tx: Tx): Promise<void>;
  /** Every enrolment of the team is evaluated again. */
  markTeamDirty(tx: Tx, teamId: number, reason: string, now: Date): Promise<void>;

  list(filter: { teamId: number | undefined; deleted: boolean }): Promise<readonly Profile[]>;
  /** A live one, or a deleted one where that is asked for. */
  get(profileId: number, deleted?: boolean): Promise<ProfileWithVersions | undefined>;
  /** The upload of a version, byte for byte. */
  original(profileId: number, versionId: number): Promise<Buffer | undefined>;
  /** The signed bytes that travel. */
  delivered(tx: Tx, versionId: number): Promise<Buffer | undefined>;
  /** Version ids of every content that a live profile of the team has, by `contentText`. */
  contents(teamId: number, tx?: Tx): Promise<ReadonlyMap<string, number>>;
  /** Current versions of the team from before summaries were kept. */
  unread(teamId: number): Promise<readonly { profileId: number; versionId: number }[]>;
  fill(tx: Tx, versionId: number, read: VersionSummary): Promise<void>;
}

/** A key of a map: the channel cannot hold a space. */
export function slotText({ channel, identifier }: SlotKey): string {
  return `${channel} ${identifier}`;
}

export function contentText(slot: SlotKey, contentSha256: Buffer): string {
  return `${contentSha256.toString('hex')} ${slotText(slot)}`;
}

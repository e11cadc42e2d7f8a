import type { Channel } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import type { IncludeMode, LabelRef, Profile, ProfileVersion, ProfileWithVersions } from './types.ts';

/** Targets with labels as ids, as the tables have them. */
export interface StoredTargets {
  readonly includeMode: IncludeMode;
  readonly includeLabelIds: readonly number[];
  readonly excludeLabelIds: readonly number[];
  readonly minOs: string | undefined;
  readonly maxOs: string | undefined;
}

export interface LiveProfile extends StoredTargets {
  readonly id: number;
  readonly name: string;
  readonly currentVersionId: number | undefined;
}

export interface NewVersion {
  readonly contentSha256: Buffer;
  readonly original: Buffer;
  readonly delivery: ProfileVersion['delivery'];
  readonly witnessUuid: string;
  readonly displayName: string;
  readonly delivered: Buffer;
}

export interface ProfileStore {
  /** The slot of an identifier on a channel, made where it is new, and locked: uploads of one identifier go one by one. */
  slot(tx: Tx, channel: Channel, identifier: string): Promise<number>;
  labels(tx: Tx, names: readonly string[]): Promise<readonly LabelRef[]>;
  live(tx: Tx, teamId: number, slotId: number): Promise<LiveProfile | undefined>;
  insert(tx: Tx, profile: { teamId: number; slotId: number; name: string } & StoredTargets, now: Date): Promise<number>;
  /** The version with this content, stored where it is new. */
  version(tx: Tx, profileId: number, version: NewVersion, now: Date): Promise<number>;
  /** Versions of other content that a Mac could not tell from this one. */
  sharesWitness(tx: Tx, slotId: number, witnessUuid: string, versionId: number): Promise<boolean>;
  /** Whether a live profile of the team has this identifier on the other channel. */
  onOtherChannel(tx: Tx, teamId: number, channel: Channel, identifier: string): Promise<boolean>;
  update(
    tx: Tx,
    profileId: number,
    change: { name: string; versionId: number } & StoredTargets,
    now: Date,
  ): Promise<void>;
  /** Soft: versions stay, since Macs still report them. False where no live profile has this id. */
  remove(tx: Tx, profileId: number, now: Date): Promise<{ teamId: number } | undefined>;
  bumpCatalogue(tx: Tx): Promise<void>;
  /** Every enrolment of the team is evaluated again. */
  markTeamDirty(tx: Tx, teamId: number, reason: string, now: Date): Promise<void>;

  list(teamId: number | undefined): Promise<readonly Profile[]>;
  get(profileId: number): Promise<ProfileWithVersions | undefined>;
  /** The upload of a version, byte for byte. */
  original(profileId: number, versionId: number): Promise<Buffer | undefined>;
  /** The signed bytes that travel. */
  delivered(tx: Tx, versionId: number): Promise<Buffer | undefined>;
}

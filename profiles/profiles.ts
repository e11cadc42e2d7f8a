import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Channel } from '../core/enrollment.ts';
import { EspalierError, hasCode } from '../core/errors.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import type { MacKey, SigningIdentity } from '../keys/types.ts';
import { type Delivery, deliveryOf } from './deliver.ts';
import { parseMobileconfig } from './parse.ts';
import type { LiveProfile, ProfileStore, StoredTargets } from './ports.ts';
import { checkTargets, type NamedTargets } from './targets.ts';
import {
  type Finding,
  type Mobileconfig,
  type Profile,
  ProfileInvalidError,
  type ProfileWithVersions,
} from './types.ts';
import { validate } from './validate.ts';

export interface ProfilesDeps {
  readonly store: ProfileStore;
  readonly unitOfWork: UnitOfWork;
  readonly signer: SigningIdentity;
  readonly witnessKey: MacKey;
  readonly clock: Clock;
  /** The reconciler is woken once the change has committed. */
  readonly wakeAfter: (tx: Tx) => void;
}

export interface UploadOptions extends NamedTargets {
  readonly teamId: number;
  /** PayloadDisplayName where absent. */
  readonly name?: string;
  /** A new version of a live profile keeps what that one is aimed at; the targets given here are for a new profile. */
  readonly keepTargets?: boolean;
}

export interface Uploaded {
  readonly profileId: number;
  readonly versionId: number;
  readonly identifier: string;
  readonly outcome: 'created' | 'updated' | 'unchanged';
  readonly warnings: readonly Finding[];
}

export interface Profiles {
  /**
   * Create the profile, or a new version of the one with this identifier in the team. All or nothing.
   * Errors: profile_malformed, profile_invalid (with every finding), label_not_found, request_malformed.
   */
  upload(bytes: Buffer, options: UploadOptions): Promise<Uploaded>;
  /** Every Mac that has it loses it. Errors: profile_not_found. */
  delete(profileId: number): Promise<void>;
  list(teamId: number | undefined): Promise<readonly Profile[]>;
  /** Errors: profile_not_found. */
  get(profileId: number): Promise<ProfileWithVersions>;
  /** The bytes as they were uploaded. Errors: profile_not_found. */
  original(profileId: number, versionId: number): Promise<Buffer>;
  /** What InstallProfile carries. */
  delivered(tx: Tx, versionId: number): Promise<Buffer>;
}

export function createProfiles(deps: ProfilesDeps): Profiles {
  const { store, unitOfWork, clock, wakeAfter } = deps;
  const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

  async function targetsOf(tx: Tx, options: UploadOptions): Promise<StoredTargets> {
    const ids = async (names: readonly string[]): Promise<number[]> => {
      const found = new Map((await store.labels(tx, names)).map((label) => [label.name, label.id]));
      return names.map((name) => {
        const id = found.get(name);
        if (id === undefined)
          throw new EspalierError('label_not_found', `there is no label named ${JSON.stringify(name)}`);
        return id;
      });
    };
    return {
      includeMode: options.includeMode,
      includeLabelIds: sorted(await ids(options.includeLabels)),
      excludeLabelIds: sorted(await ids(options.excludeLabels)),
      minOs: options.minOs,
      maxOs: options.maxOs,
    };
  }

  /** Before the unit of work: signing and hashing must not keep a transaction open. */
  function prepare(profile: Mobileconfig, now: Date): Delivery {
    try {
      return deliveryOf(profile, { ...deps, sha256 }, now);
    } catch (cause) {
      if (!hasCode(cause, 'plist_unencodable')) throw cause;
      throw new EspalierError('profile_malformed', cause.message, {
        cause,
        ...(cause.place === undefined ? {} : { place: cause.place }),
        fix: 'A binary property list may hold text that XML cannot carry, and profiles are delivered as XML.',
      });
    }
  }

  async function save(
    tx: Tx,
    profile: Mobileconfig,
    delivery: Delivery,
    options: UploadOptions,
    now: Date,
  ): Promise<Omit<Uploaded, 'identifier'>> {
    const channel: Channel = profile.scope === 'User' ? 'user' : 'device';
    const slotId = await store.slot(tx, channel, profile.identifier);
    const live = await store.live(tx, options.teamId, slotId);
    const targets = options.keepTargets === true && live !== undefined ? targetsIn(live) : await targetsOf(tx, options);
    const name = options.name ?? live?.name ?? profile.displayName;
    const profileId = live?.id ?? (await store.insert(tx, { teamId: options.teamId, slotId, name, ...targets }, now));
    const { original, displayName } = profile;
    const versionId = await store.version(tx, profileId, { ...delivery, original, displayName }, now);
    const shared =
      delivery.delivery === 'verbatim' && (await store.sharesWitness(tx, slotId, delivery.witnessUuid, versionId));
    const warnings = [
      ...(shared ? [sharedWitness(delivery.witnessUuid)] : []),
      ...((await store.onOtherChannel(tx, options.teamId, channel, profile.identifier)) ? [otherChannel(channel)] : []),
    ];
    if (live !== undefined && isSame(live, { name, versionId, ...targets })) {
      return { profileId, versionId, outcome: 'unchanged', warnings };
    }
    await store.update(tx, profileId, { name, versionId, ...targets }, now);
    await store.bumpCatalogue(tx);
    await store.markTeamDirty(tx, options.teamId, 'profile', now);
    wakeAfter(tx);
    return { profileId, versionId, outcome: live === undefined ? 'created' : 'updated', warnings };
  }

  return {
    async upload(bytes, options) {
      checkTargets(options);
      const profile = parseMobileconfig(bytes);
      const findings = validate(profile);
      if (findings.some((finding) => finding.severity === 'error')) throw new ProfileInvalidError(findings);
      const now = clock.now();
      const delivery = prepare(profile, now);
      const saved = await unitOfWork.run((tx) => save(tx, profile, delivery, options, now));
      return { ...saved, identifier: profile.identifier, warnings: [...findings, ...saved.warnings] };
    },

    async delete(profileId) {
      await unitOfWork.run(async (tx) => {
        const now = clock.now();
        const removed = await store.remove(tx, profileId, now);
        if (removed === undefined) throw notFound(profileId);
        await store.bumpCatalogue(tx);
        await store.markTeamDirty(tx, removed.teamId, 'profile', now);
        wakeAfter(tx);
      });
    },

    list: (teamId) => store.list(teamId),
    async get(profileId) {
      return (await store.get(profileId)) ?? refuse(notFound(profileId));
    },
    async original(profileId, versionId) {
      return (await store.original(profileId, versionId)) ?? refuse(noVersion(profileId, versionId));
    },
    async delivered(tx, versionId) {
      return (
        (await store.delivered(tx, versionId)) ??
        refuse(new EspalierError('internal_error', `profile version ${versionId} has no bytes`))
      );
    },
  };
}

function targetsIn(live: LiveProfile): StoredTargets {
  const { includeMode, minOs, maxOs } = live;
  return {
    includeMode,
    includeLabelIds: sorted(live.includeLabelIds),
    excludeLabelIds: sorted(live.excludeLabelIds),
    minOs,
    maxOs,
  };
}

function isSame(live: LiveProfile, wanted: { name: string; versionId: number } & StoredTargets): boolean {
  return (
    live.currentVersionId === wanted.versionId &&
    live.name === wanted.name &&
    live.includeMode === wanted.includeMode &&
    sorted(live.includeLabelIds).join() === wanted.includeLabelIds.join() &&
    sorted(live.excludeLabelIds).join() === wanted.excludeLabelIds.join() &&
    live.minOs === wanted.minOs &&
    live.maxOs === wanted.maxOs
  );
}

function sharedWitness(uuid: string): Finding {
  return {
    code: 'witness_shared',
    severity: 'warning',
    message: `another version has the PayloadUUID ${uuid} too, so no report can tell them apart; give each version its own`,
    path: 'PayloadUUID',
    key: 'PayloadUUID',
  };
}

/** Not refused: both may be meant. But an edited PayloadScope does not move a profile, and nobody should think so. */
function otherChannel(channel: Channel): Finding {
  const other = channel === 'user' ? 'device' : 'user';
  return {
    code: 'other_channel',
    severity: 'warning',
    message: `this team has a profile with this identifier on the ${other} channel too; it stays until it is deleted`,
    path: 'PayloadScope',
    key: 'PayloadScope',
  };
}

function sorted(ids: readonly number[]): number[] {
  return [...ids].sort((a, b) => a - b);
}

function notFound(profileId: number): EspalierError {
  return new EspalierError('profile_not_found', `there is no profile ${profileId}`);
}

function noVersion(profileId: number, versionId: number): EspalierError {
  return new EspalierError('profile_not_found', `there is no profile ${profileId} with a version ${versionId}`);
}

function refuse(error: EspalierError): never {
  throw error;
}

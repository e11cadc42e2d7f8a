import type { Channel } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { Tx } from '../core/tx.ts';
import type { CarryOut, ChangeOptions, Planned } from './carry-out.ts';
import type { ChangeLine, LiveProfile, ProfileStore, StoredTargets } from './ports.ts';
import { sharedWitness } from './save.ts';
import {
  checkTargets,
  isSameTargets,
  type NamedTargets,
  patched,
  storedTargets,
  type TargetsPatch,
  targetsIn,
} from './targets.ts';
import type { ChangeKind, Finding, LabelRef } from './types.ts';

export interface ProfilePatch extends TargetsPatch {
  readonly name?: string;
}

export interface Edited {
  readonly profileId: number;
  readonly versionId: number;
  readonly channel: Channel;
  readonly identifier: string;
  readonly outcome: 'updated' | 'unchanged' | 'deleted' | 'restored';
  readonly warnings: readonly Finding[];
}

/** Changes of a profile that need no upload. */
export interface Edits {
  /** Name and targets. Errors: profile_not_found, label_not_found, request_malformed. */
  edit(profileId: number, patch: ProfilePatch, options?: ChangeOptions): Promise<Planned<Edited>>;
  /** Every Mac that has it loses it. Errors: profile_not_found. */
  delete(profileId: number, options?: ChangeOptions): Promise<Planned<Edited>>;
  /**
   * A deleted profile is wanted again as it was, or with other targets. Errors: profile_not_found, label_not_found where a
   * label it aimed by is gone, profile_identifier_exists where the team has another with this identifier, request_malformed.
   */
  restore(profileId: number, patch: ProfilePatch, options?: ChangeOptions): Promise<Planned<Edited>>;
  /** An older version becomes the current one. Errors: profile_not_found. */
  restoreVersion(profileId: number, versionId: number, options?: ChangeOptions): Promise<Planned<Edited>>;
}

export function createEdits({ store, carryOut }: { store: ProfileStore; carryOut: CarryOut }): Edits {
  /** The profile with its team locked first, as every change locks them. */
  async function locked(tx: Tx, profileId: number, deleted: boolean): Promise<LiveProfile> {
    const teamId = await store.teamOf(tx, profileId);
    if (teamId === undefined) throw notFound(profileId, deleted);
    const hasTeam = await store.lockTeam(tx, teamId);
    const profile = await store.find(tx, profileId);
    if (profile === undefined || profile.deleted !== deleted) throw notFound(profileId, deleted);
    if (!hasTeam) {
      throw new EspalierError('team_not_found', 'the team of this profile has been deleted', {
        fix: 'Upload it to another team.',
      });
    }
    return profile;
  }

  /** A version that this profile has not; it may be one of the profile it was before its PayloadScope changed. */
  async function noVersion(tx: Tx, profile: LiveProfile, versionId: number): Promise<EspalierError> {
    const owner = await store.ownerOf(tx, versionId);
    const other = owner === undefined ? undefined : await store.find(tx, owner);
    const detail = `there is no profile ${profile.id} with a version ${versionId}`;
    if (other?.teamId !== profile.teamId || other.identifier !== profile.identifier)
      return new EspalierError('profile_not_found', detail);
    return new EspalierError(
      'profile_not_found',
      `${detail}: it is a version of profile ${other.id}, which was ${other.identifier} on the ${other.channel} channel`,
      {
        fix: `Upload it again, and the profile moves back to that channel: \`espalier profile download ${other.id} ${versionId} FILE\`, then \`espalier profile upload FILE\`.`,
      },
    );
  }

  async function namedTargets(tx: Tx, profile: LiveProfile): Promise<NamedTargets> {
    const ids = [...profile.includeLabelIds, ...profile.excludeLabelIds];
    const names = new Map((await store.labelsOf(tx, ids)).map(({ id, name }) => [id, name]));
    const missing = ids.filter((id) => !names.has(id));
    if (missing.length > 0) throw gone(profile, missing, await store.goneLabels(tx, missing));
    const named = (labels: readonly number[]) => labels.flatMap((id) => names.get(id) ?? []);
    return {
      includeMode: profile.includeMode,
      includeLabels: named(profile.includeLabelIds),
      excludeLabels: named(profile.excludeLabelIds),
      ...(profile.minOs === undefined ? {} : { minOs: profile.minOs }),
      ...(profile.maxOs === undefined ? {} : { maxOs: profile.maxOs }),
    };
  }

  /** Labels that a patch replaces need not exist any more. */
  async function targetsAfter(
    tx: Tx,
    profile: LiveProfile,
    { name: _, ...patch }: ProfilePatch,
  ): Promise<StoredTargets> {
    // A profile that has lost its last label is for nobody; giving it another name is no time to complain.
    if (Object.keys(patch).length === 0 && !profile.deleted) return targetsIn(profile);
    const kept: LiveProfile = {
      ...profile,
      ...(patch.includeLabels === undefined && patch.includeMode !== 'none' ? {} : { includeLabelIds: [] }),
      ...(patch.excludeLabels === undefined ? {} : { excludeLabelIds: [] }),
    };
    const targets = patched({ ...(await namedTargets(tx, kept)), includeMode: profile.includeMode }, patch);
    checkTargets(targets);
    return storedTargets(store, tx, targets);
  }

  return {
    edit: (profileId, patch, options = {}) =>
      carryOut(async (tx, now) => {
        const profile = await locked(tx, profileId, false);
        const name = patch.name ?? profile.name;
        const targets = await targetsAfter(tx, profile, patch);
        if (name === profile.name && isSameTargets(profile, targets)) return worked(profile, 'unchanged');
        const change = { name, versionId: profile.versionId, ...targets };
        await store.update(tx, profileId, change, line('edited', options), now);
        return worked(profile, 'updated');
      }, options),

    delete: (profileId, options = {}) =>
      carryOut(async (tx, now) => {
        const profile = await locked(tx, profileId, false);
        await store.remove(tx, profileId, now);
        await store.note(tx, profileId, { ...line('deleted', options), versionId: profile.versionId }, now);
        return worked(profile, 'deleted');
      }, options),

    restore: (profileId, patch, options = {}) =>
      carryOut(async (tx, now) => {
        const profile = await locked(tx, profileId, true);
        const team = await store.live(tx, profile.teamId);
        const other = team.find(({ identifier }) => identifier === profile.identifier);
        if (other !== undefined) throw taken(profile, other);
        const targets = await targetsAfter(tx, profile, patch);
        const name = patch.name ?? profile.name;
        await store.revive(tx, profileId, now);
        const change = { name, versionId: profile.versionId, ...targets };
        await store.update(tx, profileId, change, line('restored', options), now);
        return worked(profile, 'restored');
      }, options),

    restoreVersion: (profileId, versionId, options = {}) =>
      carryOut(async (tx, now) => {
        const profile = await locked(tx, profileId, false);
        const version = await store.versionOf(tx, profileId, versionId);
        if (version === undefined) throw await noVersion(tx, profile, versionId);
        if (versionId === profile.versionId) return worked(profile, 'unchanged');
        const after = { ...profile, versionId };
        const change = { name: profile.name, versionId, ...targetsIn(profile) };
        await store.update(tx, profileId, change, line('version_restored', options), now);
        const shared =
          version.delivery === 'verbatim' &&
          (await store.sharesWitness(tx, profile.slotId, version.witnessUuid, versionId));
        return worked(after, 'updated', shared ? [sharedWitness(version.witnessUuid)] : []);
      }, options),
  };
}

function worked(profile: LiveProfile, outcome: Edited['outcome'], warnings: readonly Finding[] = []) {
  const { id: profileId, versionId, channel, identifier, teamId } = profile;
  const answer: Edited = { profileId, versionId, channel, identifier, outcome, warnings };
  return { teamId, changed: outcome !== 'unchanged', answer };
}

function line(change: ChangeKind, { by = 'admin' }: ChangeOptions): ChangeLine {
  return { change, by };
}

function notFound(profileId: number, deleted: boolean): EspalierError {
  return new EspalierError('profile_not_found', `there is no ${deleted ? 'deleted ' : ''}profile ${profileId}`);
}

function taken(profile: LiveProfile, other: LiveProfile): EspalierError {
  return new EspalierError(
    'profile_identifier_exists',
    `profile ${other.id} of this team has the identifier ${profile.identifier} on the ${other.channel} channel`,
    { fix: `Delete it first, or make an older version of it current.` },
  );
}

function gone(profile: LiveProfile, ids: readonly number[], known: readonly LabelRef[]): EspalierError {
  const names = new Map(known.map(({ id, name }) => [id, name]));
  const said = ids.map((id) => {
    const name = names.get(id);
    return name === undefined ? `a label whose name was not kept (id ${id})` : `the label ${JSON.stringify(name)}`;
  });
  return new EspalierError(
    'label_not_found',
    `${profile.identifier} aimed by ${said.join(' and ')}, and that is gone`,
    { fix: 'Say what it shall aim at instead: include none for everyone, or labels and exclude_labels that exist.' },
  );
}

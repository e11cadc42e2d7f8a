import { EspalierError } from '../core/errors.ts';
import type { Tx } from '../core/tx.ts';
import { type CarryOutDeps, type ChangeOptions, createCarryOut, type Planned } from './carry-out.ts';
import { clashesWith, indexTeam } from './clashes.ts';
import type { SignedDelivery } from './deliver.ts';
import { createEdits, type Edits } from './edits.ts';
import { located } from './finding.ts';
import { contentText, type ProfileStore } from './ports.ts';
import { neighbourOf, type PrepareDeps, prepare } from './prepare.ts';
import { createReplaceSet, type ReplaceSet } from './replace-set.ts';
import { type Saved, save } from './save.ts';
import { createSummaries } from './summaries.ts';
import { checkTargets, type NamedTargets, storedTargets, targetsIn } from './targets.ts';
import type { Finding, LinesOf, Profile, ProfileWithVersions, SignerSummary } from './types.ts';
import { createVersionDiff, type VersionDiff } from './version-diff.ts';

export interface ProfilesDeps extends Omit<CarryOutDeps, 'store'>, PrepareDeps {
  readonly store: ProfileStore;
}

export interface UploadOptions extends NamedTargets, ChangeOptions {
  readonly teamId: number;
  /** PayloadDisplayName where absent. */
  readonly name?: string;
  /** A new version of a live profile keeps what that one is aimed at; the targets given here are for a new profile. */
  readonly keepTargets?: boolean;
  /** Of a signed upload; absent: as the profile has been delivered so far, verbatim where it is new. */
  readonly delivery?: SignedDelivery;
}

export interface Uploaded extends Omit<Saved, 'findings'> {
  readonly warnings: readonly Finding[];
  readonly linesOf: LinesOf;
  readonly signer: (SignerSummary & { readonly expired: boolean }) | undefined;
}

export interface Profiles extends Edits {
  /**
   * Create the profile, or a new version of the one with this identifier in the team; one on the other channel gives way.
   * All or nothing. Errors: profile_malformed, profile_invalid (with every finding), label_not_found, team_not_found,
   * request_malformed.
   */
  upload(bytes: Buffer, options: UploadOptions): Promise<Planned<Uploaded>>;
  /** The whole set of a team. Errors: profile_invalid (with the findings of every entry), conflict, request_malformed. */
  readonly replaceSet: ReplaceSet;
  list(teamId: number | undefined, deleted?: boolean): Promise<readonly Profile[]>;
  /** A live one, or a deleted one too. Errors: profile_not_found. */
  get(profileId: number, deleted?: boolean): Promise<ProfileWithVersions>;
  /** The bytes as they were uploaded. Errors: profile_not_found. */
  original(profileId: number, versionId: number): Promise<Buffer>;
  /** Between two versions of one profile, as they were uploaded. Errors: profile_not_found. */
  readonly diff: VersionDiff;
  /** What InstallProfile carries. */
  delivered(tx: Tx, versionId: number): Promise<Buffer>;
}

export function createProfiles(deps: ProfilesDeps): Profiles {
  const { store, clock } = deps;
  const carryOut = createCarryOut(deps);
  const readOlder = createSummaries(store);

  async function original(profileId: number, versionId: number): Promise<Buffer> {
    const bytes = await store.original(profileId, versionId);
    if (bytes === undefined)
      throw new EspalierError('profile_not_found', `there is no profile ${profileId} with a version ${versionId}`);
    return bytes;
  }

  return {
    async upload(bytes, options) {
      checkTargets(options);
      const { teamId, by = 'admin' } = options;
      const now = clock.now();
      const prepared = prepare(bytes, options.delivery, deps, now);
      const noteOlder = await readOlder(teamId);
      // Before the unit of work, where it is needed at all: signing must not keep a transaction open.
      const known = await store.contents(teamId);
      const expected = prepared.delivery(undefined);
      if (!known.has(contentText(prepared, expected.contentSha256))) expected.delivered();

      const saved = await carryOut(async (tx, at) => {
        if (!(await store.lockTeam(tx, teamId))) throw noTeam(teamId);
        const noted = await noteOlder(tx);
        const slots = await store.slots(tx, [prepared]);
        const team = await store.live(tx, teamId);
        const contents = await store.contents(teamId, tx);
        const same = team.filter(({ identifier }) => identifier === prepared.identifier);
        const live = same.find(({ channel }) => channel === prepared.channel);
        const gives = live === undefined ? same[0] : undefined;
        const before = live ?? gives;
        const targets =
          options.keepTargets === true && before !== undefined
            ? targetsIn(before)
            : await storedTargets(store, tx, options);
        const name = options.name ?? before?.name ?? prepared.profile.displayName;
        const one = await save(store, tx, { teamId, prepared, name, targets, live, gives, slots, contents, by }, at);
        const clashes = clashesWith(neighbourOf(prepared), indexTeam(team));
        return {
          teamId,
          changed: noted || one.outcome !== 'unchanged',
          answer: { ...one, findings: [...one.findings, ...clashes] },
        };
      }, options);

      const { findings, ...rest } = saved;
      const { profile } = prepared;
      const signer = profile.signed?.signer;
      return {
        ...rest,
        warnings: [...prepared.findings, ...located(profile, findings)],
        linesOf: prepared.linesOf,
        signer: signer && { ...signer, expired: signer.notAfter <= now },
      };
    },

    replaceSet: createReplaceSet({ ...deps, carryOut, readOlder }),
    ...createEdits({ store, carryOut }),
    list: (teamId, deleted = false) => store.list({ teamId, deleted }),
    async get(profileId, deleted = false) {
      const profile = await store.get(profileId, deleted);
      if (profile === undefined) throw new EspalierError('profile_not_found', `there is no profile ${profileId}`);
      return profile;
    },
    original,
    diff: createVersionDiff(original),
    async delivered(tx, versionId) {
      const bytes = await store.delivered(tx, versionId);
      if (bytes === undefined) throw new EspalierError('internal_error', `profile version ${versionId} has no bytes`);
      return bytes;
    },
  };
}

function noTeam(teamId: number): EspalierError {
  return new EspalierError('team_not_found', `there is no team ${teamId}`);
}

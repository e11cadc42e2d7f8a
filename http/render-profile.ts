import type { Planned } from '../profiles/carry-out.ts';
import type { Edited } from '../profiles/edits.ts';
import type { Uploaded } from '../profiles/profiles.ts';
import type { SetEntrySaved, SetReplaced } from '../profiles/replace-set.ts';
import type { Profile, ProfileChange, ProfileVersion, SignerSummary } from '../profiles/types.ts';
import type { Preview } from '../reconciler/types.ts';
import { renderedFinding } from './render-finding.ts';
import { renderedPlan } from './render-plan.ts';

/** `asOf` decides whether a signer's certificate has expired. */
export function renderedProfile(profile: Profile, team: string, asOf: Date) {
  return {
    id: profile.id,
    identifier: profile.identifier,
    name: profile.name,
    team,
    channel: profile.channel,
    include: profile.includeMode,
    labels: profile.includeLabels.map((label) => label.name),
    exclude_labels: profile.excludeLabels.map((label) => label.name),
    min_os: profile.minOs ?? null,
    max_os: profile.maxOs ?? null,
    targets: targetsOf(profile),
    version: renderedVersion(profile.version, asOf),
    updated_at: profile.updatedAt.toISOString(),
    deleted_at: profile.deletedAt?.toISOString() ?? null,
    moved_from: profile.movedFrom && { channel: profile.movedFrom.channel, profile_id: profile.movedFrom.profileId },
  };
}

type TargetLabels = Pick<Profile, 'includeMode' | 'includeLabels' | 'excludeLabels'>;

/** One phrase for people. */
export function targetsOf({ includeMode, includeLabels, excludeLabels }: TargetLabels): string {
  const names = (list: Profile['includeLabels']) => list.map((label) => label.name).join(', ');
  const include = includeMode === 'none' ? 'everyone' : includedBy(`${includeMode} of `, names(includeLabels));
  return excludeLabels.length === 0 ? include : `${include}, not ${names(excludeLabels)}`;
}

/** Labels can be deleted under a profile: a list that lost them all means nobody. */
function includedBy(mode: string, labels: string): string {
  return labels === '' ? 'nobody (its labels are gone)' : `${mode}${labels}`;
}

export function renderedVersion(version: ProfileVersion, asOf: Date) {
  const { signer } = version;
  return {
    id: version.id,
    content_sha256: version.contentSha256,
    delivery: version.delivery,
    payload_uuid: version.witnessUuid,
    display_name: version.displayName,
    size: version.size,
    signer: signer === undefined ? null : renderedSigner(signer, signer.notAfter <= asOf),
    uploaded_by: version.uploadedBy,
    created_at: version.createdAt.toISOString(),
  };
}

export function renderedChange({ at, by, change, versionId }: ProfileChange) {
  return { at: at.toISOString(), by, change, version_id: versionId };
}

function renderedSigner({ subject, sha256, notAfter }: SignerSummary, expired: boolean) {
  return { subject, sha256, not_after: notAfter.toISOString(), expired };
}

/** What has an id only if the change is made has none in a dry run. */
function idsOf(outcome: string, saved: { profileId: number; versionId: number }, isDry: boolean) {
  if (!isDry) return { id: saved.profileId, version_id: saved.versionId };
  const isNew = outcome === 'created' || outcome === 'moved';
  return { id: isNew ? null : saved.profileId, version_id: outcome === 'unchanged' ? saved.versionId : null };
}

function dryRun(plan: Preview | undefined) {
  return plan === undefined ? {} : { dry_run: true, plan: renderedPlan(plan) };
}

export function renderedUpload(uploaded: Planned<Uploaded>) {
  const { signer } = uploaded;
  return {
    ...idsOf(uploaded.outcome, uploaded, uploaded.plan !== undefined),
    identifier: uploaded.identifier,
    channel: uploaded.channel,
    name: uploaded.name,
    outcome: uploaded.outcome,
    message: saidOf(uploaded),
    changes: uploaded.aspects,
    replaces_version_id: uploaded.replacesVersionId ?? null,
    moved_from: renderedMove(uploaded),
    signer: signer === undefined ? null : renderedSigner(signer, signer.expired),
    lines_of: uploaded.linesOf,
    warnings: uploaded.warnings.map(renderedFinding),
    ...dryRun(uploaded.plan),
  };
}

function renderedMove({ movedFrom }: Pick<Uploaded, 'movedFrom'>) {
  return movedFrom === undefined ? null : { channel: movedFrom.channel, profile_id: movedFrom.profileId };
}

/** What the identifier meant: the upload is a version of what has it, or the first with it. */
function saidOf({ outcome, identifier, channel, profileId, replacesVersionId, movedFrom }: Uploaded): string {
  switch (outcome) {
    case 'created':
      return `${identifier} is new in this team`;
    case 'unchanged':
      return `${identifier} is profile ${profileId} of this team, and nothing in it differs`;
    case 'moved':
      return `${identifier} was profile ${movedFrom?.profileId} on the ${movedFrom?.channel} channel; it is removed there and installed on the ${channel} channel`;
    case 'updated':
      return replacesVersionId === undefined
        ? `${identifier} is profile ${profileId} of this team: its name or targets change, its content does not`
        : `${identifier} is profile ${profileId} of this team: this is a new version of it and replaces version ${replacesVersionId}`;
  }
}

export function renderedEdit(edited: Planned<Edited>) {
  return {
    id: edited.profileId,
    version_id: edited.versionId,
    identifier: edited.identifier,
    channel: edited.channel,
    outcome: edited.outcome,
    warnings: edited.warnings.map(renderedFinding),
    ...dryRun(edited.plan),
  };
}

export function renderedSet(replaced: Planned<SetReplaced>) {
  const isDry = replaced.plan !== undefined;
  const of = (outcome: SetEntrySaved['outcome']) =>
    replaced.entries
      .filter((entry) => entry.outcome === outcome)
      .map((entry) => ({
        ...idsOf(outcome, entry, isDry),
        index: entry.index,
        file: entry.file ?? null,
        identifier: entry.identifier,
        channel: entry.channel,
        name: entry.name,
        changes: entry.aspects,
        moved_from: renderedMove(entry),
        lines_of: entry.linesOf,
        warnings: entry.findings.map(renderedFinding),
      }));
  return {
    created: of('created'),
    updated: of('updated'),
    moved: of('moved'),
    unchanged: of('unchanged'),
    deleted: replaced.deleted.map(({ profileId, identifier, channel, name }) => ({
      id: profileId,
      identifier,
      channel,
      name,
    })),
    ...dryRun(replaced.plan),
  };
}

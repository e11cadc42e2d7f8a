import { Router } from 'express';
import { z } from 'zod';
import type { Teams } from '../../hosts/teams.ts';
import type { Profiles } from '../../profiles/profiles.ts';
import type { Profile, ProfileVersion } from '../../profiles/types.ts';
import type { ProfileCounts } from '../../reconciler/count.ts';
import type { Counters } from '../../reconciler/reads.ts';
import { json } from '../answer.ts';
import { api, idOf, queryOfShape } from '../api.ts';
import { renderedFinding } from '../problems.ts';

const Upload = z.strictObject({
  team: z.string().default('Default'),
  name: z.string().min(1).max(255).optional(),
  include: z.enum(['none', 'any', 'all']).optional(),
  min_os: z.string().optional(),
  max_os: z.string().optional(),
});
const TARGETING = ['include', 'label', 'exclude_label', 'min_os', 'max_os'];
const List = z.strictObject({ team: z.string().optional() });

export interface ProfileRoutes {
  readonly profiles: Profiles;
  readonly counters: () => Promise<Counters>;
  readonly teams: Teams;
}

export function profileRoutes({ profiles, counters, teams }: ProfileRoutes): Router {
  const router = Router();

  async function withCounts(list: readonly Profile[]) {
    const names = new Map((await teams.list()).map((team) => [team.id, team.name]));
    const { asOf, profiles: counted } = await counters();
    const counts = new Map(counted.map((count) => [count.profileId, count]));
    const rendered = list.map((profile) => ({
      ...renderedProfile(profile, names.get(profile.teamId) ?? ''),
      ...renderedCounts(counts.get(profile.id)),
    }));
    return { as_of: asOf.toISOString(), rendered };
  }

  router.post(
    '/profiles',
    api('apiProfile', async (call) => {
      const wanted = queryOfShape(call, Upload, ['label', 'exclude_label']);
      const includeLabels = call.query.getAll('label');
      // An upload that says nothing of targets is an edit of the content: it must not widen a profile to everyone.
      const keepTargets = !TARGETING.some((name) => call.query.has(name));
      const uploaded = await profiles.upload(call.body, {
        teamId: await teams.idOf(wanted.team),
        includeMode: wanted.include ?? (includeLabels.length > 0 ? 'any' : 'none'),
        keepTargets,
        includeLabels,
        excludeLabels: call.query.getAll('exclude_label'),
        ...(wanted.name === undefined ? {} : { name: wanted.name }),
        ...(wanted.min_os === undefined ? {} : { minOs: wanted.min_os }),
        ...(wanted.max_os === undefined ? {} : { maxOs: wanted.max_os }),
      });
      return json(uploaded.outcome === 'created' ? 201 : 200, {
        id: uploaded.profileId,
        version_id: uploaded.versionId,
        identifier: uploaded.identifier,
        outcome: uploaded.outcome,
        warnings: uploaded.warnings.map(renderedFinding),
      });
    }),
  );
  router.get(
    '/profiles',
    api('apiRead', async (call) => {
      const { team } = queryOfShape(call, List);
      const list = await profiles.list(team === undefined ? undefined : await teams.idOf(team));
      const { as_of, rendered } = await withCounts(list);
      return json(200, { as_of, profiles: rendered });
    }),
  );
  router.get(
    '/profiles/:id',
    api('apiRead', async (call) => {
      const profile = await profiles.get(idOf(call, 'id'));
      const { as_of, rendered } = await withCounts([profile]);
      return json(200, { as_of, ...rendered[0], versions: profile.versions.map(renderedVersion) });
    }),
  );
  router.get(
    '/profiles/:id/versions/:version/mobileconfig',
    api('apiRead', async (call) => {
      const body = await profiles.original(idOf(call, 'id'), idOf(call, 'version'));
      const headers = {
        'content-type': 'application/x-apple-aspen-config',
        'content-disposition': `attachment; filename="profile-${idOf(call, 'id')}-${idOf(call, 'version')}.mobileconfig"`,
      };
      return { status: 200, headers, body };
    }),
  );
  router.delete(
    '/profiles/:id',
    api('apiRead', async (call) => {
      await profiles.delete(idOf(call, 'id'));
      return json(200, { id: idOf(call, 'id'), outcome: 'deleted' });
    }),
  );
  return router;
}

function renderedProfile(profile: Profile, team: string) {
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
    version: renderedVersion(profile.version),
    updated_at: profile.updatedAt.toISOString(),
  };
}

/** One phrase for people. */
function targetsOf({ includeMode, includeLabels, excludeLabels }: Profile): string {
  const names = (list: Profile['includeLabels']) => list.map((label) => label.name).join(', ');
  const include = includeMode === 'none' ? 'everyone' : `${includeMode} of ${names(includeLabels)}`;
  return excludeLabels.length === 0 ? include : `${include}, not ${names(excludeLabels)}`;
}

function renderedVersion(version: ProfileVersion) {
  return {
    id: version.id,
    content_sha256: version.contentSha256,
    delivery: version.delivery,
    payload_uuid: version.witnessUuid,
    display_name: version.displayName,
    size: version.size,
    created_at: version.createdAt.toISOString(),
  };
}

function renderedCounts(counts: ProfileCounts | undefined) {
  return { in_scope: counts?.inScope ?? 0, counts: counts?.states ?? {} };
}

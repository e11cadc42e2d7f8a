import { Router } from 'express';
import { z } from 'zod';
import type { Teams } from '../../hosts/teams.ts';
import type { Profiles } from '../../profiles/profiles.ts';
import type { Profile } from '../../profiles/types.ts';
import type { Counters } from '../../reconciler/census.ts';
import { json } from '../answer.ts';
import { type ApiCall, api, idOf, jsonBody, namesOf, queryOfShape } from '../api.ts';
import { renderedProfileCounts } from '../render-counts.ts';
import { renderedChange, renderedEdit, renderedProfile, renderedUpload, renderedVersion } from '../render-profile.ts';

/** `true` or `false`, and nothing that looks like them. */
const Flag = z.enum(['true', 'false']).transform((text) => text === 'true');
/** Of every request that changes profiles. `author` is what the history says; a token is what was checked. */
const CHANGE = { dry_run: Flag.default(false), author: z.string().min(1).max(255).default('admin') };
const Change = z.strictObject(CHANGE);
const Nothing = z.strictObject({});
const Name = z.string().min(1).max(255);

const Upload = z.strictObject({
  team: z.string().default('Default'),
  name: Name.optional(),
  include: z.enum(['none', 'any', 'all']).optional(),
  min_os: z.string().optional(),
  max_os: z.string().optional(),
  delivery: z.enum(['verbatim', 'resign']).optional(),
  ...CHANGE,
});
const TARGETING = ['include', 'label', 'exclude_label', 'min_os', 'max_os'];
const One = z.strictObject({ deleted: Flag.default(false) });
const List = z.strictObject({ team: z.string().optional(), deleted: Flag.default(false) });
const Patch = z
  .strictObject({
    name: Name.optional(),
    include: z.enum(['none', 'any', 'all']).optional(),
    labels: z.array(z.string()).optional(),
    exclude_labels: z.array(z.string()).optional(),
    min_os: z.string().nullable().optional(),
    max_os: z.string().nullable().optional(),
  })
  .transform(({ name, include, labels, exclude_labels, min_os, max_os }) => ({
    ...(name === undefined ? {} : { name }),
    ...(include === undefined ? {} : { includeMode: include }),
    ...(labels === undefined ? {} : { includeLabels: labels }),
    ...(exclude_labels === undefined ? {} : { excludeLabels: exclude_labels }),
    ...(min_os === undefined ? {} : { minOs: min_os }),
    ...(max_os === undefined ? {} : { maxOs: max_os }),
  }));
const SomePatch = Patch.refine((patch) => Object.keys(patch).length > 0, 'says nothing to change');

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
      ...renderedProfile(profile, names.get(profile.teamId) ?? '', asOf),
      ...renderedProfileCounts(profile.id, counts.get(profile.id)),
    }));
    return { asOf, rendered };
  }

  router.post(
    '/profiles',
    api('apiProfile', [...namesOf(Upload), 'label', 'exclude_label'], async (call) => {
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
        dryRun: wanted.dry_run,
        by: wanted.author,
        ...(wanted.name === undefined ? {} : { name: wanted.name }),
        ...(wanted.min_os === undefined ? {} : { minOs: wanted.min_os }),
        ...(wanted.max_os === undefined ? {} : { maxOs: wanted.max_os }),
        ...(wanted.delivery === undefined ? {} : { delivery: wanted.delivery }),
      });
      const isNew = uploaded.outcome === 'created' || uploaded.outcome === 'moved';
      return json(isNew && !wanted.dry_run ? 201 : 200, renderedUpload(uploaded));
    }),
  );
  router.get(
    '/profiles',
    api('apiRead', namesOf(List), async (call) => {
      const { team, deleted } = queryOfShape(call, List);
      const list = await profiles.list(team === undefined ? undefined : await teams.idOf(team), deleted);
      const { asOf, rendered } = await withCounts(list);
      return json(200, { as_of: asOf.toISOString(), profiles: rendered });
    }),
  );
  router.get(
    '/profiles/:id',
    api('apiRead', namesOf(One), async (call) => {
      const { deleted } = queryOfShape(call, One);
      const profile = await profiles.get(idOf(call, 'id'), deleted);
      const { asOf, rendered } = await withCounts([profile]);
      const versions = profile.versions.map((version) => renderedVersion(version, asOf));
      const changes = profile.changes.map(renderedChange);
      return json(200, { as_of: asOf.toISOString(), ...rendered[0], versions, changes });
    }),
  );
  router.get(
    '/profiles/:id/versions/:version/mobileconfig',
    api('apiRead', [], async (call) => {
      const body = await profiles.original(idOf(call, 'id'), idOf(call, 'version'));
      const headers = {
        'content-type': 'application/x-apple-aspen-config',
        'content-disposition': `attachment; filename="profile-${idOf(call, 'id')}-${idOf(call, 'version')}.mobileconfig"`,
      };
      return { status: 200, headers, body };
    }),
  );
  router.get(
    '/profiles/:id/versions/:version/diff/:to',
    api('apiRead', [], async (call) => {
      const [id, from, to] = [idOf(call, 'id'), idOf(call, 'version'), idOf(call, 'to')];
      return json(200, { id, from, to, ...(await profiles.diff(id, from, to)) });
    }),
  );
  router.post(
    '/profiles/:id/versions/:version/restore',
    api('apiWrite', namesOf(Change), async (call) => {
      const version = idOf(call, 'version');
      if (call.body.length > 0) jsonBody(call, Nothing);
      return json(200, renderedEdit(await profiles.restoreVersion(idOf(call, 'id'), version, changeOf(call))));
    }),
  );
  router.post(
    '/profiles/:id/restore',
    api('apiWrite', namesOf(Change), async (call) => {
      const patch = call.body.length === 0 ? {} : jsonBody(call, Patch);
      return json(200, renderedEdit(await profiles.restore(idOf(call, 'id'), patch, changeOf(call))));
    }),
  );
  router.patch(
    '/profiles/:id',
    api('apiWrite', namesOf(Change), async (call) => {
      const patch = jsonBody(call, SomePatch);
      return json(200, renderedEdit(await profiles.edit(idOf(call, 'id'), patch, changeOf(call))));
    }),
  );
  router.delete(
    '/profiles/:id',
    api('apiRead', namesOf(Change), async (call) =>
      json(200, renderedEdit(await profiles.delete(idOf(call, 'id'), changeOf(call)))),
    ),
  );
  return router;
}

function changeOf(call: ApiCall) {
  const { dry_run: dryRun, author: by } = queryOfShape(call, Change);
  return { dryRun, by };
}

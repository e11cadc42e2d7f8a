import { Router } from 'express';
import { z } from 'zod';
import { EspalierError } from '../../core/errors.ts';
import type { Teams } from '../../hosts/teams.ts';
import { parseData } from '../../plist/scalars.ts';
import type { Profiles } from '../../profiles/profiles.ts';
import type { SetEntry } from '../../profiles/read-set.ts';
import { json } from '../answer.ts';
import { api, jsonBody, namesOf, queryOfShape, segment } from '../api.ts';
import { renderedSet } from '../render-profile.ts';

/** Profiles of one team; the largest sets known have some hundred. */
const MAX_ENTRIES = 1000;

const Entry = z.strictObject({
  /** Base64 of the file, plain or signed. */
  mobileconfig: z.string(),
  file: z.string().min(1).max(1024).optional(),
  name: z.string().min(1).max(255).optional(),
  include: z.enum(['none', 'any', 'all']).optional(),
  labels: z.array(z.string()).default([]),
  exclude_labels: z.array(z.string()).default([]),
  min_os: z.string().optional(),
  max_os: z.string().optional(),
  delivery: z.enum(['verbatim', 'resign']).optional(),
});
const Body = z.strictObject({
  profiles: z.array(Entry).max(MAX_ENTRIES),
  allow_empty: z.boolean().default(false),
  max_removals: z.number().int().min(0).optional(),
});
const Query = z.strictObject({
  dry_run: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true'),
  author: z.string().min(1).max(255).default('admin'),
});

/** The complete set of a team, as a folder under version control has it. */
export function profileSetRoutes({ profiles, teams }: { profiles: Profiles; teams: Teams }): Router {
  const router = Router();
  router.put(
    '/teams/:team/profiles',
    api('apiProfileSet', namesOf(Query), async (call) => {
      const { dry_run: dryRun, author: by } = queryOfShape(call, Query);
      const teamId = await teams.idOf(segment(call, 'team'));
      const { profiles: entries, allow_empty: allowEmpty, max_removals } = jsonBody(call, Body);
      const replaced = await profiles.replaceSet(entries.map(entryOf), {
        teamId,
        dryRun,
        by,
        allowEmpty,
        ...(max_removals === undefined ? {} : { maxRemovals: max_removals }),
      });
      return json(200, renderedSet(replaced));
    }),
  );
  return router;
}

/** What is absent is the default and not what was there before: the list is all there is to know. */
function entryOf(entry: z.output<typeof Entry>, index: number): SetEntry {
  const bytes = parseData(entry.mobileconfig);
  if (bytes === undefined) {
    throw new EspalierError('request_malformed', `profiles.${index}.mobileconfig is not base64`, {
      place: { path: `profiles.${index}.mobileconfig` },
    });
  }
  const { file, name, labels, exclude_labels, min_os, max_os, delivery } = entry;
  return {
    bytes,
    file,
    name,
    delivery,
    targets: {
      includeMode: entry.include ?? (labels.length > 0 ? 'any' : 'none'),
      includeLabels: labels,
      excludeLabels: exclude_labels,
      ...(min_os === undefined ? {} : { minOs: min_os }),
      ...(max_os === undefined ? {} : { maxOs: max_os }),
    },
  };
}

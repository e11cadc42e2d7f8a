import { Router } from 'express';
import { z } from 'zod';
import { type DriftReads, driftWords } from '../../reconciler/drift-reads.ts';
import type { DriftItem } from '../../reconciler/ports.ts';
import { DRIFT_KINDS } from '../../reconciler/types.ts';
import { json } from '../answer.ts';
import { api, namesOf, queryOfShape } from '../api.ts';

const MAX_PAGE = 1000;
const Page = z.strictObject({
  kind: z.enum(DRIFT_KINDS).optional(),
  team: z.string().optional(),
  cursor: z
    .string()
    .regex(/^\d{1,15}\.\d{1,15}$/, 'is not a cursor of this list')
    .optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(100),
});

export interface DriftRoutes {
  readonly drift: DriftReads;
  /** Errors: team_not_found. */
  readonly teamId: (name: string) => Promise<number>;
}

export function driftRoutes({ drift, teamId }: DriftRoutes): Router {
  const router = Router();
  router.get(
    '/drift',
    api('apiRead', namesOf(Page), async (call) => {
      const { kind, team, cursor, limit } = queryOfShape(call, Page);
      const [enrollment = 0, place = 0] = (cursor ?? '').split('.').map(Number);
      const after = cursor === undefined ? undefined : { enrollment, place };
      const team_id = team === undefined ? undefined : await teamId(team);
      const { asOf, counts, items, next } = await drift.page({ kind, teamId: team_id, after, limit });
      return json(200, {
        as_of: asOf.toISOString(),
        counts: counts ?? null,
        drift: items.map(rendered),
        next_cursor: next === undefined ? null : `${next.enrollment}.${next.place}`,
      });
    }),
  );
  return router;
}

function rendered(item: DriftItem) {
  return {
    host_id: item.hostId,
    host_name: item.hostName,
    team: item.team,
    channel: item.channel,
    user_short_name: item.userShortName ?? null,
    kind: item.kind,
    says: driftWords(item.kind),
    identifier: item.identifier,
    display_name: item.displayName,
    uuid: item.uuid,
    seen_at: item.seenAt?.toISOString() ?? null,
  };
}

import { Router } from 'express';
import { z } from 'zod';
import type { TeamDeletion, Teams } from '../../hosts/teams.ts';
import { json } from '../answer.ts';
import { api, jsonBody, namesOf, queryOfShape, segment } from '../api.ts';
import { renderedPlan } from '../render-plan.ts';

const NewTeam = z.strictObject({ name: z.string() });
const Deletion = z.strictObject({
  move_to: z.string().default('Default'),
  dry_run: z.enum(['true', 'false']).default('false'),
});

export function teamRoutes({ teams }: { teams: Teams }): Router {
  const router = Router();
  router.get(
    '/teams',
    api('apiRead', [], async () => json(200, { teams: await teams.list() })),
  );
  router.post(
    '/teams',
    api('apiWrite', [], async (call) => {
      const { name } = jsonBody(call, NewTeam);
      return json(201, { id: await teams.create(name), name: name.trim() });
    }),
  );
  router.patch(
    '/teams/:team',
    api('apiWrite', [], async (call) =>
      json(200, await teams.rename(segment(call, 'team'), jsonBody(call, NewTeam).name)),
    ),
  );
  router.delete(
    '/teams/:team',
    api('apiRead', namesOf(Deletion), async (call) => {
      const name = segment(call, 'team');
      const { move_to: moveTo, dry_run } = queryOfShape(call, Deletion);
      if (dry_run === 'true') {
        const { deletion, plan } = await teams.planDelete(name, moveTo);
        return json(200, { dry_run: true, name, ...renderedDeletion(deletion), plan: renderedPlan(plan) });
      }
      return json(200, { name, outcome: 'deleted', ...renderedDeletion(await teams.delete(name, moveTo)) });
    }),
  );
  return router;
}

function renderedDeletion({ movedTo, hosts, profiles }: TeamDeletion) {
  return { moved_to: movedTo, hosts, profiles };
}

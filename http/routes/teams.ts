import { Router } from 'express';
import { z } from 'zod';
import type { Teams } from '../../hosts/teams.ts';
import { json } from '../answer.ts';
import { api, jsonBody } from '../api.ts';

const NewTeam = z.strictObject({ name: z.string() });

export function teamRoutes({ teams }: { teams: Teams }): Router {
  const router = Router();
  router.get(
    '/teams',
    api('apiRead', async () => json(200, { teams: await teams.list() })),
  );
  router.post(
    '/teams',
    api('apiWrite', async (call) => {
      const { name } = jsonBody(call, NewTeam);
      return json(201, { id: await teams.create(name), name: name.trim() });
    }),
  );
  return router;
}

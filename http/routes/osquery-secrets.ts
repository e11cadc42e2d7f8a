import { Router } from 'express';
import { z } from 'zod';
import { json } from '../answer.ts';
import { api, jsonBody } from '../api.ts';

const NewSecret = z.strictObject({ team: z.string().default('Default') });

export interface OsquerySecretRoutes {
  readonly createSecret: (teamId: number) => Promise<string>;
  /** Errors: team_not_found. */
  readonly teamId: (name: string) => Promise<number>;
}

export function osquerySecretRoutes({ createSecret, teamId }: OsquerySecretRoutes): Router {
  const router = Router();
  router.post(
    '/osquery/enroll-secrets',
    api('apiWrite', [], async (call) => {
      const { team } = jsonBody(call, NewSecret);
      return json(201, { enroll_secret: await createSecret(await teamId(team)), team });
    }),
  );
  return router;
}

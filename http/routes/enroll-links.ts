import { Router } from 'express';
import { z } from 'zod';
import type { EnrollLinks } from '../../scep/enroll-links.ts';
import { json } from '../answer.ts';
import { api, jsonBody } from '../api.ts';

const DAY_SECONDS = 86_400;

const NewLink = z.strictObject({
  serial_number: z.string().min(1).max(64).optional(),
  uses: z.number().int().min(1).max(100_000).default(1),
  ttl_seconds: z
    .number()
    .int()
    .min(60)
    .max(365 * DAY_SECONDS)
    .default(DAY_SECONDS),
  team: z.string().default('Default'),
});

export interface EnrollLinkRoutes {
  readonly links: EnrollLinks;
  readonly publicUrl: string;
  /** Errors: team_not_found. */
  readonly teamId: (name: string) => Promise<number>;
}

export function enrollLinkRoutes({ links, publicUrl, teamId }: EnrollLinkRoutes): Router {
  const router = Router();
  router.post(
    '/enroll-links',
    api('apiWrite', [], async (call) => {
      const wanted = jsonBody(call, NewLink);
      const { id, code, expiresAt } = await links.create({
        uses: wanted.uses,
        ttlSeconds: wanted.ttl_seconds,
        teamId: await teamId(wanted.team),
        ...(wanted.serial_number === undefined ? {} : { serialNumber: wanted.serial_number }),
      });
      return json(201, { id, url: `${publicUrl}/enroll/${code}`, expires_at: expiresAt.toISOString() });
    }),
  );
  return router;
}

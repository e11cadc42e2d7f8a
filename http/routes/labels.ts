import { Router } from 'express';
import { z } from 'zod';
import type { Labels, MembersChange } from '../../hosts/labels.ts';
import { json } from '../answer.ts';
import { type ApiCall, api, jsonBody, segment } from '../api.ts';

const NewLabel = z.strictObject({ name: z.string() });
const Hosts = z.strictObject({ hosts: z.array(z.string()) });

export function labelRoutes({ labels }: { labels: Labels }): Router {
  const router = Router();
  const change = (decide: (name: string, hosts: readonly string[]) => Promise<MembersChange>) =>
    api('apiWrite', async (call: ApiCall) =>
      json(200, await decide(segment(call, 'label'), jsonBody(call, Hosts).hosts)),
    );

  router.get(
    '/labels',
    api('apiRead', async () => json(200, { labels: await labels.list() })),
  );
  router.post(
    '/labels',
    api('apiWrite', async (call) => {
      const { name } = jsonBody(call, NewLabel);
      return json(201, { id: await labels.create(name), name: name.trim() });
    }),
  );
  router.put('/labels/:label/hosts', change(labels.setHosts));
  router.post('/labels/:label/hosts', change(labels.addHosts));
  router.delete('/labels/:label/hosts', change(labels.removeHosts));
  router.delete(
    '/labels/:label',
    api('apiRead', async (call) => {
      await labels.delete(segment(call, 'label'));
      return json(200, { name: segment(call, 'label'), outcome: 'deleted' });
    }),
  );
  return router;
}

import { Router } from 'express';
import { z } from 'zod';
import type { LabelDeletion, Labels, MembersChange } from '../../hosts/labels.ts';
import type { CountedLabel, Label, LabelView, ProfileUse } from '../../hosts/types.ts';
import { json } from '../answer.ts';
import { type ApiCall, api, jsonBody, namesOf, queryOfShape, segment } from '../api.ts';
import { renderedPlan } from '../render-plan.ts';

const NewLabel = z.strictObject({
  name: z.string(),
  kind: z.enum(['manual', 'dynamic', 'host_vitals']).optional(),
  query: z.string().optional(),
  criteria: z.unknown().optional(),
});
const Edit = z.strictObject({
  name: z.string().optional(),
  query: z.string().optional(),
  criteria: z.unknown().optional(),
});
const Hosts = z.strictObject({ hosts: z.array(z.string()) });
const flag = z.enum(['true', 'false']).default('false');
const Deletion = z.strictObject({ detach: flag, dry_run: flag });

export function labelRoutes({ labels }: { labels: Labels }): Router {
  const router = Router();
  const change = (decide: (name: string, hosts: readonly string[]) => Promise<MembersChange>) =>
    api('apiWrite', [], async (call: ApiCall) =>
      json(200, await decide(segment(call, 'label'), jsonBody(call, Hosts).hosts)),
    );

  router.get(
    '/labels',
    api('apiRead', [], async () => json(200, { labels: (await labels.list()).map(renderedCounts) })),
  );
  router.post(
    '/labels',
    api('apiWrite', [], async (call) => json(201, rendered(await labels.create(jsonBody(call, NewLabel))))),
  );
  router.get(
    '/labels/:label',
    api('apiRead', [], async (call) => json(200, renderedView(await labels.get(segment(call, 'label'))))),
  );
  router.patch(
    '/labels/:label',
    api('apiWrite', [], async (call) =>
      json(200, rendered(await labels.edit(segment(call, 'label'), jsonBody(call, Edit)))),
    ),
  );
  router.put('/labels/:label/hosts', change(labels.setHosts));
  router.post('/labels/:label/hosts', change(labels.addHosts));
  router.delete('/labels/:label/hosts', change(labels.removeHosts));
  router.delete(
    '/labels/:label',
    api('apiRead', namesOf(Deletion), async (call) => {
      const name = segment(call, 'label');
      const query = queryOfShape(call, Deletion);
      const options = { detach: query.detach === 'true' };
      if (query.dry_run === 'true') {
        const { plan, ...deletion } = await labels.planDelete(name, options);
        return json(200, { dry_run: true, name, ...renderedDeletion(deletion), plan: renderedPlan(plan) });
      }
      return json(200, { name, outcome: 'deleted', ...renderedDeletion(await labels.delete(name, options)) });
    }),
  );
  return router;
}

function rendered(label: Label) {
  return {
    id: label.id,
    name: label.name,
    kind: label.kind,
    query: label.kind === 'dynamic' ? label.query : null,
    criteria: label.kind === 'host_vitals' ? label.criteria : null,
  };
}

function renderedCounts({ id, name, kind, hosts, unknown, leaving }: CountedLabel) {
  return { id, name, kind, hosts, unknown, leaving };
}

function renderedView({ label, counts, total, filled, evaluatedAt, errors, profiles }: LabelView) {
  return {
    ...rendered(label),
    ...counts,
    total_hosts: total,
    filled,
    evaluated_at: evaluatedAt?.toISOString() ?? null,
    errors: errors.map((error) => ({ host_id: error.hostId, host_name: error.hostName, message: error.message })),
    profiles: profiles.map(renderedUse),
  };
}

function renderedDeletion({ detached, once }: LabelDeletion) {
  return { detached: detached.map(renderedUse), deleted_profiles: once.map(renderedUse) };
}

function renderedUse({ id, identifier, name, team, role }: ProfileUse) {
  return { id, identifier, name, team, role };
}

import { Router } from 'express';
import { z } from 'zod';
import { hostDisplayName } from '../../core/host-name.ts';
import type { Inventory } from '../../hosts/inventory.ts';
import type { ReconcilerActions, ResentPair } from '../../reconciler/actions.ts';
import { IN_SCOPE_STATES } from '../../reconciler/count.ts';
import { FAILURE_CODES } from '../../reconciler/errors.ts';
import type { ProfileHost } from '../../reconciler/lists.ts';
import type { ReconcilerReads } from '../../reconciler/reads.ts';
import { WAITING_REASONS } from '../../reconciler/waiting-words.ts';
import { json } from '../answer.ts';
import { api, idOf, namesOf, queryOfShape, segment } from '../api.ts';
import { renderedStatus } from '../render-counts.ts';

const MAX_PAGE = 500;
/** A place among enrolments. */
export const Place = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);
const HostsOfProfile = z.strictObject({
  state: z.enum(IN_SCOPE_STATES).optional(),
  waiting: z.enum(WAITING_REASONS).optional(),
  error: z.enum(FAILURE_CODES).optional(),
  cursor: Place.default(0),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(100),
});
const Resend = z.strictObject({ channel: z.enum(['device', 'user']).optional() });
const ResendMany = z.strictObject({ state: z.literal('failed') });

export interface StateRoutes {
  readonly inventory: Inventory;
  readonly reads: ReconcilerReads;
  readonly actions: ReconcilerActions;
}

/** Counts, the lists behind them, and what an admin can do about a pair. */
export function stateRoutes({ inventory, reads, actions }: StateRoutes): Router {
  const router = Router();
  router.get(
    '/status',
    api('apiRead', [], async () => json(200, renderedStatus(await reads.counters()))),
  );
  router.get(
    '/profiles/:id/hosts',
    api('apiRead', namesOf(HostsOfProfile), async (call) => {
      const { state, waiting, error, cursor, limit } = queryOfShape(call, HostsOfProfile);
      const { profileHosts } = reads.lists;
      const page = await profileHosts(idOf(call, 'id'), { state, waiting, error }, cursor, limit);
      return json(200, {
        as_of: page.asOf.toISOString(),
        hosts: page.items.map(renderedHost),
        next_cursor: page.next === undefined ? null : String(page.next),
      });
    }),
  );
  router.post(
    '/profiles/:id/resend',
    api('apiWrite', namesOf(ResendMany), async (call) => {
      queryOfShape(call, ResendMany);
      const { resent, left } = await actions.resendFailed(idOf(call, 'id'));
      return json(202, { profile_id: idOf(call, 'id'), resent, left });
    }),
  );
  router.post(
    '/hosts/:host/profiles/:identifier/resend',
    api('apiWrite', namesOf(Resend), async (call) => {
      const { channel } = queryOfShape(call, Resend);
      const host = await inventory.get(segment(call, 'host'));
      const identifier = segment(call, 'identifier');
      const resent = await actions.resend(host.id, identifier, channel);
      return json(202, { host: hostDisplayName(host), identifier, channels: resent.map(renderedResent) });
    }),
  );
  return router;
}

function renderedHost(host: ProfileHost) {
  return {
    id: host.hostId,
    name: host.hostName,
    serial_number: host.serialNumber ?? null,
    channel: host.channel,
    state: host.state,
    waiting: host.waiting ?? null,
    reason: host.reason,
    since: host.since?.toISOString() ?? null,
  };
}

function renderedResent({ channel, op, versionId, was, superseded }: ResentPair) {
  const what = op === 'install' ? `Version ${versionId} is sent again` : 'The removal is sent again';
  const instead = superseded === undefined ? '' : ', in place of the command that was under way';
  return {
    channel,
    operation: op,
    version_id: versionId,
    was,
    superseded_command: superseded ?? null,
    says: `${what}${instead}; it was ${was}.`,
  };
}

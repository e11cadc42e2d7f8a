import { Router } from 'express';
import { z } from 'zod';
import { EspalierError } from '../../core/errors.ts';
import { hostDisplayName } from '../../core/host-name.ts';
import type { Inventory } from '../../hosts/inventory.ts';
import type { Host, LabelDetail } from '../../hosts/types.ts';
import type { EnrollmentView } from '../../mdm/types.ts';
import { FAILURE_CODES } from '../../reconciler/errors.ts';
import type { EvidenceLine } from '../../reconciler/evidence.ts';
import type { PairView } from '../../reconciler/page.ts';
import type { ReconcilerReads } from '../../reconciler/reads.ts';
import { WAITING_REASONS } from '../../reconciler/waiting-words.ts';
import { HOST_STATES } from '../../reconciler/worst-state.ts';
import { json } from '../answer.ts';
import { api, jsonBody, namesOf, queryOfShape, segment } from '../api.ts';
import { Place } from './states.ts';

const MAX_PAGE = 500;
const Page = z.strictObject({
  team: z.string().optional(),
  label: z.string().optional(),
  query: z.string().max(255).optional(),
  /** By what a pair of the host is; then `cursor` is a place among enrolments. */
  state: z.enum(HOST_STATES).optional(),
  waiting: z.enum(WAITING_REASONS).optional(),
  error: z.enum(FAILURE_CODES).optional(),
  cursor: z.union([z.uuid(), Place]).optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(100),
});
const Move = z.strictObject({ team: z.string() });

export interface HostRoutes {
  readonly inventory: Inventory;
  readonly reads: ReconcilerReads;
  readonly enrollmentsOfHost: (hostId: string) => Promise<readonly EnrollmentView[]>;
  /** Errors: team_not_found. */
  readonly teamId: (name: string) => Promise<number>;
}

export function hostRoutes({ inventory, reads, enrollmentsOfHost, teamId }: HostRoutes): Router {
  const router = Router();

  /** Hosts by what their pairs are: another order than by id, and so another cursor. */
  async function byState({ team, label, query, state, waiting, error, cursor = 0, limit }: z.output<typeof Page>) {
    if (label !== undefined || query !== undefined || typeof cursor === 'string')
      throw new EspalierError('request_malformed', 'state, waiting and error go with team, cursor and limit alone');
    if (state !== undefined && (waiting !== undefined || error !== undefined))
      throw new EspalierError(
        'request_malformed',
        'state is of the host, waiting and error are of one profile: ask for one',
      );
    const of = team === undefined ? undefined : await teamId(team);
    const { lists } = reads;
    const page =
      state === undefined
        ? await lists.hostsWith({ waiting, error }, of, cursor, limit)
        : await lists.hostsInState(state, of, cursor, limit);
    const hosts = await inventory.byIds(page.items);
    const next = page.next === undefined ? null : String(page.next);
    return { as_of: page.asOf.toISOString(), hosts: hosts.map(rendered), next_cursor: next };
  }

  router.get(
    '/hosts',
    api('apiRead', namesOf(Page), async (call) => {
      const query = queryOfShape(call, Page);
      const { team, label, query: text, cursor, limit } = query;
      if (query.state !== undefined || query.waiting !== undefined || query.error !== undefined)
        return json(200, await byState(query));
      if (typeof cursor === 'number') throw new EspalierError('request_malformed', 'cursor: is of another list');
      const { hosts, next } = await inventory.page({ team, label, text, after: cursor, limit });
      return json(200, { hosts: hosts.map(rendered), next_cursor: next ?? null });
    }),
  );
  router.get(
    '/hosts/:host',
    api('apiRead', [], async (call) => {
      const host = await inventory.get(segment(call, 'host'));
      const enrollments = await enrollmentsOfHost(host.id);
      const details = (await inventory.labels(host)).map(renderedLabel);
      return json(200, { ...rendered(host), label_details: details, enrollments: enrollments.map(renderedEnrollment) });
    }),
  );
  router.put(
    '/hosts/:host/team',
    api('apiWrite', [], async (call) => {
      const { team } = jsonBody(call, Move);
      await inventory.moveToTeam(segment(call, 'host'), await teamId(team));
      return json(200, rendered(await inventory.get(segment(call, 'host'))));
    }),
  );
  router.get(
    '/hosts/:host/profiles',
    api('apiRead', [], async (call) => {
      const { id } = await inventory.get(segment(call, 'host'));
      const { profiles, asOf } = await reads.hostProfiles(id);
      return json(200, { as_of: asOf.toISOString(), profiles: profiles.map(renderedPair) });
    }),
  );
  router.get(
    '/hosts/:host/profiles/:identifier/why',
    api('apiRead', [], async (call) => {
      const host = await inventory.get(segment(call, 'host'));
      const identifier = segment(call, 'identifier');
      const pairs = await reads.why(host.id, identifier);
      return json(200, { host: hostDisplayName(host), identifier, channels: pairs.map(renderedPair) });
    }),
  );
  return router;
}

function rendered(host: Host) {
  return {
    id: host.id,
    udid: host.udid ?? null,
    serial_number: host.serialNumber ?? null,
    name: host.name,
    display_name: hostDisplayName(host),
    model: host.model,
    product_name: host.productName,
    os_version: host.osVersion,
    build_version: host.buildVersion,
    team: host.teamName,
    labels: host.labels,
    enrollment: host.enrollment,
    last_seen_at: host.lastSeenAt?.toISOString() ?? null,
  };
}

/** `labels` are the ones that hold; here are those that are not known too, and why. */
function renderedLabel({ name, kind, member, since, why }: LabelDetail) {
  return { name, kind, member, since: since?.toISOString() ?? null, why: why ?? null };
}

/** No token and no secret is in an EnrollmentView, so nothing here has to be left out. */
function renderedEnrollment(enrollment: EnrollmentView) {
  return {
    enrollment_id: enrollment.enrollmentId,
    type: enrollment.type,
    channel: enrollment.channel,
    user_short_name: enrollment.userShortName ?? null,
    state: enrollment.state,
    generation: enrollment.generation,
    binding: enrollment.binding,
    topic: enrollment.topic,
    certificate_sha256: enrollment.certificateSha256 ?? null,
    quarantined_certificates: enrollment.quarantinedCertificates,
    enrolled_at: enrollment.enrolledAt?.toISOString() ?? null,
    last_seen_at: enrollment.seenAt?.toISOString() ?? null,
    ended_at: enrollment.endedAt?.toISOString() ?? null,
  };
}

function renderedPair(pair: PairView) {
  return {
    identifier: pair.identifier,
    name: pair.name,
    channel: pair.channel,
    user_short_name: pair.userShortName ?? null,
    state: pair.state,
    waiting: pair.waiting ?? null,
    reason: pair.reason,
    profile_id: pair.profileId ?? null,
    wanted_version_id: pair.wantedVersionId ?? null,
    held_version_id: pair.heldVersionId ?? null,
    evidence_level: pair.proof?.level ?? null,
    evidence: pair.evidence.map(renderedEvidence),
  };
}

function renderedEvidence({ about, says, at, ageSeconds }: EvidenceLine) {
  return { about, says, at: at?.toISOString() ?? null, age_seconds: ageSeconds ?? null };
}

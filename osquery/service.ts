import type { Clock, Random } from '../core/clock.ts';
import type { Effect, EnrollmentEffect } from '../core/effects.ts';
import type { Log } from '../core/log.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import { createLabelAsks } from './label-asks.ts';
import { hashOf, newNodeKey } from './node-key.ts';
import { createNodes } from './nodes.ts';
import type { ApplyEffects, HostMatcher, OsqueryStore } from './ports.ts';
import { QUERIES, type QueryName } from './queries.ts';
import { readLabelReports } from './read-labels.ts';
import { agentFacts, readReport, record, text } from './read-report.ts';
import type { AgentAnswer, AgentReport, OsqueryNode } from './types.ts';
import { type NamedQuery, userProfilesQuery } from './user-profiles.ts';

export interface OsqueryDeps {
  readonly store: OsqueryStore;
  readonly unitOfWork: UnitOfWork;
  readonly hosts: HostMatcher;
  readonly applyEffects: ApplyEffects;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Milliseconds: how often agents ask for queries. */
  readonly intervalMs: number;
  readonly profilesEveryMs: number;
  readonly labelsEveryMs: number;
}

export type AgentEndpoint = 'enroll' | 'config' | 'distributed/read' | 'distributed/write' | 'log';
export type OsqueryService = ReturnType<typeof createOsqueryService>;

/** Re-enrols the agent: said only of a key that the database does not know, never of a failure of ours. */
const NODE_INVALID: AgentAnswer = { status: 200, body: { node_invalid: true } };
const EMPTY: AgentAnswer = { status: 200, body: {} };
const UNAVAILABLE: AgentAnswer = { status: 503, body: { error: 'the server cannot answer now' } };

/** osquery's TLS API (osquery wiki, remote deployment). osquery reads the JSON, not the HTTP status. */
export function createOsqueryService(deps: OsqueryDeps) {
  const nodes = createNodes(deps);
  const labels = createLabelAsks({ ...deps, everyMs: deps.labelsEveryMs, soonMs: deps.intervalMs });

  async function enroll(body: Readonly<Record<string, unknown>>): Promise<AgentAnswer> {
    const secret = text(body['enroll_secret']);
    const hostIdentifier = text(body['host_identifier']);
    if (secret === undefined || hostIdentifier === undefined) return NODE_INVALID;
    const details = record(body['host_details']);
    const facts = agentFacts(
      record(details['system_info']),
      record(details['os_version']),
      record(details['osquery_info']),
    );
    const key = newNodeKey(deps.random);
    const enrolled = await deps.unitOfWork.run(async (tx) => {
      const teamId = await deps.store.teamOfSecret(tx, hashOf(secret));
      if (teamId === undefined) return false;
      const { hostId, made } = await deps.hosts.findOrCreate(tx, { hardwareUuid: hostIdentifier, ...facts }, teamId);
      const node = {
        keyHash: hashOf(key.reveal()),
        hostId,
        hostIdentifier,
        osqueryVersion: facts.osqueryVersion ?? '',
      };
      await deps.store.addNode(tx, node, deps.clock.now());
      if (made) await deps.applyEffects(tx, [{ kind: 'host_facts_changed', hostId, osChanged: false }]);
      return true;
    });
    if (!enrolled) {
      deps.log.warn({ hostIdentifier }, 'osquery enrolment refused: osquery_enroll_secret_invalid');
      return NODE_INVALID;
    }
    nodes.forgetHost(hostIdentifier);
    return { status: 200, body: { node_key: key.reveal() } };
  }

  function config(): AgentAnswer {
    const options = {
      distributed_interval: Math.max(1, Math.round(deps.intervalMs / 1000)),
      disable_distributed: false,
    };
    return { status: 200, body: { options } };
  }

  async function distributedRead(nodeKey: string, node: OsqueryNode): Promise<AgentAnswer> {
    const due = nodes.due(nodeKey);
    const asked = await labels.due(node);
    if (due.length === 0 && asked.length === 0) return { status: 200, body: { queries: {} } };
    const users =
      due.includes('espalier_profiles') && nodes.hasUserProfiles(nodeKey) ? await usersQueries(node.hostId) : [];
    const all = [...due.map((name: QueryName) => ({ name, ...QUERIES[name] })), ...users, ...asked];
    const pick = (part: 'sql' | 'discovery') => Object.fromEntries(all.map((query) => [query.name, query[part]]));
    return { status: 200, body: { queries: pick('sql'), discovery: pick('discovery') } };
  }

  async function usersQueries(hostId: string): Promise<readonly NamedQuery[]> {
    return (await deps.store.managedUsers(hostId)).flatMap((user) => userProfilesQuery(user) ?? []);
  }

  /** Everything a report says about profiles, of the channels that are this host's. */
  async function observations(tx: Tx, hostId: string, { profiles, users, policies }: AgentReport): Promise<Effect[]> {
    const enrollment = await deps.store.deviceEnrollment(tx, hostId);
    const own = users.length === 0 ? [] : (await deps.store.managedUsers(hostId, tx)).map((user) => user.enrollment);
    const seen = users.filter((user) => own.includes(user.enrollment));
    const device = enrollment === undefined || profiles === undefined ? [] : [{ enrollment, observation: profiles }];
    const effects = [...device, ...seen].map(
      (one): EnrollmentEffect => ({ kind: 'profiles_observed', source: 'osquery', ...one }),
    );
    if (enrollment !== undefined && policies !== undefined)
      effects.push({ kind: 'policies_observed', enrollment, policies });
    // Ascending, as everybody does who locks several enrolments.
    return effects.toSorted((one, other) => one.enrollment - other.enrollment);
  }

  async function distributedWrite(
    nodeKey: string,
    node: OsqueryNode,
    body: Readonly<Record<string, unknown>>,
  ): Promise<AgentAnswer> {
    const { hostId } = node;
    const report = readReport(body);
    const answered = readLabelReports(body);
    // Which machine an agent speaks for was settled when it enrolled; no later report moves it (S16).
    const { hardwareUuid, ...facts } = report.facts;
    const hasFacts = hardwareUuid !== undefined || Object.keys(facts).length > 0;
    const { profiles, users, policies, hasUserProfiles } = report;
    const observes = profiles !== undefined || users.length > 0 || policies !== undefined;
    if (observes || hasFacts || answered.length > 0) {
      await deps.unitOfWork.run(async (tx) => {
        const changed = hasFacts ? await deps.store.recordFacts(tx, hostId, facts, deps.clock.now()) : undefined;
        const effects: Effect[] = [
          ...(changed === undefined ? [] : [{ kind: 'host_facts_changed', hostId, ...changed } as const]),
          ...answered.map((one) => ({ kind: 'labels_answered', hostId, ...one }) as const),
          ...(observes ? await observations(tx, hostId, report) : []),
        ];
        if (effects.length > 0) await deps.applyEffects(tx, effects);
      });
    }
    for (const { epoch, answers } of answered) {
      labels.reported(node, { epoch, failed: answers.some((one) => one.answer === 'error') });
    }
    nodes.reported(nodeKey, { profiles: profiles !== undefined, hasUserProfiles, details: hasFacts });
    return EMPTY;
  }

  return {
    /** Answers one agent request; an unreadable body is 400 without node_invalid, a failure of ours is 503. */
    async handle(endpoint: AgentEndpoint, rawBody: Buffer): Promise<AgentAnswer> {
      const body = parse(rawBody);
      if (body === undefined) return { status: 400, body: { error: 'the body is not a JSON object' } };
      try {
        if (endpoint === 'enroll') return await enroll(body);
        const nodeKey = text(body['node_key']);
        const node = nodeKey === undefined ? undefined : await nodes.find(nodeKey);
        if (nodeKey === undefined || node === undefined) return NODE_INVALID;
        switch (endpoint) {
          case 'config':
            return config();
          case 'distributed/read':
            return await distributedRead(nodeKey, node);
          case 'distributed/write':
            return await distributedWrite(nodeKey, node, body);
          case 'log':
            return EMPTY;
        }
      } catch (error) {
        deps.log.error({ err: error, endpoint }, 'osquery request failed');
        return UNAVAILABLE;
      }
    },
    /** Reads which hosts wait for evidence; run by a job. */
    async refresh(): Promise<void> {
      await nodes.refreshVerifying();
      await labels.refreshSoon();
    },
    /** Reads whether labels have changed; run by a job each second. */
    refreshLabels: () => labels.refreshList(),
    flush: () => nodes.flushSeen(),
    /** A new secret that agents of a team enrol with; shown once. */
    async createSecret(teamId: number): Promise<string> {
      const secret = newNodeKey(deps.random).reveal();
      await deps.unitOfWork.run((tx) => deps.store.addSecret(tx, hashOf(secret), teamId, deps.clock.now()));
      return secret;
    },
  };
}

function parse(rawBody: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(rawBody.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? record(value) : undefined;
  } catch {
    return undefined;
  }
}

import type { Observation, ObservedPolicy, ObservedProfile } from '../core/effects.ts';
import type { AgentFacts, AgentReport } from './types.ts';
import { userOf } from './user-profiles.ts';

type Row = Readonly<Record<string, unknown>>;
type Outcome = { readonly rows: readonly Row[] } | { readonly error: string } | undefined;

/** A Mac with thousands of profiles does not exist; a broken or hostile agent may claim one. */
const MAX_PROFILES = 10_000;
const MAX_POLICIES = 20_000;
/** User channels of one Mac that a report may speak of. */
const MAX_USERS = 20;
/** UTF-16 units; of three octets each they still fit an index entry, as serial numbers and hardware UUIDs must. */
const MAX_TEXT = 512;

/**
 * A distributed/write body as osquery sends it: rows or "" per query, statuses as numbers or strings, names we never
 * asked for. Zero rows, an absent table and a failed query stay three different observations (design §4).
 */
export function readReport(body: Row): AgentReport {
  return {
    profiles: profilesOf(body),
    users: usersOf(body),
    hasUserProfiles: tablesOf(body)?.has('macos_user_profiles'),
    policies: policiesOf(body),
    facts: factsOf(body),
  };
}

function outcomeOf(body: Row, name: string): Outcome {
  const statuses = record(body['statuses']);
  const status = statuses[name];
  if (status !== undefined && Number(status) !== 0) {
    const message = record(body['messages'])[name];
    return { error: text(message) ?? `osquery status ${text(status) ?? '?'}` };
  }
  const queries = record(body['queries']);
  if (!Object.hasOwn(queries, name)) return undefined;
  const rows = queries[name];
  if (rows === '') return { rows: [] };
  return Array.isArray(rows) ? { rows: rows.map(record) } : { error: 'the rows are not a list' };
}

/** Undefined where the agent has not said. */
function tablesOf(body: Row): ReadonlySet<string> | undefined {
  const tables = outcomeOf(body, 'espalier_tables');
  return tables !== undefined && 'rows' in tables
    ? new Set(tables.rows.flatMap((row) => text(row['name']) ?? []))
    : undefined;
}

/** The same for the users of whom it was asked. Their rows are theirs by the name of the query: the table may not repeat it. */
function usersOf(body: Row): AgentReport['users'] {
  const names = Object.keys(record(body['queries'])).filter((name) => userOf(name) !== undefined);
  return names.slice(0, MAX_USERS).flatMap((name) => {
    const enrollment = userOf(name);
    const observation = observationOf(body, outcomeOf(body, name), false);
    return enrollment === undefined || observation === undefined ? [] : [{ enrollment, observation }];
  });
}

/** No row says nothing: a Mac without managed preferences and a table that could not be read look the same. */
function policiesOf(body: Row): readonly ObservedPolicy[] | undefined {
  const policies = outcomeOf(body, 'espalier_policies');
  if (policies === undefined || !('rows' in policies)) return undefined;
  if (policies.rows.length === 0 || policies.rows.length > MAX_POLICIES) return undefined;
  return policies.rows.flatMap((row) => {
    const domain = text(row['domain']);
    const name = text(row['name']);
    return domain === undefined || name === undefined ? [] : [{ domain, name }];
  });
}

function profilesOf(body: Row): Observation | undefined {
  return observationOf(body, outcomeOf(body, 'espalier_profiles'), tablesOf(body)?.has('macos_profiles') === false);
}

function observationOf(body: Row, profiles: Outcome, absent: boolean): Observation | undefined {
  if (profiles === undefined) return absent ? { state: 'table_absent' } : undefined;
  if ('error' in profiles) {
    return /no such table/i.test(profiles.error)
      ? { state: 'table_absent' }
      : { state: 'query_error', message: profiles.error };
  }
  if (profiles.rows.length === 0) return absent ? { state: 'table_absent' } : { state: 'zero_rows' };
  if (profiles.rows.length > MAX_PROFILES) {
    return { state: 'query_error', message: `${profiles.rows.length} rows; at most ${MAX_PROFILES} are believed` };
  }
  const osBuild = text(firstRow(outcomeOf(body, 'espalier_build'))['build']);
  return { state: 'rows', profiles: profiles.rows.flatMap(observed), osBuild };
}

function observed(row: Row): readonly ObservedProfile[] {
  const identifier = text(row['identifier']);
  if (identifier === undefined) return [];
  return [
    {
      identifier,
      uuid: text(row['uuid']) ?? '',
      displayName: text(row['display_name']),
      installedAt: date(row['install_date']),
      checksum: text(row['payload_checksum']),
    },
  ];
}

function factsOf(body: Row): AgentFacts {
  const system = firstRow(outcomeOf(body, 'espalier_system'));
  const os = firstRow(outcomeOf(body, 'espalier_os'));
  return agentFacts(system, os, {});
}

/** Facts from the three tables osquery also sends as host_details when it enrols; empty texts are no facts. */
export function agentFacts(system: Row, os: Row, osquery: Row): AgentFacts {
  const known = {
    hardwareUuid: text(system['uuid']),
    serialNumber: text(system['hardware_serial']),
    name: text(system['computer_name']) ?? text(system['hostname']),
    model: text(system['hardware_model']),
    osVersion: text(os['version']),
    buildVersion: text(os['build']),
    osqueryVersion: text(osquery['version']),
  };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

function firstRow(outcome: Outcome): Row {
  return outcome !== undefined && 'rows' in outcome ? (outcome.rows[0] ?? {}) : {};
}

/** A JSON object as a record; anything else as an empty one. */
export function record(value: unknown): Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Row) : {};
}

/** A non-empty text of bounded length; osquery sends every value as text, some agents send numbers. NUL has no place in a PostgreSQL text. */
export function text(value: unknown): string | undefined {
  const string = typeof value === 'number' ? String(value) : value;
  if (typeof string !== 'string') return undefined;
  return string.replaceAll('\0', '').slice(0, MAX_TEXT).toWellFormed() || undefined;
}

/** Unix seconds or ISO 8601, both occur in `install_date`. */
function date(value: unknown): Date | undefined {
  const string = text(value);
  if (string === undefined) return undefined;
  const parsed = new Date(/^\d{1,12}(\.\d+)?$/.test(string) ? Number(string) * 1000 : string);
  return Number.isNaN(parsed.getTime()) ? undefined : parsed;
}

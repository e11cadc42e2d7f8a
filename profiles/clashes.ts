import type { Channel } from '../core/enrollment.ts';
import type { PlistPath } from '../plist/locate.ts';
import { warning } from './finding.ts';
import { EXCLUSIVE_PAYLOAD_TYPES } from './payload-schema.ts';
import type { Finding, PayloadSummary } from './types.ts';

/** A profile of a team as the others see it. */
export interface Neighbour {
  readonly channel: Channel;
  readonly identifier: string;
  /** PayloadDisplayName. */
  readonly displayName: string;
  readonly payloads: readonly PayloadSummary[];
}

interface Owned {
  readonly owner: Neighbour;
  readonly payload: PayloadSummary;
}

/** The profiles of a team by what they could share. */
export interface TeamIndex {
  readonly names: ReadonlyMap<string, readonly Neighbour[]>;
  readonly identifiers: ReadonlyMap<string, readonly Owned[]>;
  readonly uuids: ReadonlyMap<string, readonly Owned[]>;
  /** Only of types a Mac takes once, by channel and type. */
  readonly types: ReadonlyMap<string, readonly Owned[]>;
}

/** A profile with a hundred twins is not a hundred things to read. */
const MAX_CLASHES = 20;

export function indexTeam(neighbours: readonly Neighbour[]): TeamIndex {
  const owned = neighbours.flatMap((owner) => owner.payloads.map((payload) => ({ owner, payload })));
  const exclusive = owned.filter(({ payload }) => EXCLUSIVE_PAYLOAD_TYPES.has(payload.type));
  return {
    names: grouped(neighbours, ({ displayName }) => displayName),
    identifiers: grouped(owned, ({ payload }) => payload.identifier),
    uuids: grouped(owned, ({ payload }) => payload.uuid.toUpperCase()),
    types: grouped(exclusive, ({ owner, payload }) => `${owner.channel} ${payload.type}`),
  };
}

/**
 * What a profile has in common with others of its team that one Mac should not see twice. Warnings, each naming the other:
 * labels may keep the two apart. The profile's own place in the team (identifier and channel) is passed over, it is an
 * earlier version of it. Pure.
 */
export function clashesWith(one: Neighbour, team: TeamIndex): readonly Finding[] {
  const isOther = (owner: Neighbour) => owner.identifier !== one.identifier;
  const findings: Finding[] = [];
  const twin = team.names.get(one.displayName)?.find(isOther);
  if (twin !== undefined && one.displayName !== one.identifier) {
    const message = `${twin.identifier} of this team has the PayloadDisplayName ${JSON.stringify(one.displayName)} too`;
    findings.push(warning('display_name_shared', ['PayloadDisplayName'], message));
  }
  for (const payload of one.payloads) {
    const at: PlistPath = ['PayloadContent', payload.index];
    const first = (all: readonly Owned[] | undefined) => all?.find(({ owner }) => isOther(owner));
    const rival = team.types
      .get(`${one.channel} ${payload.type}`)
      ?.find(({ owner, payload: other }) => isOther(owner) && other.settings !== payload.settings);
    if (rival !== undefined) {
      const message = `a Mac takes one ${payload.type}, and ${named(rival)} sets it otherwise: Apple does not say which one wins`;
      findings.push(warning('exclusive_type_clash', [...at, 'PayloadType'], message));
    }
    const sameIdentifier = payload.identifier === '' ? undefined : first(team.identifiers.get(payload.identifier));
    if (sameIdentifier !== undefined) {
      const message = `${payload.identifier} is the PayloadIdentifier of ${named(sameIdentifier)} too`;
      findings.push(warning('identifier_shared', [...at, 'PayloadIdentifier'], message));
    }
    const sameUuid = payload.uuid === '' ? undefined : first(team.uuids.get(payload.uuid.toUpperCase()));
    if (sameUuid !== undefined) {
      const message = `${payload.uuid} is the PayloadUUID of ${named(sameUuid)} too`;
      findings.push(warning('uuid_shared', [...at, 'PayloadUUID'], message));
    }
    if (findings.length >= MAX_CLASHES) break;
  }
  return findings;
}

function named({ owner, payload }: Owned): string {
  return `PayloadContent[${payload.index}] (${payload.identifier}) of ${owner.identifier}`;
}

function grouped<T>(all: readonly T[], keyOf: (one: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const key = keyOf(one);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [one]);
    else group.push(one);
  }
  return groups;
}

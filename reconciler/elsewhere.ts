import type { Channel } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { Catalogue } from './catalogue.ts';
import type { Explanation } from './explain.ts';
import { pairsOf } from './pairs.ts';
import type { HostRead } from './ports.ts';
import type { CatalogueProfile } from './types.ts';
import { list } from './words.ts';

export const CHANNELS: readonly Channel[] = ['device', 'user'];

/** Identifiers named in the error for one that nobody knows. */
const MAX_NEAR = 3;

/** A profile of another team, or of no team any more: not for this host, and that is worth saying. */
export interface ElsewhereView extends Explanation {
  readonly channel: Channel;
  readonly name: string;
}

/** Undefined = no team has, or ever had, a profile with this identifier on this channel. */
export function elsewhere(
  catalogue: Catalogue,
  host: Pick<HostRead, 'teamName'>,
  channel: Channel,
  identifier: string,
  teamName: (teamId: number) => string,
): ElsewhereView | undefined {
  const slot = catalogue.slotNamed(channel, identifier);
  if (slot === undefined) return undefined;
  const live = catalogue.profiles.filter((profile) => profile.slotId === slot.id);
  if (live.length === 0 && catalogue.versionsOfSlot(slot.id).length === 0) return undefined;
  const teams = live.map((profile) => `team ${teamName(profile.teamId)}`);
  const says =
    live.length === 0
      ? 'it was deleted, and this host does not hold it'
      : `it belongs to ${list(teams)}; this host is in team ${host.teamName}`;
  return {
    state: 'not_in_scope',
    waiting: undefined,
    reason: `${says.charAt(0).toUpperCase()}${says.slice(1)}.`,
    evidence: [{ about: 'gate', says, at: undefined, ageSeconds: undefined }],
    channel,
    name: live[0]?.name ?? identifier,
  };
}

/** Teams whose profiles have this identifier. */
export function teamsOf(catalogue: Catalogue, identifier: string): number[] {
  const ids = new Set(CHANNELS.flatMap((channel) => catalogue.slotNamed(channel, identifier)?.id ?? []));
  return [...new Set(catalogue.profiles.filter(({ slotId }) => ids.has(slotId)).map(({ teamId }) => teamId))];
}

/** Channels on which the host has it, or would have it. */
export function channelsOf(catalogue: Catalogue, host: HostRead, identifier: string): readonly Channel[] {
  return CHANNELS.filter((kind) => {
    const slot = catalogue.slotNamed(kind, identifier);
    if (slot === undefined) return false;
    if (catalogue.profileInSlot(host.teamId, slot.id) !== undefined) return true;
    return host.channels.some(
      ({ channel, facts }) =>
        channel === kind && [...pairsOf(catalogue, facts)].some(({ slotId }) => slotId === slot.id),
    );
  });
}

/** Nobody knows the identifier: what may have been meant. */
export function unknownProfile(catalogue: Catalogue, teamId: number, identifier: string): EspalierError {
  const meant = near(catalogue, teamId, identifier);
  return new EspalierError(
    'profile_not_found',
    `No team has a profile ${identifier}, and it was not seen on this host.`,
    {
      fix:
        meant.length > 0
          ? `Did you mean ${meant.join(' or ')}?`
          : 'The names are PayloadIdentifiers: espalier get profiles lists them.',
    },
  );
}

/** Identifiers of the host's team that somebody may have meant: another spelling, a part, or an ending in common. */
function near(catalogue: Catalogue, teamId: number, identifier: string): readonly string[] {
  const asked = identifier.toLowerCase();
  const ending = asked.slice(asked.lastIndexOf('.') + 1);
  const known = CHANNELS.flatMap((channel) => catalogue.profilesOf(teamId, channel)).map(
    (profile: CatalogueProfile) => catalogue.slots.get(profile.slotId)?.identifier ?? '',
  );
  const score = (one: string) => {
    const other = one.toLowerCase();
    if (other === asked) return 3;
    if (other.includes(asked) || asked.includes(other)) return 2;
    return ending !== '' && other.includes(ending) ? 1 : 0;
  };
  return [...new Set(known)]
    .filter((one) => score(one) > 0)
    .sort((one, other) => score(other) - score(one) || (one < other ? -1 : 1))
    .slice(0, MAX_NEAR);
}

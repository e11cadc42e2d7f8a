import type { Channel } from '../core/enrollment.ts';
import type { Catalogue } from './catalogue.ts';
import type { ObserverSummary, PairFacts } from './evidence.ts';
import { type Explanation, explain, explainUnmanaged } from './explain.ts';
import { judge } from './gate.ts';
import { pairsOf } from './pairs.ts';
import type { ChannelRead, HostRead } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';
import type { CatalogueProfile, Op } from './types.ts';

/** One profile on one channel of one host. */
export interface PairView extends Explanation {
  readonly identifier: string;
  readonly name: string;
  readonly channel: Channel;
  /** Of the channel it is on or would be on; undefined where the host has no such channel. */
  readonly enrollmentId: string | undefined;
  readonly userShortName: string | undefined;
  readonly profileId: number | undefined;
  readonly wantedVersionId: number | undefined;
  readonly heldVersionId: number | undefined;
  readonly op: Op | undefined;
}

/** Every profile of the host's team, everything that is on its way out, and what is there and not ours. */
export function pageOf(catalogue: Catalogue, host: HostRead, now: Date, settings: ReconcilerSettings): PairView[] {
  const pairs = host.channels.flatMap((channel) => channelPairs(catalogue, channel, now, settings));
  for (const kind of ['device', 'user'] as const)
    if (!host.channels.some((channel) => channel.channel === kind))
      pairs.push(...absentChannel(catalogue, host, kind, now, settings));
  return pairs.sort(
    (one, other) => compareText(one.identifier, other.identifier) || compareText(one.channel, other.channel),
  );
}

function channelPairs(catalogue: Catalogue, read: ChannelRead, now: Date, settings: ReconcilerSettings): PairView[] {
  const { row } = read.facts;
  const { channel, enrollmentId, userShortName } = read;
  const where = { channel, enrollmentId, userShortName };
  const ours = [...pairsOf(catalogue, read.facts)].map((pair): PairView => {
    const { profile, slotId, op, hold, wantedVersion, heldVersion } = pair;
    const identifier = catalogue.slots.get(slotId)?.identifier ?? '';
    const verdict = profile && judge(profile, row, catalogue.labels);
    const facts = { ...channelFacts(catalogue, read, settings), verdict, wantedVersion, heldVersion, hold };
    const command = op?.commandUuid === undefined ? undefined : read.facts.commands.get(op.commandUuid);
    return {
      ...explain({ ...facts, op, command }, now),
      ...where,
      identifier,
      name: profile?.name ?? identifier,
      profileId: profile?.id,
      wantedVersionId: wantedVersion,
      heldVersionId: heldVersion,
      op,
    };
  });
  const extra = row.observedExtra.map(
    (one): PairView => ({
      ...explainUnmanaged(one.why, observerOf(read), now),
      ...where,
      identifier: one.identifier,
      name: one.displayName === '' ? one.identifier : one.displayName,
      profileId: undefined,
      wantedVersionId: undefined,
      heldVersionId: undefined,
      op: undefined,
    }),
  );
  return [...ours, ...extra];
}

/** What all pairs of one channel have in common. */
function channelFacts(catalogue: Catalogue, read: ChannelRead, settings: ReconcilerSettings) {
  return {
    push: read.push,
    observer: observerOf(read),
    seenAt: read.seenAt,
    labelName: (id: number) => catalogue.labels.get(id)?.name ?? `number ${id}`,
    intervalMs: settings.intervalMs,
  };
}

/** A host without the channel has the pair all the same: nothing is skipped in silence. */
function absentChannel(
  catalogue: Catalogue,
  host: HostRead,
  kind: Channel,
  now: Date,
  settings: ReconcilerSettings,
): PairView[] {
  const device = host.channels.find((channel) => channel.channel === 'device');
  return catalogue.profilesOf(host.teamId, kind).map(
    (profile): PairView => ({
      ...(device === undefined ? NOT_ENROLLED : withoutChannel(catalogue, device, profile, kind, now, settings)),
      identifier: catalogue.slots.get(profile.slotId)?.identifier ?? '',
      name: profile.name,
      channel: kind,
      enrollmentId: undefined,
      userShortName: undefined,
      profileId: profile.id,
      wantedVersionId: profile.versionId,
      heldVersionId: undefined,
      op: undefined,
    }),
  );
}

const NOT_ENROLLED: Explanation = {
  state: 'not_in_scope',
  waiting: undefined,
  reason: 'The host is not enrolled.',
  evidence: [],
};

function withoutChannel(
  catalogue: Catalogue,
  device: ChannelRead,
  profile: CatalogueProfile,
  channel: Channel,
  now: Date,
  settings: ReconcilerSettings,
): Explanation {
  const facts: PairFacts = {
    ...channelFacts(catalogue, device, settings),
    verdict: judge(profile, { ...device.facts.row, channel }, catalogue.labels),
    wantedVersion: profile.versionId,
    heldVersion: undefined,
    op: undefined,
    command: undefined,
    hold: 'no_user_channel',
  };
  return explain(facts, now);
}

function observerOf({ facts: { row } }: ChannelRead): ObserverSummary {
  const { osqueryState, osqueryAt, profileListAt, actualKnown } = row;
  return { osqueryState, osqueryAt, profileListAt, actualKnown };
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

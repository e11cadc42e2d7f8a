import type { Channel } from '../core/enrollment.ts';
import type { Catalogue } from './catalogue.ts';
import { evidenceLine, type ObserverSummary } from './evidence.ts';
import { type Explanation, explain, explainUnmanaged, notMeant } from './explain.ts';
import { judge } from './gate.ts';
import { pairEvidence } from './pair-evidence.ts';
import { pairsOf } from './pairs.ts';
import type { ChannelRead, HostRead } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';
import type { CatalogueProfile, Op, PairEvidence } from './types.ts';
import { WAITING_WORDS } from './waiting-words.ts';
import { ago } from './words.ts';

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
  /** How much is proven, by whom and when; undefined = nobody has looked. */
  readonly proof: PairEvidence | undefined;
}

/** Every profile of the host's team, everything that is on its way out, and what is there and not ours. */
export function pageOf(catalogue: Catalogue, host: HostRead, now: Date, settings: ReconcilerSettings): PairView[] {
  const pairs = host.channels.flatMap((channel) => channelPairs(catalogue, host, channel, now, settings));
  for (const kind of ['device', 'user'] as const)
    if (!host.channels.some((channel) => channel.channel === kind))
      pairs.push(...absentChannel(catalogue, host, kind, now, settings));
  return pairs.sort(
    (one, other) => compareText(one.identifier, other.identifier) || compareText(one.channel, other.channel),
  );
}

function channelPairs(
  catalogue: Catalogue,
  host: HostRead,
  read: ChannelRead,
  now: Date,
  settings: ReconcilerSettings,
): PairView[] {
  const { row } = read.facts;
  const { channel, enrollmentId, userShortName } = read;
  const where = { channel, enrollmentId, userShortName };
  const ours = [...pairsOf(catalogue, read.facts)].map((pair): PairView => {
    const { profile, slotId, op, hold, wantedVersion, heldVersion } = pair;
    const identifier = catalogue.slots.get(slotId)?.identifier ?? '';
    const verdict = profile && judge(profile, row, catalogue.labels);
    const movedTo = profile === undefined ? movedFrom(catalogue, host.teamId, channel, identifier) : undefined;
    const common = { ...channelFacts(catalogue, host, read, settings), movedTo };
    const facts = { ...common, verdict, wantedVersion, heldVersion, hold };
    const command = op?.commandUuid === undefined ? undefined : read.facts.commands.get(op.commandUuid);
    const seen = { row, identifier, heldVersionId: heldVersion, op, content: read.content };
    const proof = pairEvidence(seen, now, settings);
    return {
      ...explain({ ...facts, op, command, proof }, now),
      ...where,
      proof,
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
      proof: undefined,
    }),
  );
  return [...ours, ...extra];
}

/** What all pairs of one channel have in common. */
function channelFacts(catalogue: Catalogue, host: HostRead, read: ChannelRead, settings: ReconcilerSettings) {
  return {
    push: read.push,
    observer: observerOf(read),
    seenAt: read.seenAt,
    labelName: labelNames(catalogue),
    labelNote: (id: number) => host.labels.get(id),
    quarantinedAt: host.quarantinedAt,
    enrollmentGeneration: read.facts.row.enrollmentGeneration,
    intervalMs: settings.intervalMs,
  };
}

/** The other channel, where the team's profile of this identifier is there. */
function movedFrom(catalogue: Catalogue, teamId: number, channel: Channel, identifier: string): Channel | undefined {
  const other = channel === 'device' ? 'user' : 'device';
  const slot = catalogue.slotNamed(other, identifier);
  return slot !== undefined && catalogue.profileInSlot(teamId, slot.id) !== undefined ? other : undefined;
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
  return catalogue.profilesOf(host.teamId, kind).map((profile): PairView => {
    const explained =
      device === undefined
        ? notEnrolled(catalogue, host, profile, kind, now)
        : explain(
            {
              ...channelFacts(catalogue, host, device, settings),
              verdict: judge(profile, { ...device.facts.row, channel: kind }, catalogue.labels),
              wantedVersion: profile.versionId,
              heldVersion: undefined,
              op: undefined,
              command: undefined,
              proof: undefined,
              movedTo: undefined,
              hold: 'no_user_channel',
            },
            now,
          );
    return { ...explained, ...placeOf(catalogue, profile, kind) };
  });
}

/** Where nothing is enrolled nothing is meant, unless somebody has tried to enrol and is not let in yet. */
function notEnrolled(
  catalogue: Catalogue,
  host: HostRead,
  profile: CatalogueProfile,
  channel: Channel,
  now: Date,
): Explanation {
  const { subject, quarantinedAt } = host;
  const nothing = { waiting: undefined, evidence: [] };
  if (quarantinedAt === undefined || subject === undefined)
    return { ...nothing, state: 'not_in_scope', reason: 'The host is not enrolled.' };
  const verdict = judge(profile, { ...subject, channel }, catalogue.labels);
  const names = { labelName: labelNames(catalogue), labelNote: (id: number) => host.labels.get(id) };
  if (verdict.value === 'no')
    return { ...nothing, state: 'not_in_scope', reason: `The host is not enrolled; ${notMeant(verdict, names)}.` };
  const { words, next } = WAITING_WORDS.quarantined_identity;
  return {
    state: 'waiting',
    waiting: 'quarantined_identity',
    reason: `${words}, last ${ago(quarantinedAt, now)}; ${next}.`,
    evidence: [evidenceLine('contact', 'an identity that is not proven claimed to be this host', quarantinedAt, now)],
  };
}

function placeOf(catalogue: Catalogue, profile: CatalogueProfile, channel: Channel) {
  return {
    identifier: catalogue.slots.get(profile.slotId)?.identifier ?? '',
    name: profile.name,
    channel,
    enrollmentId: undefined,
    userShortName: undefined,
    profileId: profile.id,
    wantedVersionId: profile.versionId,
    heldVersionId: undefined,
    op: undefined,
    proof: undefined,
  };
}

function labelNames(catalogue: Catalogue): (id: number) => string {
  return (id) => catalogue.labels.get(id)?.name ?? `number ${id}`;
}

function observerOf({ facts: { row } }: ChannelRead): ObserverSummary {
  const { osqueryState, osqueryAt, profileListAt, actualKnown } = row;
  return { osqueryState, osqueryAt, profileListAt, actualKnown };
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

import type { Clock } from '../core/clock.ts';
import type { Channel } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import { heldVersions } from './applied.ts';
import type { Catalogue } from './catalogue.ts';
import { type ProfileCounts, profileStates, Tally, tallySettled, waitingForUserChannel } from './count.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import type { ObserverSummary, PairFacts } from './evidence.ts';
import { type Explanation, explain, explainUnmanaged } from './explain.ts';
import { judge } from './gate.ts';
import type { ChannelRead, HostRead, ReconcileStore } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';
import type { CatalogueProfile, Op, WaitingReason } from './types.ts';

const SCAN_PAGE = 5000;

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

export interface HostProfiles {
  readonly hostId: string;
  readonly enrolled: boolean;
  readonly asOf: Date;
  readonly profiles: readonly PairView[];
}

export interface Counters {
  readonly asOf: Date;
  /** Every live profile, also those nobody has. */
  readonly profiles: readonly ProfileCounts[];
}

export interface ReconcilerReads {
  /** Every profile of the host's team, everything that is on its way out, and what is there and not ours. Throws host_not_found. */
  hostProfiles(hostId: string): Promise<HostProfiles>;
  /** `hostRef`: id, UDID, serial number or name. One per channel. Throws host_not_found, profile_not_found. */
  why(hostRef: string, identifier: string): Promise<readonly PairView[]>;
  /** Counts at most `countersMaxAgeMs` old. */
  counters(): Promise<Counters>;
}

export interface ReadDeps {
  readonly store: ReconcileStore;
  readonly catalogue: CurrentCatalogue;
  readonly clock: Clock;
  readonly settings: ReconcilerSettings;
}

export function createReads(deps: ReadDeps): ReconcilerReads {
  const { store, clock, settings } = deps;
  let counting: Promise<Counters> | undefined;
  let counted: Counters | undefined;

  async function count(): Promise<Counters> {
    const asOf = clock.now();
    const catalogue = await deps.catalogue.at(await store.epoch());
    const tally = new Tally();
    for (let after = 0; ; ) {
      const page = await store.scan(after, SCAN_PAGE);
      for (const { row, userChannel } of page)
        if (!userChannel) for (const profile of waitingForUserChannel(catalogue, row)) tally.add(profile.id, 'waiting');
      const unsettled = page.filter(({ row, opCount }) => !tallySettled(catalogue, row, opCount, tally));
      for (const host of await store.read(unsettled.map(({ row }) => row.enrollment)))
        for (const [profile, { state }] of profileStates(catalogue, host)) tally.add(profile.id, state);
      const last = page.at(-1);
      if (last === undefined) break;
      after = last.row.enrollment;
    }
    counted = { asOf, profiles: catalogue.profiles.map((profile) => tally.of(profile.id)) };
    return counted;
  }

  async function hostProfiles(hostId: string): Promise<HostProfiles> {
    const now = clock.now();
    const host = await store.readHost(hostId, now);
    if (host === undefined) throw new EspalierError('host_not_found', `There is no host ${hostId}.`);
    const catalogue = await deps.catalogue.at(await store.epoch());
    return {
      hostId: host.hostId,
      enrolled: host.channels.length > 0,
      asOf: now,
      profiles: pairsOf(catalogue, host, now, settings),
    };
  }

  return {
    hostProfiles,
    async why(hostRef, identifier) {
      const hostId = await store.findHost(hostRef);
      if (hostId === undefined) throw new EspalierError('host_not_found', `There is no host ${hostRef}.`);
      const pairs = (await hostProfiles(hostId)).profiles.filter((pair) => pair.identifier === identifier);
      if (pairs.length > 0) return pairs;
      throw new EspalierError(
        'profile_not_found',
        `No profile ${identifier} is meant for this host or was seen on it.`,
        {
          fix: "Upload it to the host's team, or check the identifier.",
        },
      );
    },
    async counters() {
      if (counted !== undefined && clock.now().getTime() - counted.asOf.getTime() < settings.countersMaxAgeMs)
        return counted;
      counting ??= count().finally(() => {
        counting = undefined;
      });
      return counting;
    },
  };
}

function pairsOf(catalogue: Catalogue, host: HostRead, now: Date, settings: ReconcilerSettings): PairView[] {
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
  const { row, ops } = read.facts;
  const held = heldVersions(catalogue, row.applied);
  const bySlot = new Map(ops.map((op) => [op.slotId, op]));
  const profiles = catalogue.profilesOf(host.teamId, read.channel);
  const slots = new Set([...profiles.map((profile) => profile.slotId), ...held.keys(), ...bySlot.keys()]);
  const ours = [...slots].map((slotId): PairView => {
    const profile = catalogue.profileInSlot(host.teamId, slotId);
    const facts = factsOf(catalogue, read, profile, held.get(slotId), bySlot.get(slotId), settings);
    return {
      ...explain(facts, now),
      identifier: catalogue.slots.get(slotId)?.identifier ?? '',
      name: profile?.name ?? catalogue.slots.get(slotId)?.identifier ?? '',
      channel: read.channel,
      enrollmentId: read.enrollmentId,
      userShortName: read.userShortName,
      profileId: profile?.id,
      wantedVersionId: facts.wantedVersion,
      heldVersionId: facts.heldVersion,
      op: facts.op,
    };
  });
  const extra = row.observedExtra.map(
    (one): PairView => ({
      ...explainUnmanaged(one.why, observerOf(read), now),
      identifier: one.identifier,
      name: one.displayName === '' ? one.identifier : one.displayName,
      channel: read.channel,
      enrollmentId: read.enrollmentId,
      userShortName: read.userShortName,
      profileId: undefined,
      wantedVersionId: undefined,
      heldVersionId: undefined,
      op: undefined,
    }),
  );
  return [...ours, ...extra];
}

function factsOf(
  catalogue: Catalogue,
  read: ChannelRead,
  profile: CatalogueProfile | undefined,
  heldVersion: number | undefined,
  op: Op | undefined,
  settings: ReconcilerSettings,
): PairFacts {
  return {
    verdict: profile && judge(profile, read.facts.row, catalogue.labels),
    wantedVersion: profile?.versionId,
    heldVersion,
    op,
    command: op?.commandUuid === undefined ? undefined : read.facts.commands.get(op.commandUuid),
    push: read.push,
    observer: observerOf(read),
    hold: read.pushCertificate ? undefined : 'no_push_certificate',
    seenAt: read.seenAt,
    labelName: (id) => catalogue.labels.get(id)?.name ?? `number ${id}`,
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
  return catalogue.profilesOf(host.teamId, kind).map((profile): PairView => {
    const hold: WaitingReason = 'no_user_channel';
    const explained =
      device === undefined
        ? { state: 'not_in_scope' as const, waiting: undefined, reason: 'The host is not enrolled.', evidence: [] }
        : explain({ ...factsOf(catalogue, device, profile, undefined, undefined, settings), hold }, now);
    return {
      ...explained,
      identifier: catalogue.slots.get(profile.slotId)?.identifier ?? '',
      name: profile.name,
      channel: kind,
      enrollmentId: undefined,
      userShortName: undefined,
      profileId: profile.id,
      wantedVersionId: profile.versionId,
      heldVersionId: undefined,
      op: undefined,
    };
  });
}

function observerOf({ facts: { row } }: ChannelRead): ObserverSummary {
  const { osqueryState, osqueryAt, profileListAt, actualKnown } = row;
  return { osqueryState, osqueryAt, profileListAt, actualKnown };
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

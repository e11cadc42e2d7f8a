import type { Clock } from '../core/clock.ts';
import type { Channel, EnrollmentRef } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { Catalogue } from './catalogue.ts';
import type { Counters } from './census.ts';
import { pairsWithoutUserChannel, settledPairs } from './count.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { briefly } from './explain.ts';
import { pairsOf, type SlotPair } from './pairs.ts';
import type { HostNames, ReconcileStore } from './ports.ts';
import { type DerivedState, stateOf } from './state.ts';
import type { HostFacts, PairState, WaitingReason } from './types.ts';
import { type Walked, walk } from './walk.ts';
import type { HostState } from './worst-state.ts';

/** Enrolments looked at for one page: a page may be short, and its cursor goes on where it ended. */
const SCAN_BOUND = 50_000;

/** Which pairs are meant. Undefined = all. */
export interface PairFilter {
  readonly state: PairState | undefined;
  readonly waiting: WaitingReason | undefined;
  /** Stable code of a failed pair. */
  readonly error: string | undefined;
}

/** One host of one profile. */
export interface ProfileHost extends HostNames {
  readonly channel: Channel;
  readonly state: PairState;
  readonly waiting: WaitingReason | undefined;
  /** One short sentence. */
  readonly reason: string;
  /** Since when the present operation goes on; undefined where nothing is under way. */
  readonly since: Date | undefined;
}

export interface Page<Item> {
  readonly asOf: Date;
  readonly items: readonly Item[];
  /** Give it back as `after`; undefined at the end. */
  readonly next: EnrollmentRef | undefined;
}

export interface Lists {
  /** Hosts in a profile's scope, by enrolment. Throws profile_not_found. */
  profileHosts(profileId: number, filter: PairFilter, after: EnrollmentRef, limit: number): Promise<Page<ProfileHost>>;
  /** Hosts whose worst state is this one, as the counters last saw them. */
  hostsInState(
    state: HostState,
    teamId: number | undefined,
    after: EnrollmentRef,
    limit: number,
  ): Promise<Page<string>>;
  /** Hosts that have a pair that waits, or has failed, for this. */
  hostsWith(
    filter: Omit<PairFilter, 'state'>,
    teamId: number | undefined,
    after: EnrollmentRef,
    limit: number,
  ): Promise<Page<string>>;
}

export interface ListDeps {
  readonly store: ReconcileStore;
  readonly catalogue: CurrentCatalogue;
  readonly clock: Clock;
  readonly counters: () => Promise<Counters>;
}

interface Found {
  readonly enrollment: EnrollmentRef;
  readonly channel: Channel;
  readonly pair: SlotPair | undefined;
  readonly derived: DerivedState;
  readonly facts: HostFacts | undefined;
}

export function createLists({ store, catalogue, clock, counters }: ListDeps): Lists {
  async function current(): Promise<Catalogue> {
    return catalogue.at(await store.epoch());
  }

  return {
    async profileHosts(profileId, filter, after, limit) {
      const asOf = clock.now();
      const now = await current();
      const profile = now.profiles.find((one) => one.id === profileId);
      if (profile === undefined) throw new EspalierError('profile_not_found', `There is no live profile ${profileId}.`);
      const hosts =
        filter.state === 'failed'
          ? failedOnes(store, profile.slotId, profile.teamId, after, limit)
          : walk(store, now, after, [profile.teamId]);
      const { found, next } = await gather(hosts, limit, (walked) =>
        pairsOfProfile(now, walked, profileId).filter((one) => fits(one.derived, one.pair, filter)),
      );
      const names = await store.hostNames(found.map((one) => one.enrollment));
      const items = found.flatMap((one): ProfileHost[] => {
        const host = names.get(one.enrollment);
        if (host === undefined) return [];
        const { state, waiting } = one.derived;
        const since = one.pair?.op?.createdAt;
        const command = one.facts?.commands.get(one.pair?.op?.commandUuid ?? '');
        const reason = briefly(one.derived, one.pair?.op, command);
        return [{ ...host, channel: one.channel, state, waiting, reason, since }];
      });
      return { asOf, items, next };
    },

    async hostsInState(state, teamId, after, limit) {
      const { asOf, worst } = await counters();
      const found: string[] = [];
      for (let from = after; ; ) {
        const devices = worst.inState(state, from, limit);
        const last = devices.at(-1);
        if (last === undefined) return { asOf, items: found, next: undefined };
        const names = await store.hostNames(devices);
        for (const device of devices) {
          const host = names.get(device);
          if (host === undefined || (teamId !== undefined && host.teamId !== teamId)) continue;
          found.push(host.hostId);
          if (found.length >= limit) return { asOf, items: found, next: device };
        }
        from = last;
      }
    },

    async hostsWith(filter, teamId, after, limit) {
      const asOf = clock.now();
      const now = await current();
      const teams = teamId === undefined ? undefined : [teamId];
      const wanted = { ...filter, state: undefined };
      const { found, next } = await gather(walk(store, now, after, teams), limit, (walked) =>
        allPairs(now, walked).some((one) => fits(one.derived, one.pair, wanted)) ? [walked.host.device] : [],
      );
      const names = await store.hostNames(found);
      return { asOf, items: [...new Set(found.flatMap((device) => names.get(device)?.hostId ?? []))], next };
    },
  };
}

/** Looks at enrolments until a page is full, or the bound is met. */
async function gather<Item>(
  hosts: AsyncIterable<Walked>,
  limit: number,
  pick: (walked: Walked) => readonly Item[] | Promise<readonly Item[]>,
): Promise<{ found: readonly Item[]; next: EnrollmentRef | undefined }> {
  const found: Item[] = [];
  let seen = 0;
  for await (const walked of hosts) {
    found.push(...(await pick(walked)));
    seen += 1;
    if (found.length >= limit || seen >= SCAN_BOUND) return { found, next: walked.host.row.enrollment };
  }
  return { found, next: undefined };
}

async function* failedOnes(
  store: ReconcileStore,
  slotId: number,
  teamId: number,
  after: EnrollmentRef,
  limit: number,
): AsyncGenerator<Walked> {
  for (let from = after; ; ) {
    const failed = await store.failedIn(slotId, [teamId], from, limit);
    const last = failed.at(-1);
    if (last === undefined) return;
    from = last;
    for (const facts of await store.read(failed)) {
      const host = { row: facts.row, opCount: facts.ops.length, device: facts.row.enrollment, userChannel: true };
      yield { host, facts };
    }
  }
}

function pairsOfProfile(catalogue: Catalogue, walked: Walked, profileId: number): Found[] {
  return allPairs(catalogue, walked).filter((one) => one.profileId === profileId);
}

function allPairs(catalogue: Catalogue, { host, facts }: Walked): (Found & { profileId: number | undefined })[] {
  const { enrollment, channel } = host.row;
  const own =
    facts === undefined
      ? settledPairs(catalogue, host.row).map(([profile, derived]) => ({ profile, derived, pair: undefined }))
      : [...pairsOf(catalogue, facts)].map((pair) => ({ profile: pair.profile, derived: stateOf(pair), pair }));
  const missing = host.userChannel ? [] : [...pairsWithoutUserChannel(catalogue, host.row)];
  return [
    ...own.map(({ profile, derived, pair }) => ({ profileId: profile?.id, enrollment, channel, pair, derived, facts })),
    ...missing.map(([profile, derived]) => ({
      profileId: profile.id,
      enrollment,
      channel: 'user' as const,
      pair: undefined,
      derived,
      facts: undefined,
    })),
  ];
}

function fits({ state, waiting }: DerivedState, pair: SlotPair | undefined, filter: PairFilter): boolean {
  if (state === 'not_in_scope' || state === 'unmanaged') return false;
  if (filter.state !== undefined && filter.state !== state) return false;
  if (filter.waiting !== undefined && filter.waiting !== waiting) return false;
  return filter.error === undefined || (state === 'failed' && pair?.op?.reason === filter.error);
}

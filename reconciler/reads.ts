import type { Clock } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import type { Catalogue } from './catalogue.ts';
import { type Counters, createCounters } from './census.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { CHANNELS, elsewhere, teamsOf, unknownProfile } from './elsewhere.ts';
import { createLists, type Lists } from './lists.ts';
import { type PairView, pageOf } from './page.ts';
import type { HostRead, ReconcileStore } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';

const NOWHERE = {
  enrollmentId: undefined,
  userShortName: undefined,
  profileId: undefined,
  wantedVersionId: undefined,
  heldVersionId: undefined,
  op: undefined,
  proof: undefined,
};

export interface HostProfiles {
  readonly hostId: string;
  readonly enrolled: boolean;
  readonly asOf: Date;
  readonly profiles: readonly PairView[];
}

export interface ReconcilerReads {
  /** Every profile of the host's team, everything that is on its way out, and what is there and not ours. Throws host_not_found. */
  hostProfiles(hostId: string): Promise<HostProfiles>;
  /**
   * `hostRef`: id, UDID, serial number or name. One per channel; also of a profile that is another team's or was deleted.
   * Throws host_not_found; profile_not_found with what may have been meant.
   */
  why(hostRef: string, identifier: string): Promise<readonly PairView[]>;
  /** Counts of all hosts and pairs, with their time: at most `countersMaxAgeMs` or ten times as old as they took. */
  counters(): Promise<Counters>;
  readonly lists: Lists;
}

export interface ReadDeps {
  readonly store: ReconcileStore;
  readonly catalogue: CurrentCatalogue;
  readonly clock: Clock;
  readonly settings: ReconcilerSettings;
}

export function createReads(deps: ReadDeps): ReconcilerReads {
  const { store, clock, settings } = deps;
  const counters = createCounters(deps);

  async function page(hostId: string) {
    const now = clock.now();
    const host = await store.readHost(hostId);
    if (host === undefined) throw new EspalierError('host_not_found', `There is no host ${hostId}.`);
    const catalogue = await deps.catalogue.at(await store.epoch());
    return { now, host, catalogue, pairs: pageOf(catalogue, host, now, settings) };
  }

  /** Nothing of it is meant for the host or there: whose it is, or that nobody knows it. */
  async function whoseElse(host: HostRead, catalogue: Catalogue, identifier: string): Promise<readonly PairView[]> {
    const names = await store.teamNames(teamsOf(catalogue, identifier));
    const teamName = (id: number) => names.get(id) ?? `number ${id}`;
    const found = CHANNELS.flatMap((channel) => elsewhere(catalogue, host, channel, identifier, teamName) ?? []);
    if (found.length > 0) return found.map((one) => ({ ...NOWHERE, ...one, identifier }));
    throw unknownProfile(catalogue, host.teamId, identifier);
  }

  return {
    async hostProfiles(hostId) {
      const { now, host, pairs } = await page(hostId);
      return { hostId: host.hostId, enrolled: host.channels.length > 0, asOf: now, profiles: pairs };
    },
    async why(hostRef, identifier) {
      const hostId = await store.findHost(hostRef);
      if (hostId === undefined) throw new EspalierError('host_not_found', `There is no host ${hostRef}.`);
      const { host, catalogue, pairs } = await page(hostId);
      const own = pairs.filter((pair) => pair.identifier === identifier);
      return own.length > 0 ? own : whoseElse(host, catalogue, identifier);
    },
    counters,
    lists: createLists({ ...deps, counters }),
  };
}

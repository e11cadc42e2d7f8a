import type { Clock } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { type Counters, createCounters } from './census.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { createLists, type Lists } from './lists.ts';
import { type PairView, pageOf } from './page.ts';
import type { ReconcileStore } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';

export interface HostProfiles {
  readonly hostId: string;
  readonly enrolled: boolean;
  readonly asOf: Date;
  readonly profiles: readonly PairView[];
}

export interface ReconcilerReads {
  /** Every profile of the host's team, everything that is on its way out, and what is there and not ours. Throws host_not_found. */
  hostProfiles(hostId: string): Promise<HostProfiles>;
  /** `hostRef`: id, UDID, serial number or name. One per channel. Throws host_not_found, profile_not_found. */
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

  async function hostProfiles(hostId: string): Promise<HostProfiles> {
    const now = clock.now();
    const host = await store.readHost(hostId, now);
    if (host === undefined) throw new EspalierError('host_not_found', `There is no host ${hostId}.`);
    const catalogue = await deps.catalogue.at(await store.epoch());
    return {
      hostId: host.hostId,
      enrolled: host.channels.length > 0,
      asOf: now,
      profiles: pageOf(catalogue, host, now, settings),
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
    counters,
    lists: createLists({ ...deps, counters }),
  };
}

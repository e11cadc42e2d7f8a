import type { Counters } from '../reconciler/census.ts';
import { IN_SCOPE_STATES, type PairCounts } from '../reconciler/count.ts';
import { HOST_STATES } from '../reconciler/worst-state.ts';

const API = '/api/v1';

/** Counts of one profile, each with the list of hosts behind it. They sum to `in_scope`. */
export function renderedProfileCounts(profileId: number, counts: PairCounts | undefined) {
  const hosts = (query: string) => `${API}/profiles/${profileId}/hosts?${query}`;
  return {
    in_scope: counts?.inScope ?? 0,
    counts: counts?.states ?? {},
    states: IN_SCOPE_STATES.map((state) => ({
      state,
      count: counts?.states[state] ?? 0,
      hosts_url: hosts(`state=${state}`),
    })),
    ...renderedCauses(counts, hosts),
  };
}

/** The fleet: hosts by their worst state, pairs by state, and why pairs wait or have failed. */
export function renderedStatus({ asOf, hosts, pairs, oldestUnsettledAt }: Counters) {
  const url = (query: string) => `${API}/hosts?${query}`;
  return {
    as_of: asOf.toISOString(),
    hosts: {
      total: HOST_STATES.reduce((sum, state) => sum + hosts[state], 0),
      states: HOST_STATES.toReversed().map((state) => ({
        state,
        count: hosts[state],
        hosts_url: url(`state=${state}`),
      })),
    },
    pairs: { in_scope: pairs.inScope, counts: pairs.states, ...renderedCauses(pairs, url) },
    oldest_unsettled_at: oldestUnsettledAt?.toISOString() ?? null,
  };
}

function renderedCauses(counts: PairCounts | undefined, url: (query: string) => string) {
  return {
    waiting: Object.entries(counts?.waiting ?? {}).map(([reason, count]) => ({
      reason,
      count,
      hosts_url: url(`waiting=${reason}`),
    })),
    errors: Object.entries(counts?.errors ?? {}).map(([code, count]) => ({
      code,
      count,
      hosts_url: url(`error=${encodeURIComponent(code)}`),
    })),
  };
}

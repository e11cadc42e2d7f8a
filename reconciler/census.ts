import type { Clock } from '../core/clock.ts';
import type { Catalogue } from './catalogue.ts';
import { type PairCounts, type ProfileCounts, pairsWithoutUserChannel, settledPairs, Tally } from './count.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { matcherOf } from './match.ts';
import { pairsOf } from './pairs.ts';
import type { CountedHost, ReconcileStore } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';
import { type DerivedState, stateOf } from './state.ts';
import type { CatalogueProfile, Op } from './types.ts';
import { walk } from './walk.ts';
import { type HostState, hostStateOf, WorstStates, worseOf } from './worst-state.ts';

/** A count is not repeated before so many times as long as it took: a tenth of one processor at most. */
const REST = 10;
/** Kinds of settled enrolments kept at once. */
const MAX_KINDS = 10_000;

export interface Counters {
  readonly asOf: Date;
  /** Every live profile, also those nobody has. */
  readonly profiles: readonly ProfileCounts[];
  /** All pairs, also of profiles that are no more. */
  readonly pairs: PairCounts;
  /** Live devices by the worst state of all their channels' pairs. */
  readonly hosts: Readonly<Record<HostState, number>>;
  /** The same, device by device. */
  readonly worst: Pick<WorstStates, 'inState'>;
  /** When the oldest of all operations that are not settled began. */
  readonly oldestUnsettledAt: Date | undefined;
}

export interface CensusDeps {
  readonly store: Pick<ReconcileStore, 'batchLimit' | 'epoch' | 'scan' | 'read'>;
  readonly catalogue: CurrentCatalogue;
  readonly clock: Clock;
  readonly settings: ReconcilerSettings;
}

/** Counts at most as old as their `asOf`; whoever asks during a count waits for that one. */
export function createCounters(deps: CensusDeps): () => Promise<Counters> {
  let counting: Promise<Counters> | undefined;
  let counted: { counters: Counters; restMs: number } | undefined;

  async function count(): Promise<Counters> {
    const began = performance.now();
    const counters = await takeCensus(deps);
    counted = { counters, restMs: Math.max(deps.settings.countersMaxAgeMs, REST * (performance.now() - began)) };
    return counters;
  }

  return async () => {
    const age = deps.clock.now().getTime() - (counted?.counters.asOf.getTime() ?? 0);
    if (counted !== undefined && age < counted.restMs) return counted.counters;
    counting ??= count().finally(() => {
      counting = undefined;
    });
    return counting;
  };
}

async function takeCensus(deps: CensusDeps): Promise<Counters> {
  const asOf = deps.clock.now();
  const catalogue = await deps.catalogue.at(await deps.store.epoch());
  const all = new Tally();
  const tallies = new Map(catalogue.profiles.map((profile) => [profile.id, new Tally()]));
  const hosts = new WorstStates();
  let oldest: Date | undefined;
  const add = (profile: CatalogueProfile | undefined, derived: DerivedState, op: Op | undefined, count = 1) => {
    all.add(derived, op, count);
    if (profile !== undefined) tallies.get(profile.id)?.add(derived, op, count);
  };

  const kinds = new Kinds(catalogue, (profile, derived, count) => add(profile, derived, undefined, count));
  for await (const { host, facts } of walk(deps.store, catalogue)) {
    let worst: HostState = facts === undefined ? kinds.add(host) : 'verified';
    for (const pair of facts === undefined ? [] : pairsOf(catalogue, facts)) {
      const derived = stateOf(pair);
      add(pair.profile, derived, pair.op);
      worst = worseOf(worst, hostStateOf(derived.state));
      if (pair.op !== undefined && (oldest === undefined || pair.op.createdAt < oldest)) oldest = pair.op.createdAt;
    }
    for (const [profile, derived] of host.userChannel ? [] : pairsWithoutUserChannel(catalogue, host.row)) {
      add(profile, derived, undefined);
      worst = worseOf(worst, hostStateOf(derived.state));
    }
    hosts.add(host.device, worst);
  }
  kinds.flush();
  return {
    asOf,
    profiles: [...tallies].map(([profileId, tally]) => ({ profileId, ...tally.counts() })),
    pairs: all.counts(),
    hosts: hosts.counts(),
    worst: hosts,
    oldestUnsettledAt: oldest,
  };
}

interface Kind {
  readonly pairs: readonly (readonly [CatalogueProfile, DerivedState])[];
  readonly worst: HostState;
  count: number;
}

/** Settled enrolments of one team that the gate answers alike have the same pairs: those are made once, and multiplied. */
class Kinds {
  readonly #catalogue: Catalogue;
  readonly #add: (profile: CatalogueProfile, derived: DerivedState, count: number) => void;
  readonly #kinds = new Map<string, Kind>();

  constructor(catalogue: Catalogue, add: (profile: CatalogueProfile, derived: DerivedState, count: number) => void) {
    this.#catalogue = catalogue;
    this.#add = add;
  }

  add({ row }: CountedHost): HostState {
    const answers = Buffer.from(matcherOf(this.#catalogue, row).match(row)).toString('latin1');
    const key = `${row.teamId} ${row.channel} ${row.osVersion} ${row.platform} ${row.userEnrollment} ${answers}`;
    let kind = this.#kinds.get(key);
    if (kind === undefined) {
      if (this.#kinds.size >= MAX_KINDS) this.flush();
      const pairs = settledPairs(this.#catalogue, row);
      const worst = pairs.reduce<HostState>((state, [, one]) => worseOf(state, hostStateOf(one.state)), 'verified');
      kind = { pairs, worst, count: 0 };
      this.#kinds.set(key, kind);
    }
    kind.count += 1;
    return kind.worst;
  }

  flush(): void {
    for (const { pairs, count } of this.#kinds.values())
      for (const [profile, derived] of pairs) this.#add(profile, derived, count);
    this.#kinds.clear();
  }
}

import type { Clock, Random } from '../core/clock.ts';
import { hashOf } from './node-key.ts';
import type { OsqueryStore } from './ports.ts';
import { DETAIL_QUERIES, PROFILE_QUERIES, type QueryName } from './queries.ts';
import type { OsqueryNode } from './types.ts';

/** About 100 bytes each: agents poll 100 to 1000 times more often than Macs do, so a poll must not ask the database (scale.md §1). */
const MAX_NODES = 200_000;
const DETAILS_EVERY_MS = 3_600_000;
const MAX_VERIFYING = 100_000;

interface Known {
  readonly node: OsqueryNode;
  profilesDueAt: number;
  hasUserProfiles: boolean;
  detailsDueAt: number;
}

export interface NodesDeps {
  readonly store: OsqueryStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Milliseconds between two profile reports of a settled Mac. */
  readonly profilesEveryMs: number;
}

export type Nodes = ReturnType<typeof createNodes>;

/**
 * Node keys and what each is due to be asked, in memory. A miss always asks the database; an entry is dropped when its
 * key is superseded (`forget`). What is urgent is read from the operations that wait for evidence, so every replica
 * learns it within one refresh whoever made the change.
 */
export function createNodes(deps: NodesDeps) {
  const byHash = new Map<string, Known>();
  const hashOfHost = new Map<string, string>();
  const seen = new Map<number, Date>();
  let verifying: ReadonlySet<string> = new Set();

  function remember(hash: string, node: OsqueryNode): Known {
    if (byHash.size >= MAX_NODES) {
      const oldest = byHash.values().next().value;
      if (oldest !== undefined) forget(oldest.node.hostIdentifier);
    }
    forget(node.hostIdentifier);
    const known = { node, profilesDueAt: 0, hasUserProfiles: false, detailsDueAt: 0 };
    byHash.set(hash, known);
    hashOfHost.set(node.hostIdentifier, hash);
    return known;
  }

  function forget(hostIdentifier: string): void {
    const hash = hashOfHost.get(hostIdentifier);
    if (hash !== undefined) byHash.delete(hash);
    hashOfHost.delete(hostIdentifier);
  }

  function jittered(every: number): number {
    return deps.clock.now().getTime() + every * (0.9 + 0.2 * (deps.random.bytes(1).readUInt8(0) / 256));
  }

  return {
    /** The node of a key, or undefined where the key is not known or superseded. Throws when the store cannot say. */
    async find(nodeKey: string): Promise<OsqueryNode | undefined> {
      const hash = hashOf(nodeKey);
      const cacheKey = hash.toString('base64');
      const cached = byHash.get(cacheKey);
      const known = cached ?? (await load());
      if (known !== undefined) seen.set(known.node.id, deps.clock.now());
      return known?.node;

      async function load(): Promise<Known | undefined> {
        const node = await deps.store.nodeByKey(hash);
        return node === undefined ? undefined : remember(cacheKey, node);
      }
    },

    /** What to ask now. Asked again at the next read until a report comes. */
    due(nodeKey: string): readonly QueryName[] {
      const known = byHash.get(hashOf(nodeKey).toString('base64'));
      if (known === undefined) return [];
      const now = deps.clock.now().getTime();
      const profiles = known.profilesDueAt <= now || verifying.has(known.node.hostId);
      return [...(profiles ? PROFILE_QUERIES : []), ...(known.detailsDueAt <= now ? DETAIL_QUERIES : [])];
    },

    /** Its agent is fleetd, which can be asked for users' profiles; false until it has said so. */
    hasUserProfiles(nodeKey: string): boolean {
      return byHash.get(hashOf(nodeKey).toString('base64'))?.hasUserProfiles === true;
    },

    reported(
      nodeKey: string,
      what: { profiles: boolean; hasUserProfiles?: boolean | undefined; details: boolean },
    ): void {
      const known = byHash.get(hashOf(nodeKey).toString('base64'));
      if (known === undefined) return;
      known.hasUserProfiles = what.hasUserProfiles ?? known.hasUserProfiles;
      if (what.profiles) known.profilesDueAt = jittered(deps.profilesEveryMs);
      if (what.details) known.detailsDueAt = jittered(DETAILS_EVERY_MS);
    },

    /** After an enrolment, so that a superseded key is no longer answered from memory. */
    forgetHost: forget,

    async refreshVerifying(): Promise<void> {
      verifying = new Set(await deps.store.hostsVerifying(MAX_VERIFYING));
    },

    async flushSeen(): Promise<void> {
      if (seen.size === 0) return;
      const batch = [...seen].map(([nodeId, at]) => ({ nodeId, at }));
      seen.clear();
      await deps.store.markSeen(batch);
    },
  };
}

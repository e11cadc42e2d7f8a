import type { Clock } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import { checkedName } from './name.ts';
import type { LabelStore, WakeAfter } from './ports.ts';
import type { Label } from './types.ts';

export interface LabelsDeps {
  readonly store: LabelStore;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
  readonly wakeAfter: WakeAfter;
}

export interface MembersChange {
  readonly added: number;
  readonly removed: number;
}

export interface Labels {
  list(): Promise<readonly Label[]>;
  /** A manual label without members. Errors: label_exists, request_malformed. */
  create(name: string): Promise<number>;
  /** The label then has exactly these hosts. All or nothing. Errors: label_not_found, host_not_found, conflict. */
  setHosts(name: string, hostRefs: readonly string[]): Promise<MembersChange>;
  addHosts(name: string, hostRefs: readonly string[]): Promise<MembersChange>;
  removeHosts(name: string, hostRefs: readonly string[]): Promise<MembersChange>;
  /** Errors: label_not_found, conflict naming the profiles that aim by it. */
  delete(name: string): Promise<void>;
}

const MAX_HOSTS_PER_CALL = 100_000;

/** Manual labels. A change of members, the copies in `recon` and the queue rows commit together. */
export function createLabels(deps: LabelsDeps): Labels {
  const { store, unitOfWork, clock, wakeAfter } = deps;

  async function manual(tx: Tx, name: string): Promise<Label> {
    const label = await store.byName(tx, name);
    if (label === undefined) throw notFound(name);
    if (label.kind !== 'manual') {
      throw new EspalierError(
        'conflict',
        `the members of ${JSON.stringify(name)} come from its query, not from a list`,
      );
    }
    return label;
  }

  async function hostIds(tx: Tx, refs: readonly string[]): Promise<readonly string[]> {
    if (refs.length > MAX_HOSTS_PER_CALL) {
      throw new EspalierError('request_malformed', `at most ${MAX_HOSTS_PER_CALL} hosts in one call`);
    }
    const found = await store.resolve(tx, refs);
    const missing = refs.filter((ref) => !found.has(ref));
    if (missing.length > 0) {
      const some = missing
        .slice(0, 10)
        .map((ref) => JSON.stringify(ref))
        .join(', ');
      throw new EspalierError(
        'host_not_found',
        `${missing.length} of ${refs.length} hosts do not exist, or are meant by several: ${some}`,
        {
          fix: 'Name hosts by id, serial number, UDID or a name that only one has. Nothing was changed.',
        },
      );
    }
    return [...new Set(found.values())];
  }

  function change(
    name: string,
    refs: readonly string[],
    apply: (tx: Tx, labelId: number, hosts: readonly string[], now: Date) => Promise<MembersChange>,
  ) {
    return unitOfWork.run(async (tx): Promise<MembersChange> => {
      const label = await manual(tx, name);
      const changed = await apply(tx, label.id, await hostIds(tx, refs), clock.now());
      if (changed.added + changed.removed > 0) wakeAfter(tx);
      return changed;
    });
  }

  return {
    list: () => store.list(),
    async create(name) {
      const wanted = checkedName('label', name);
      const id = await unitOfWork.run(async (tx) => {
        const made = await store.insert(tx, wanted);
        if (made !== undefined) await store.bumpCatalogue(tx);
        return made;
      });
      if (id === undefined) throw new EspalierError('label_exists', `there is a label named ${JSON.stringify(wanted)}`);
      return id;
    },
    setHosts: (name, refs) =>
      change(name, refs, async (tx, labelId, hosts, now) => ({
        removed: await store.retain(tx, labelId, hosts, now),
        added: await store.add(tx, labelId, hosts, now),
      })),
    addHosts: (name, refs) =>
      change(name, refs, async (tx, labelId, hosts, now) => ({
        added: await store.add(tx, labelId, hosts, now),
        removed: 0,
      })),
    removeHosts: (name, refs) =>
      change(name, refs, async (tx, labelId, hosts, now) => ({
        added: 0,
        removed: await store.remove(tx, labelId, hosts, now),
      })),
    delete: (name) =>
      unitOfWork.run(async (tx) => {
        const label = await store.byName(tx, name);
        if (label === undefined) throw notFound(name);
        const users = await store.usedBy(tx, label.id);
        if (users.length > 0) {
          throw new EspalierError(
            'conflict',
            `the label is used by ${users.length} profiles: ${users.slice(0, 10).join(', ')}`,
            {
              fix: 'Take it out of their targets first.',
            },
          );
        }
        await store.drop(tx, label.id, clock.now());
        await store.bumpCatalogue(tx);
        wakeAfter(tx);
      }),
  };
}

function notFound(name: string): EspalierError {
  return new EspalierError('label_not_found', `there is no label named ${JSON.stringify(name)}`);
}

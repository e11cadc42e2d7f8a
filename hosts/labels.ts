import type { Clock } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { labelNotFound } from '../core/label-not-found.ts';
import { rehearse } from '../core/rehearse.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import type { CatalogueRows, Preview, PreviewOf } from '../reconciler/types.ts';
import { refuseOther, sourceOf, type WrittenSource } from './label-source.ts';
import { checkedName } from './name.ts';
import type { LabelChange, LabelStore, WakeAfter } from './ports.ts';
import type { CountedLabel, Label, LabelSource, LabelView, ProfileUse } from './types.ts';

export interface LabelsDeps {
  readonly store: LabelStore;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
  readonly wakeAfter: WakeAfter;
  readonly preview: PreviewOf;
  /** The catalogue as this unit of work leaves it. */
  readonly catalogueRows: (tx: Tx) => Promise<CatalogueRows>;
}

export interface MembersChange {
  readonly added: number;
  readonly removed: number;
}

export interface NewLabel extends WrittenSource {
  readonly name: string;
}

export interface LabelEdit extends Omit<WrittenSource, 'kind'> {
  readonly name?: string | undefined;
}

export interface DeleteOptions {
  /** Take the label out of the targets of profiles first. */
  readonly detach: boolean;
}

export interface LabelDeletion {
  /** Live profiles that lose it. */
  readonly detached: readonly ProfileUse[];
  /** Deleted profiles that aimed by it: to restore one, other targets must be said. */
  readonly once: readonly ProfileUse[];
}

export interface Labels {
  list(): Promise<readonly CountedLabel[]>;
  /** Errors: label_not_found. */
  get(name: string): Promise<LabelView>;
  /** Errors: label_exists, request_malformed. */
  create(label: NewLabel): Promise<Label>;
  /** A changed query or criteria are unknown on every host until it answers. Errors: label_not_found, label_exists, request_malformed. */
  edit(name: string, change: LabelEdit): Promise<Label>;
  /** The label then has exactly these hosts. All or nothing. Errors: label_not_found, host_not_found, conflict. */
  setHosts(name: string, hostRefs: readonly string[]): Promise<MembersChange>;
  addHosts(name: string, hostRefs: readonly string[]): Promise<MembersChange>;
  removeHosts(name: string, hostRefs: readonly string[]): Promise<MembersChange>;
  /** Answers the profiles that lost it. Errors: label_not_found, conflict naming the profiles that aim by it. */
  delete(name: string, options?: DeleteOptions): Promise<LabelDeletion>;
  /** What `delete` would do, with the same errors. */
  planDelete(name: string, options: DeleteOptions): Promise<LabelDeletion & { readonly plan: Preview }>;
}

const MAX_HOSTS_PER_CALL = 100_000;
/** Every agent is asked every query, and every host judged by all criteria. */
const MAX_EVALUATED = 500;

/** Labels of all kinds. A change of members, the copies in `recon` and the queue rows commit together. */
export function createLabels(deps: LabelsDeps): Labels {
  const { store, unitOfWork, clock, wakeAfter } = deps;

  async function notFound(name: string, tx?: Tx): Promise<EspalierError> {
    return labelNotFound(name, await store.names(tx));
  }

  async function manual(tx: Tx, name: string): Promise<Label> {
    const label = await store.byName(tx, name);
    if (label === undefined) throw await notFound(name, tx);
    if (label.kind !== 'manual') {
      throw new EspalierError(
        'conflict',
        `the members of ${JSON.stringify(name)} come from its ${label.kind === 'dynamic' ? 'query' : 'criteria'}, not from a list`,
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

  async function refuseTooMany(tx: Tx, kind: Label['kind']): Promise<void> {
    if (kind === 'manual' || (await store.count(tx, kind)) < MAX_EVALUATED) return;
    throw new EspalierError('conflict', `there are ${MAX_EVALUATED} ${kind} labels already, and no more are evaluated`);
  }

  /** What the catalogue loses: all that a plan needs to know, and the first half of a deletion. */
  async function detach(tx: Tx, name: string, options: DeleteOptions, now: Date): Promise<Detached> {
    await store.raiseEpoch(tx);
    const label = await store.byName(tx, name);
    if (label === undefined) throw await notFound(name, tx);
    const users = await store.usedBy(tx, label.id);
    if (users.length > 0 && !options.detach) throw inUse(users);
    if (users.length > 0) await store.detach(tx, label.id, now);
    return { labelId: label.id, users, once: await store.onceUsedBy(tx, label.id) };
  }

  return {
    list: () => store.list(),
    async get(name) {
      const view = await store.view(name);
      if (view === undefined) throw await notFound(name);
      return view;
    },
    async create({ name, ...written }) {
      const wanted = { name: checkedName('label', name), ...sourceOf(written) };
      return unitOfWork.run(async (tx) => {
        const epoch = await store.raiseEpoch(tx);
        await refuseTooMany(tx, wanted.kind);
        const id = await store.insert(tx, wanted, epoch);
        if (id === undefined) throw exists(wanted.name);
        return { id, ...wanted };
      });
    },
    async edit(name, { name: newName, ...written }) {
      const wantedName = newName === undefined ? undefined : checkedName('label', newName);
      if (wantedName === undefined && written.query === undefined && written.criteria === undefined) {
        throw new EspalierError('request_malformed', 'nothing is to be changed: give a name, a query or criteria');
      }
      return unitOfWork.run(async (tx) => {
        const epoch = await store.raiseEpoch(tx);
        const before = await store.byName(tx, name);
        if (before === undefined) throw await notFound(name, tx);
        const source = sourceAfter(before, written);
        const isOther = JSON.stringify(source) !== JSON.stringify(sourceIn(before));
        const change = {
          ...(wantedName === undefined ? {} : { name: wantedName }),
          ...(isOther ? partOf(source) : {}),
        };
        if (!(await store.edit(tx, before.id, change, epoch))) throw exists(wantedName ?? name);
        if (isOther) {
          await store.markTeams(tx, teamsOf(await store.usedBy(tx, before.id)), 'label', clock.now());
          wakeAfter(tx);
        }
        return { id: before.id, name: wantedName ?? before.name, ...source };
      });
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
    delete: (name, options = { detach: false }) =>
      unitOfWork.run(async (tx) => {
        const now = clock.now();
        const { labelId, users, once } = await detach(tx, name, options, now);
        await store.drop(tx, labelId, now);
        await store.markTeams(tx, teamsOf(users), 'label', now);
        wakeAfter(tx);
        return { detached: users, once };
      }),
    async planDelete(name, options) {
      const { users, once, rows } = await rehearse(unitOfWork, async (tx) => ({
        ...(await detach(tx, name, options, clock.now())),
        rows: await deps.catalogueRows(tx),
      }));
      return { detached: users, once, plan: await deps.preview({ rows, teamIds: teamsOf(users) }) };
    },
  };
}

interface Detached {
  readonly labelId: number;
  readonly users: readonly ProfileUse[];
  readonly once: readonly ProfileUse[];
}

function teamsOf(users: readonly ProfileUse[]): readonly number[] {
  return [...new Set(users.map((use) => use.teamId))];
}

/** The label's own kind with what is written new; the rest stays. */
function sourceAfter(before: Label, written: Omit<LabelEdit, 'name'>): LabelSource {
  refuseOther(before.kind, written);
  switch (before.kind) {
    case 'manual':
      return { kind: 'manual' };
    case 'dynamic':
      return sourceOf({ kind: 'dynamic', query: written.query ?? before.query });
    case 'host_vitals':
      return sourceOf({ kind: 'host_vitals', criteria: written.criteria ?? before.criteria });
  }
}

function sourceIn({ id: _id, name: _name, ...source }: Label): LabelSource {
  return source;
}

function partOf(source: LabelSource): Pick<LabelChange, 'query' | 'criteria'> {
  const { kind: _kind, ...part } = source;
  return part;
}

function exists(name: string): EspalierError {
  return new EspalierError('label_exists', `there is a label named ${JSON.stringify(name)}`);
}

function inUse(users: readonly ProfileUse[]): EspalierError {
  const some = users
    .slice(0, 10)
    .map((use) => `${use.name} (${use.identifier}, team ${use.team})`)
    .join(', ');
  return new EspalierError('conflict', `the label is used by ${users.length} profiles: ${some}`, {
    fix: 'detach=true takes it out of their targets first; with dry_run=true the answer is what that would do.',
  });
}

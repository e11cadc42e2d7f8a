import type { Clock } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { rehearse } from '../core/rehearse.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import type { CatalogueRows, Preview, PreviewOf } from '../reconciler/types.ts';
import { checkedName } from './name.ts';
import type { TeamStore, WakeAfter } from './ports.ts';
import type { Team } from './types.ts';

/** The team every host is in that no other team is named for. */
const DEFAULT_TEAM = 1;

export interface TeamsDeps {
  readonly store: TeamStore;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
  readonly wakeAfter: WakeAfter;
  readonly preview: PreviewOf;
  /** The catalogue as this unit of work leaves it. */
  readonly catalogueRows: (tx: Tx) => Promise<CatalogueRows>;
}

export interface TeamDeletion {
  readonly movedTo: string;
  readonly hosts: number;
  readonly profiles: number;
}

export interface Teams {
  list(): Promise<readonly Team[]>;
  /** Errors: team_exists, request_malformed. */
  create(name: string): Promise<number>;
  /** Errors: team_not_found. */
  idOf(name: string): Promise<number>;
  /** Errors: team_not_found, team_exists, request_malformed, conflict for the default team. */
  rename(name: string, newName: string): Promise<{ readonly id: number; readonly name: string }>;
  /**
   * Its hosts go to the other team, its profiles are deleted, its enrolment links and agents' secrets end.
   * Errors: team_not_found, conflict for the default team and for itself.
   */
  delete(name: string, moveTo: string): Promise<TeamDeletion>;
  /** What `delete` would do, with the same errors. */
  planDelete(name: string, moveTo: string): Promise<{ readonly deletion: TeamDeletion; readonly plan: Preview }>;
}

export function createTeams(deps: TeamsDeps): Teams {
  const { store, unitOfWork, clock, wakeAfter } = deps;

  /** The team that ends and the one that takes its hosts, both locked: neither can end meanwhile. */
  async function pair(tx: Tx, name: string, moveTo: string): Promise<{ from: number; into: number }> {
    const found = await store.lock(tx, [name, moveTo]);
    const from = found.get(name);
    const into = found.get(moveTo);
    if (from === undefined) throw notFound(name);
    if (into === undefined) throw notFound(moveTo);
    refuseDefault(from, 'deleted');
    if (from === into) {
      throw new EspalierError('conflict', 'a team cannot take over its own hosts', { fix: 'Name another in move_to.' });
    }
    return { from, into };
  }

  return {
    list: () => store.list(),
    async create(name) {
      const wanted = checkedName('team', name);
      const id = await unitOfWork.run(async (tx) => {
        // The lock that it is keeps two from taking one name at once.
        await store.raiseEpoch(tx);
        return store.insert(tx, wanted);
      });
      if (id === undefined) throw exists(wanted);
      return id;
    },
    async idOf(name) {
      const id = await store.byName(name);
      if (id === undefined) throw notFound(name);
      return id;
    },
    async rename(name, newName) {
      const wanted = checkedName('team', newName);
      return unitOfWork.run(async (tx) => {
        await store.raiseEpoch(tx);
        const id = (await store.lock(tx, [name])).get(name);
        if (id === undefined) throw notFound(name);
        refuseDefault(id, 'renamed');
        if (!(await store.rename(tx, id, wanted))) throw exists(wanted);
        return { id, name: wanted };
      });
    },
    delete: (name, moveTo) =>
      unitOfWork.run(async (tx) => {
        const now = clock.now();
        await store.raiseEpoch(tx);
        const { from, into } = await pair(tx, name, moveTo);
        const profiles = await store.dropProfiles(tx, from, now);
        const hosts = await store.dissolve(tx, from, into, now);
        wakeAfter(tx);
        return { movedTo: moveTo, hosts, profiles };
      }),
    /** The hosts need not be moved for it: where they go is told to the plan. */
    async planDelete(name, moveTo) {
      const { from, into, profiles, rows } = await rehearse(unitOfWork, async (tx) => {
        const teams = await pair(tx, name, moveTo);
        return {
          ...teams,
          profiles: await store.dropProfiles(tx, teams.from, clock.now()),
          rows: await deps.catalogueRows(tx),
        };
      });
      const plan = await deps.preview({ rows, teamIds: [from], moves: new Map([[from, into]]) });
      const hosts = (await store.list()).find((team) => team.id === from)?.hosts ?? 0;
      return { deletion: { movedTo: moveTo, hosts, profiles }, plan };
    },
  };
}

/** Links, secrets and requests that name no team mean it, and it takes the hosts of the others. */
function refuseDefault(teamId: number, verb: 'deleted' | 'renamed'): void {
  if (teamId !== DEFAULT_TEAM) return;
  throw new EspalierError('conflict', `the default team is never ${verb}`, {
    fix: 'Hosts that no other team is named for are in it.',
  });
}

function exists(name: string): EspalierError {
  return new EspalierError('team_exists', `there is a team named ${JSON.stringify(name)}`);
}

function notFound(name: string): EspalierError {
  return new EspalierError('team_not_found', `there is no team named ${JSON.stringify(name)}`, {
    fix: 'Make it first (`espalier team create`), or name one that exists (`espalier get teams`).',
  });
}

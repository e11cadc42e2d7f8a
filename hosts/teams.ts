import { EspalierError } from '../core/errors.ts';
import type { UnitOfWork } from '../core/tx.ts';
import { checkedName } from './name.ts';
import type { TeamStore } from './ports.ts';
import type { Team } from './types.ts';

export interface Teams {
  list(): Promise<readonly Team[]>;
  /** Errors: team_exists, request_malformed. */
  create(name: string): Promise<number>;
  /** Errors: team_not_found. */
  idOf(name: string): Promise<number>;
}

export function createTeams(deps: { store: TeamStore; unitOfWork: UnitOfWork }): Teams {
  const { store, unitOfWork } = deps;
  return {
    list: () => store.list(),
    async create(name) {
      const wanted = checkedName('team', name);
      const id = await unitOfWork.run((tx) => store.insert(tx, wanted));
      if (id === undefined) throw new EspalierError('team_exists', `there is a team named ${JSON.stringify(wanted)}`);
      return id;
    },
    async idOf(name) {
      const id = await store.byName(name);
      if (id === undefined) {
        throw new EspalierError('team_not_found', `there is no team named ${JSON.stringify(name)}`, {
          fix: 'Create it with POST /api/v1/teams, or name one that GET /api/v1/teams lists.',
        });
      }
      return id;
    },
  };
}

import type { Clock } from '../core/clock.ts';
import { rehearse } from '../core/rehearse.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import type { CatalogueRows, Preview, PreviewOf } from '../reconciler/types.ts';
import type { ProfileStore } from './ports.ts';

export interface CarryOutDeps {
  readonly store: Pick<ProfileStore, 'bumpCatalogue' | 'markTeamDirty'>;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
  /** The reconciler is woken once the change has committed. */
  readonly wakeAfter: (tx: Tx) => void;
  readonly catalogueRows: (tx: Tx) => Promise<CatalogueRows>;
  readonly preview: PreviewOf;
}

/** What a piece of work did to the profiles of one team. */
export interface Worked<T> {
  readonly teamId: number;
  /** False = nothing at all: no epoch moves and nobody is evaluated again. */
  readonly changed: boolean;
  readonly answer: T;
}

/** What every change of profiles takes besides its own fields. */
export interface ChangeOptions {
  /** Nothing is changed; the answer says what would be, with the plan. */
  readonly dryRun?: boolean;
  /** Who wants it, for the history. */
  readonly by?: string;
}

export type Planned<T> = T & { readonly plan: Preview | undefined };

export type CarryOut = <T extends object>(
  work: (tx: Tx, now: Date) => Promise<Worked<T>>,
  options: ChangeOptions,
) => Promise<Planned<T>>;

/**
 * The one way in which profiles change: the work, the catalogue's epoch and the queue commit together or not at all. A dry
 * run does the same work and takes it back, then asks the planner what it would have meant.
 */
export function createCarryOut(deps: CarryOutDeps): CarryOut {
  const { store, unitOfWork, clock, wakeAfter, catalogueRows, preview } = deps;
  return async (work, { dryRun = false }) => {
    const now = clock.now();
    if (!dryRun) {
      const answer = await unitOfWork.run(async (tx) => {
        const worked = await work(tx, now);
        if (worked.changed) {
          await store.bumpCatalogue(tx);
          await store.markTeamDirty(tx, worked.teamId, 'profile', now);
          wakeAfter(tx);
        }
        return worked.answer;
      });
      return { ...answer, plan: undefined };
    }
    const { answer, teamId, rows } = await rehearse(unitOfWork, async (tx) => {
      const worked = await work(tx, now);
      if (worked.changed) await store.bumpCatalogue(tx);
      return { ...worked, rows: await catalogueRows(tx) };
    });
    return { ...answer, plan: await preview({ rows, teamIds: [teamId] }) };
  };
}

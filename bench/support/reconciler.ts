/** The reconciler as the server builds it, on a database of the bench. */
import { monotonicIds } from '../../core/ids.ts';
import { systemClock, systemRandom } from '../../core/system.ts';
import type { Database } from '../../db/database.ts';
import { profileStore } from '../../db/profile-store.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { createReconciler, type Reconciler } from '../../reconciler/tick.ts';
import { commandBodies } from '../../server/command-bodies.ts';
import { fingerprintKey } from './fleet.ts';

export function reconcilerOn(db: Database): Reconciler {
  const profiles = profileStore(db);
  return createReconciler({
    store: reconcileStore(db),
    unitOfWork: db,
    clock: systemClock,
    ids: monotonicIds(systemClock, systemRandom),
    log: { debug() {}, info() {}, warn() {}, error: (fields, message) => console.error(message, fields) },
    key: fingerprintKey,
    commandBody: commandBodies(async (tx, versionId) => {
      const bytes = await profiles.delivered(tx, versionId);
      if (bytes === undefined) throw new Error(`profile version ${versionId} has no bytes`);
      return bytes;
    }),
    afterCommit: () => undefined,
  });
}

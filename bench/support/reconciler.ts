/** The reconciler as the server builds it, on a database of the bench. */
import { monotonicIds } from '../../core/ids.ts';
import { systemClock, systemRandom } from '../../core/system.ts';
import type { Database } from '../../db/database.ts';
import { profileStore } from '../../db/profile-store.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { commandBody } from '../../mdm/hand-out.ts';
import { createReconciler, type Reconciler } from '../../reconciler/tick.ts';
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
    async commandBody(tx, request) {
      switch (request.kind) {
        case 'install':
          return commandBody({
            RequestType: 'InstallProfile',
            Payload: await profiles.delivered(tx, request.versionId),
          });
        case 'remove':
          return commandBody({ RequestType: 'RemoveProfile', Identifier: request.identifier });
        case 'profile_list':
          return commandBody({ RequestType: 'ProfileList' });
      }
    },
    afterCommit: () => undefined,
  });
}

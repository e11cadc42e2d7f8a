import type { Tx } from '../core/tx.ts';
import { commandBody } from '../mdm/hand-out.ts';
import type { CommandBody } from '../reconciler/ports.ts';

/** What the reconciler's commands carry, from the profiles' delivered bytes and mdm's own way to write a command. */
export function commandBodies(delivered: (tx: Tx, versionId: number) => Promise<Buffer>): CommandBody {
  return async (tx, request) => {
    switch (request.kind) {
      case 'install':
        return commandBody({ RequestType: 'InstallProfile', Payload: await delivered(tx, request.versionId) });
      case 'remove':
        return commandBody({ RequestType: 'RemoveProfile', Identifier: request.identifier });
      case 'profile_list':
        return commandBody({ RequestType: 'ProfileList' });
    }
  };
}

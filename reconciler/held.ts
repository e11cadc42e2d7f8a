import type { CatalogueProfile, HostFacts, WaitingReason } from './types.ts';

/** What keeps the reconciler from sending this enrolment anything; what is under way goes on. */
export function barOf({ row, ops, commands }: Pick<HostFacts, 'row' | 'ops' | 'commands'>): WaitingReason | undefined {
  if (!row.mayManageProfiles) return 'access_right_missing';
  if (!row.pushable) return 'no_push_certificate';
  if (row.channel !== 'user') return undefined;
  // One command that the user's session has put off: more of them would only pile up behind it.
  const putOff = [...commands.values()].some((command) => command.state === 'not_now');
  return putOff || ops.some(isLocked) ? 'user_not_logged_in' : undefined;
}

function isLocked(op: HostFacts['ops'][number]): boolean {
  return op.state === 'failed' && op.reason === 'keychain_locked';
}

/** A profile whose PayloadScope changed is installed on its new channel once the old one is proven to be rid of it. */
export function waitsFor(profile: CatalogueProfile, { heldElsewhere }: HostFacts): WaitingReason | undefined {
  const { movedFromSlotId } = profile;
  const there = movedFromSlotId !== undefined && heldElsewhere.includes(movedFromSlotId);
  return there ? 'dependency_not_verified' : undefined;
}

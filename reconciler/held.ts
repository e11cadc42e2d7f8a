import type { CatalogueProfile, HostFacts, LiveCommand, Op, WaitingReason } from './types.ts';

/** What keeps the reconciler from sending this enrolment anything; what is under way goes on. */
export function barOf({ row, ops, commands }: Pick<HostFacts, 'row' | 'ops' | 'commands'>): WaitingReason | undefined {
  if (!row.mayManageProfiles) return 'access_right_missing';
  if (!row.pushable) return 'no_push_certificate';
  if (row.channel !== 'user') return undefined;
  const away = [...commands.values()].some(isPutOff) || ops.some(isLocked);
  return away ? 'user_not_logged_in' : undefined;
}

/**
 * Until it is answered, however often it is fetched again in between: one install or removal that the user's session has
 * put off is enough, more of them would only pile up behind it.
 */
export function isPutOff(command: LiveCommand): boolean {
  return command.notNowCount > 0;
}

/** Until the next attempt is answered, not only until it is made. */
export function isLocked(op: Pick<Op, 'state' | 'reason'>): boolean {
  return op.state !== 'acked' && op.reason === 'keychain_locked';
}

/** A profile whose PayloadScope changed is installed on its new channel once the old one is proven to be rid of it. */
export function waitsFor(profile: CatalogueProfile, { heldElsewhere }: HostFacts): WaitingReason | undefined {
  const { movedFromSlotId } = profile;
  const there = movedFromSlotId !== undefined && heldElsewhere.includes(movedFromSlotId);
  return there ? 'dependency_not_verified' : undefined;
}

import type { FleetMac } from '../../simulator/fleet.ts';
import { hasUser, isA, isShut, type Membership, memberOf } from './cast.ts';
import { DEMO_PROFILES, type DemoProfile, FOREIGN, LEFT_OVER, scopeOf } from './content.ts';

type Channel = 'device' | 'user';

/** What the server should say of one pair in the end, and what the Mac's own store should hold. */
export interface Expectation {
  readonly identifier: string;
  readonly channel: Channel;
  readonly state: string;
  /** The waiting reason that goes with the state, where one does. */
  readonly waiting: string | undefined;
  /** `current`: exactly the version the server wants · `any`: some copy · `absent`: none. */
  readonly own: 'current' | 'any' | 'absent';
}

/** Everything that may be said of one Mac; a pair that is not in the list should be out of scope, or not shown. */
export function expectationsOf(member: FleetMac, told: boolean): readonly Expectation[] {
  const ours = DEMO_PROFILES.flatMap((profile) => expectedOf(profile, member, told));
  return isA('strangers', member.number) ? [...ours, stranger(FOREIGN), stranger(LEFT_OVER)] : ours;
}

const stranger = (identifier: string): Expectation => ({
  identifier,
  channel: 'device',
  state: 'unmanaged',
  waiting: undefined,
  own: 'any',
});

function expectedOf(profile: DemoProfile, member: FleetMac, told: boolean): Expectation[] {
  const { identifier } = profile;
  const channel: Channel = scopeOf(profile, told) === 'User' ? 'user' : 'device';
  const expected = (state: string, own: Expectation['own'], waiting?: string): Expectation => ({
    identifier,
    channel,
    state,
    waiting,
    own,
  });
  const { number } = member;
  const meant = profile.label === undefined ? 'yes' : memberOf(profile.label, member, told);
  if (meant === 'no') return [];
  if (gateOf(profile, member) === 'no') return [expected('waiting', 'absent', 'os_gate')];
  if (channel === 'user' && !hasUser(number)) return [expected('waiting', 'absent', 'no_user_channel')];
  if (meant === 'unknown') return [expected('waiting', 'absent', unknownFor(number))];
  if (isA('lying', number)) return [expected('failed', 'absent')];
  if (isA('neverOpened', number)) return [expected('pending', 'absent')];
  const moved = profile.movesTo !== undefined && told;
  if (moved && isShut(number, told)) {
    // What is there has to go first, and nobody there hears of it.
    const still = { ...expected('removing', 'any'), channel: 'device' as const };
    return [still, expected('waiting', 'absent', 'dependency_not_verified')];
  }
  if (channel === 'user' && isA('keychainLocked', number)) {
    // One command is put off; what comes later is not piled up behind it.
    return [moved ? expected('waiting', 'absent', 'user_not_logged_in') : expected('pending', 'absent')];
  }
  return [expected('verified', 'current')];
}

/** Not even whether it holds anything is known of a Mac that has never answered. */
const unknownFor = (number: number): string => (isA('neverOpened', number) ? 'actual_state_unknown' : 'label_unknown');

/** The kind of device and the version of its system. */
function gateOf({ macOnly, minOs }: DemoProfile, { mac }: FleetMac): Membership {
  const { platform, osVersion } = mac.identity;
  if (macOnly && platform !== 'macOS') return 'no';
  return minOs === undefined || isAtLeast(osVersion, minOs) ? 'yes' : 'no';
}

function isAtLeast(version: string, least: string): boolean {
  const [own, wanted] = [version, least].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (const [index, part] of wanted.entries()) {
    const difference = (own[index] ?? 0) - part;
    if (difference !== 0) return difference > 0;
  }
  return true;
}

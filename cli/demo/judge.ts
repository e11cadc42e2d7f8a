import type { Expectation } from './expect.ts';

/** What one Mac has in its own store; the judge believes nobody else about it. */
export interface OwnProfile {
  readonly identifier: string;
  readonly uuid: string;
  readonly channel: 'device' | 'user';
}

/** What the server answers about one host × profile. */
export interface ServerPair {
  readonly identifier: string;
  readonly channel: 'device' | 'user';
  readonly state: string;
  readonly waiting: string | null;
  readonly reason: string;
}

/** The PayloadUUID of the version the server wants now, by identifier. */
export type Current = ReadonlyMap<string, string>;

type Place = Pick<OwnProfile, 'identifier' | 'channel'>;

/** Why a Mac is not in its expected end state; empty when it is: what it holds, and what the server says, both. */
export function faultsOf(
  expected: readonly Expectation[],
  own: readonly OwnProfile[],
  pairs: readonly ServerPair[],
  current: Current,
): readonly string[] {
  return [
    ...expected.flatMap((one) => [...ownFaults(one, own, current), ...pairFaults(one, pairs)]),
    ...own
      .filter((one) => !expected.some((other) => other.own !== 'absent' && isSamePlace(one, other)))
      .map((one) => `${one.identifier} ${one.uuid} is installed on the ${one.channel} channel and not wanted`),
    ...pairs
      .filter(({ state }) => state !== 'not_in_scope')
      .filter((pair) => !expected.some((one) => isSamePlace(one, pair)))
      .map((pair) => `the server holds ${pair.identifier} as ${pair.state}, which nobody wants here`),
  ];
}

function ownFaults(expected: Expectation, own: readonly OwnProfile[], current: Current): string[] {
  const { identifier, channel } = expected;
  const there = own.find((one) => isSamePlace(one, expected));
  // What is there and should not be is told with everything else that is not wanted.
  if (expected.own === 'absent') return [];
  if (there === undefined) return [`${identifier} is not installed on the ${channel} channel`];
  const wanted = current.get(identifier) ?? '';
  const isCurrent = there.uuid.toUpperCase() === wanted.toUpperCase();
  return expected.own === 'any' || isCurrent ? [] : [`${identifier} is there as ${there.uuid}, not as ${wanted}`];
}

function pairFaults(expected: Expectation, pairs: readonly ServerPair[]): string[] {
  const { identifier, state, waiting } = expected;
  const pair = pairs.find((one) => isSamePlace(one, expected));
  if (pair === undefined) return [`the server says nothing about ${identifier}`];
  const said = pair.waiting === null ? pair.state : `${pair.state} (${pair.waiting})`;
  const wanted = waiting === undefined ? state : `${state} (${waiting})`;
  if (said !== wanted) return [`${identifier} is ${said}, not ${wanted}: ${pair.reason}`];
  return pair.reason === '' ? [`${identifier} is ${pair.state} without a reason`] : [];
}

const isSamePlace = (one: Place, other: Place): boolean =>
  one.identifier === other.identifier && one.channel === other.channel;

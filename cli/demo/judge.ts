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
  readonly reason: string;
}

/** What should be on the Mac, with the PayloadUUID of the current version. */
export interface Wanted extends OwnProfile {}

/** `lying`: acknowledges installs and does nothing. The server must say failed, with a reason, and never verified. */
export type Conduct = 'honest' | 'lying';

/**
 * Why a Mac is not in its expected end state; empty when it is. An honest Mac has exactly what is wanted and the server
 * calls each verified; a lying one has none of it, and the server says so.
 */
export function faultsOf(
  conduct: Conduct,
  wanted: readonly Wanted[],
  own: readonly OwnProfile[],
  pairs: readonly ServerPair[],
): readonly string[] {
  return [
    ...ownFaults(conduct, wanted, own),
    ...wanted.flatMap((one) => pairFaults(conduct, one, pairs)),
    ...strays(wanted, pairs),
  ];
}

function ownFaults(conduct: Conduct, wanted: readonly Wanted[], own: readonly OwnProfile[]): string[] {
  const missing = wanted.filter((one) => !own.some((other) => isSame(one, other)));
  const surplus = own.filter((one) => !wanted.some((other) => isSame(one, other)));
  return [
    ...(conduct === 'lying'
      ? []
      : missing.map((one) => `${one.identifier} ${one.uuid} is not installed on the ${one.channel} channel`)),
    ...surplus.map((one) => `${one.identifier} ${one.uuid} is installed on the ${one.channel} channel and not wanted`),
  ];
}

function pairFaults(conduct: Conduct, { identifier, channel }: Wanted, pairs: readonly ServerPair[]): string[] {
  const pair = pairs.find((one) => one.identifier === identifier && one.channel === channel);
  if (pair === undefined) return [`the server says nothing about ${identifier}`];
  const expected = conduct === 'lying' ? 'failed' : 'verified';
  if (pair.state !== expected) return [`${identifier} is ${pair.state}, not ${expected}: ${pair.reason}`];
  return pair.reason === '' ? [`${identifier} is ${pair.state} without a reason`] : [];
}

function strays(wanted: readonly Wanted[], pairs: readonly ServerPair[]): string[] {
  return pairs
    .filter((pair) => pair.state !== 'not_in_scope' && pair.state !== 'unmanaged')
    .filter((pair) => !wanted.some((one) => one.identifier === pair.identifier && one.channel === pair.channel))
    .map((pair) => `the server holds ${pair.identifier} as ${pair.state}, which nobody wants here`);
}

function isSame(one: OwnProfile, other: OwnProfile): boolean {
  return (
    one.identifier === other.identifier &&
    one.channel === other.channel &&
    one.uuid.toUpperCase() === other.uuid.toUpperCase()
  );
}

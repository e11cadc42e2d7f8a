import type { MacFaults } from '../../simulator/faults.ts';
import type { FleetMac } from '../../simulator/fleet.ts';
import type { Platform } from '../../simulator/identity.ts';
import { type DemoLabel, SLACK_APP } from './content.ts';

/** Who plays which part, by number from 0. At least so many Macs are needed for all of them. */
export const PARTS = {
  getsSlack: 0,
  losesByHand: 1,
  noExtension: 2,
  keychainLocked: 3,
  lying: 4,
  strangers: 5,
  lidShut: 6,
  oldVersion: 7,
  noUser: 8,
  phone: 10,
  neverOpened: 11,
} as const;
export type Part = keyof typeof PARTS;
export const LEAST_MACS = 12;
export const MOST_MACS = 500;

const NOTES: Readonly<Record<Part, string>> = {
  getsSlack: 'somebody installed Slack: a label of that query holds here since',
  losesByHand: 'somebody removed a profile by hand: it came back',
  noExtension: 'its osquery lacks the extension: a label cannot be asked',
  keychainLocked: 'its user is not there: their channel says NotNow',
  lying: 'lies: acknowledges and installs nothing',
  strangers: 'has profiles that this server did not bring',
  lidShut: 'shut its lid before a profile moved to the user',
  oldVersion: 'kept an old version once',
  noUser: 'of the design team, without a managed user',
  phone: 'an iPhone: no agent, and Mac profiles are not for it',
  neverOpened: 'shut its lid as soon as it was enrolled',
};

export function partOf(number: number): Part | undefined {
  return (Object.keys(PARTS) as Part[]).find((part) => PARTS[part] === number);
}

export const isA = (part: Part, number: number): boolean => PARTS[part] === number;

/** What is special about this Mac, for the table. */
export function noteOf(number: number): string {
  const part = partOf(number);
  return part === undefined ? '' : NOTES[part];
}

/** `--faults`, per command or result. */
const WEATHER: Partial<MacFaults> = { notNow: 0.2, lostAck: 0.05, duplicateReport: 0.05 };

export function faultsFor(number: number, weather: boolean): Partial<MacFaults> {
  return {
    ...(weather ? WEATHER : {}),
    ...(isA('lying', number) ? { lies: true } : {}),
    ...(isA('keychainLocked', number) ? { userLocked: true } : {}),
    // Its first install is acknowledged and an older copy stays, as after a restore from a backup.
    ...(isA('oldVersion', number) ? { staleInstalls: 1 } : {}),
  };
}

/** Every third Mac has a managed user, and with it a user channel. */
export function hasUser(number: number): boolean {
  return number % 3 === 0;
}

export const platformOf = (number: number): Platform => (isA('phone', number) ? 'iOS' : 'macOS');

/** Says nothing to anybody, from the start or once the story is told. */
export const isShut = (number: number, told: boolean): boolean =>
  isA('neverOpened', number) || (told && isA('lidShut', number));

/** What people installed on it. */
export function isSlackUser(number: number, told: boolean): boolean {
  return number % 4 === 1 || (told && isA('getsSlack', number));
}

export function installApps({ number, mac }: FleetMac, told: boolean): void {
  const has = mac.apps.some(({ bundleIdentifier }) => bundleIdentifier === SLACK_APP.bundleIdentifier);
  if (isSlackUser(number, told) && !has) mac.installApp(SLACK_APP);
}

export type Membership = 'yes' | 'no' | 'unknown';

/** Who is in which label, as the Mac itself would say; unknown where nobody there can. */
export function memberOf(label: DemoLabel, { number, mac }: FleetMac, told: boolean): Membership {
  const { modelName, osVersion, platform } = mac.identity;
  const isAsked = platform === 'macOS' && !isA('neverOpened', number);
  switch (label) {
    case 'Laptops':
      return yesOrNo(modelName.startsWith('MacBook'));
    case 'Design':
      return yesOrNo((hasUser(number) && platform === 'macOS') || isA('noUser', number));
    case 'Slack':
      return isAsked ? yesOrNo(isSlackUser(number, told)) : 'unknown';
    case 'Munki':
      return isAsked && !isA('noExtension', number) ? 'yes' : 'unknown';
    case 'Sequoia':
      return yesOrNo(platform === 'macOS' && Number.parseInt(osVersion, 10) >= 15);
  }
}

const yesOrNo = (value: boolean): Membership => (value ? 'yes' : 'no');

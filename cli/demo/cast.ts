import type { MacFaults } from '../../simulator/faults.ts';
import type { FleetMac } from '../../simulator/fleet.ts';
import type { DemoLabel } from './content.ts';
import type { Conduct } from './judge.ts';

/** Who plays which part, by number from 0. At least so many Macs are needed for all of them. */
const LYING = 4;
const OLD_VERSION = 7;
export const LEAST_MACS = 8;
export const MOST_MACS = 500;

/** `--faults`, per command or result. */
const WEATHER: Partial<MacFaults> = { notNow: 0.2, lostAck: 0.05, duplicateReport: 0.05 };

export function conductOf(number: number): Conduct {
  return number === LYING ? 'lying' : 'honest';
}

export function faultsFor(number: number, weather: boolean): Partial<MacFaults> {
  return {
    ...(weather ? WEATHER : {}),
    ...(number === LYING ? { lies: true } : {}),
    // Its first install is acknowledged and an older copy stays, as after a restore from a backup.
    ...(number === OLD_VERSION ? { staleInstalls: 1 } : {}),
  };
}

/** Every third Mac has a managed user, and with it a user channel. */
export function hasUser(number: number): boolean {
  return number % 3 === 0;
}

export function labelsOf({ number, mac }: FleetMac): readonly DemoLabel[] {
  return [
    ...(mac.identity.modelName.startsWith('MacBook') ? (['Laptops'] as const) : []),
    ...(hasUser(number) ? (['Design'] as const) : []),
  ];
}

/** What is special about this Mac, for the table. */
export function partOf(number: number): string {
  if (number === LYING) return 'lies: acknowledges and installs nothing';
  return number === OLD_VERSION ? 'kept an old version once' : '';
}

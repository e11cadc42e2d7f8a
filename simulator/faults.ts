import type { SeededRandom } from './random.ts';

/** How a Mac misbehaves. Probabilities are per event, in [0, 1]; all of it is drawn from the Mac's seeded generator. */
export interface MacFaults {
  /** A command is answered NotNow, where macOS may say so. */
  readonly notNow: number;
  /** The command is carried out, the connection drops before the result is out; the result is kept and sent later. */
  readonly lostAck: number;
  /** The same, and the result is lost with it: the Mac goes silent until the next push. */
  readonly lostForGood: number;
  /** A result is sent twice: at once, as if the first answer had been lost, or at the start of the next exchange. */
  readonly duplicateReport: number;
  /** InstallProfile is acknowledged and nothing is installed. */
  readonly lies: boolean;
  /** So many InstallProfiles are acknowledged while an older copy stays (restored from a backup, if there was none). */
  readonly staleInstalls: number;
  /** Nobody has unlocked the user's keychain: their channel answers NotNow to everything. */
  readonly userLocked: boolean;
  /** A push finds the Mac asleep. */
  readonly asleep: number;
  /** How long it then sleeps, in milliseconds. */
  readonly asleepMs: number;
}

export const HONEST: MacFaults = {
  notNow: 0,
  lostAck: 0,
  lostForGood: 0,
  duplicateReport: 0,
  lies: false,
  staleInstalls: 0,
  userLocked: false,
  asleep: 0,
  asleepMs: 2_000,
};

/** What becomes of one result on its way out. */
export type Delivery = 'sent' | 'dropped' | 'torn' | 'lost' | 'twice' | 'twice-later';

export function drawDelivery(faults: MacFaults, random: SeededRandom, status: string): Delivery {
  if (random.chance(faults.lostAck)) return random.chance(0.5) ? 'dropped' : 'torn';
  if (random.chance(faults.lostForGood)) return 'lost';
  // A Mac keeps no NotNow, so there is none to repeat.
  if (status !== 'NotNow' && random.chance(faults.duplicateReport)) return random.chance(0.5) ? 'twice' : 'twice-later';
  return 'sent';
}

/** macOS in Power Nap answers NotNow to everything but these (apple-protocol 2.2). */
const NEVER_NOT_NOW: ReadonlySet<string> = new Set([
  'DeleteUser',
  'DeviceLock',
  'EraseDevice',
  'RestartDevice',
  'ShutDownDevice',
  'UserList',
  'ActivationLockBypassCode',
  'ClearActivationLockBypassCode',
  'UnlockUserAccount',
]);

export const drawNotNow = (faults: MacFaults, random: SeededRandom, requestType: string): boolean =>
  !NEVER_NOT_NOW.has(requestType) && random.chance(faults.notNow);

import type { SeededRandom } from './random.ts';

/** Who a Mac is. All of it goes over the wire in Authenticate and in osquery's system_info. */
export interface MacIdentity {
  /** The hardware UUID in capitals; IDN-03: opaque to the server. */
  readonly udid: string;
  readonly serialNumber: string;
  readonly deviceName: string;
  readonly hostName: string;
  readonly modelName: string;
  readonly model: string;
  readonly osVersion: string;
  readonly buildVersion: string;
}

/** The local user who installed the enrolment profile; IDN-06: the only one macOS manages. */
export interface LocalUser {
  /** The directory GUID in capitals. */
  readonly userId: string;
  readonly shortName: string;
  readonly longName: string;
}

const MODELS = [
  { model: 'Mac15,3', modelName: 'MacBook Pro' },
  { model: 'Mac15,12', modelName: 'MacBook Air' },
  { model: 'Mac16,10', modelName: 'Mac mini' },
  { model: 'Mac16,2', modelName: 'iMac' },
] as const;

const SYSTEMS = [
  { osVersion: '14.7.1', buildVersion: '23H222' },
  { osVersion: '15.1', buildVersion: '24B83' },
  { osVersion: '15.1.1', buildVersion: '24B91' },
] as const;

/** Ten characters without those that are read for one another, as Apple's random serial numbers have been since 2021. */
const SERIAL_ALPHABET = 'CDFGHJKLMNPQRTVWXY0123456789';

export function makeIdentity(random: SeededRandom, number: number): MacIdentity {
  const { model, modelName } = random.pick(MODELS);
  const serialNumber = Array.from({ length: 10 }, () => SERIAL_ALPHABET[random.below(SERIAL_ALPHABET.length)]).join('');
  const label = String(number + 1).padStart(3, '0');
  return {
    udid: random.uuid(),
    serialNumber,
    deviceName: `Simulated ${modelName} ${label}`,
    hostName: `mac-${label}.local`,
    model,
    modelName,
    ...random.pick(SYSTEMS),
  };
}

export function makeUser(random: SeededRandom, number: number): LocalUser {
  const label = String(number + 1).padStart(3, '0');
  return { userId: random.uuid(), shortName: `user${label}`, longName: `User ${label}` };
}

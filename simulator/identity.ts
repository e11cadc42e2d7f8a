import type { SeededRandom } from './random.ts';

export type Platform = 'macOS' | 'iOS' | 'iPadOS';

/** Who a device is. It goes over the wire in Authenticate, DeviceInformation and osquery's system_info. */
export interface MacIdentity {
  readonly platform: Platform;
  /** A Mac's hardware UUID in capitals, an iPhone's chip and ECID; IDN-03: opaque to the server. */
  readonly udid: string;
  readonly serialNumber: string;
  readonly deviceName: string;
  readonly hostName: string;
  readonly modelName: string;
  /** DeviceInformation's Model: on macOS the same as `productName`, on iOS an order number. */
  readonly model: string;
  readonly productName: string;
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
  const serialNumber = makeSerial(random);
  const label = String(number + 1).padStart(3, '0');
  return {
    platform: 'macOS',
    udid: random.uuid(),
    serialNumber,
    deviceName: `Simulated ${modelName} ${label}`,
    hostName: `mac-${label}.local`,
    model,
    productName: model,
    modelName,
    ...random.pick(SYSTEMS),
  };
}

const makeSerial = (random: SeededRandom): string =>
  Array.from({ length: 10 }, () => SERIAL_ALPHABET[random.below(SERIAL_ALPHABET.length)]).join('');

const MOBILE = {
  iOS: { modelName: 'iPhone', model: 'MLPG3LL', productName: 'iPhone14,5', chip: '00008110' },
  iPadOS: { modelName: 'iPad', model: 'MPQ03LL', productName: 'iPad13,18', chip: '00008101' },
} as const;

/** An iPhone or iPad: no agent, no user channel, no name in Authenticate. */
export function makeMobileIdentity(random: SeededRandom, number: number, platform: 'iOS' | 'iPadOS'): MacIdentity {
  const { chip, ...kind } = MOBILE[platform];
  const label = String(number + 1).padStart(3, '0');
  return {
    platform,
    udid: `${chip}-${random.bytes(8).toString('hex').toUpperCase()}`,
    serialNumber: makeSerial(random),
    deviceName: `Simulated ${kind.modelName} ${label}`,
    hostName: '',
    ...kind,
    osVersion: '18.1',
    buildVersion: '22B83',
  };
}

export function makeUser(random: SeededRandom, number: number): LocalUser {
  const label = String(number + 1).padStart(3, '0');
  return { userId: random.uuid(), shortName: `user${label}`, longName: `User ${label}` };
}

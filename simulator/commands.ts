import type { Channel } from '../core/enrollment.ts';
import type { PlistDict, Writable } from '../plist/types.ts';
import type { Device } from './device.ts';
import { replaceEnrollment } from './enroll.ts';
import { isEnrollmentProfile } from './enrollment-profile.ts';
import { drawNotNow } from './faults.ts';
import { certificateList, deviceInformation, installedApplications, profileList, securityInfo } from './inventory.ts';
import { type ConfigurationProfile, readProfile } from './profile.ts';
import { replaced, requireInstallable, type Stores, toStored, without } from './profile-store.ts';
import { type ErrorLink, installationFailed, MacRefusal, refusal } from './refusal.ts';
import type { ChannelState, StoredProfile } from './state.ts';

export interface CommandResult {
  readonly status: 'Acknowledged' | 'Error' | 'CommandFormatError' | 'NotNow';
  readonly errorChain?: readonly ErrorLink[];
  readonly response?: Readonly<Record<string, Writable | undefined>>;
  /** The command removed the enrolment profile: the Mac leaves once this result is delivered. */
  readonly leaves?: boolean;
}

interface Context {
  readonly device: Device;
  readonly channel: Channel;
  readonly store: ChannelState;
  readonly command: PlistDict;
}

interface Handler {
  /** The bit of AccessRights the profile must have granted. */
  readonly right: number;
  readonly userChannel: boolean;
  run(context: Context): CommandResult | Promise<CommandResult>;
}

const acknowledged = (response?: CommandResult['response']): CommandResult =>
  response === undefined ? { status: 'Acknowledged' } : { status: 'Acknowledged', response };

const formatError: CommandResult = { status: 'CommandFormatError' };

const HANDLERS: ReadonlyMap<string, Handler> = new Map([
  ['InstallProfile', { right: 2, userChannel: true, run: installProfile }],
  ['RemoveProfile', { right: 2, userChannel: true, run: removeProfile }],
  [
    'ProfileList',
    { right: 1, userChannel: true, run: ({ store }) => acknowledged({ ProfileList: profileList(store.profiles) }) },
  ],
  ['DeviceInformation', { right: 16, userChannel: true, run: runDeviceInformation }],
  [
    'SecurityInfo',
    { right: 1024, userChannel: true, run: ({ channel }) => acknowledged({ SecurityInfo: securityInfo(channel) }) },
  ],
  [
    'InstalledApplicationList',
    {
      right: 256,
      userChannel: true,
      run: ({ device, command }) =>
        acknowledged({
          InstalledApplicationList: installedApplications(device.apps, strings(command, 'Identifiers')),
        }),
    },
  ],
  [
    'CertificateList',
    { right: 1, userChannel: true, run: ({ device }) => acknowledged({ CertificateList: certificateList(device) }) },
  ],
]);

/** Carry a command out. Never throws for what the server sent: the ErrorChain is the answer. */
export async function execute(device: Device, channel: Channel, command: PlistDict): Promise<CommandResult> {
  const requestType = command.get('RequestType');
  const store = device.channel(channel);
  if (typeof requestType !== 'string' || store === undefined) return formatError;
  const isLocked = channel === 'user' && device.faults.userLocked;
  if (isLocked || drawNotNow(device.faults, device.random, requestType)) {
    device.emit({ kind: 'fault', fault: 'NotNow' });
    return { status: 'NotNow' };
  }
  try {
    const handler = HANDLERS.get(requestType);
    if (handler === undefined || (channel === 'user' && !handler.userChannel)) {
      throw refusal('MAC-58', 'MCMDM', 12021, `“${requestType}” is not a valid request type`);
    }
    if ((device.enrolled().mdm.accessRights & handler.right) === 0) {
      throw refusal('MAC-58', 'MCMDM', 12007, `The access rights do not allow ${requestType}`);
    }
    return await handler.run({ device, channel, store, command });
  } catch (error) {
    if (error instanceof MacRefusal) return { status: 'Error', errorChain: error.chain };
    // A renewal that could not reach its server: the old configuration stays (ENR-06).
    const description = error instanceof Error ? error.message : String(error);
    return { status: 'Error', errorChain: [{ domain: 'MCMDMErrorDomain', code: 12002, description }] };
  }
}

function strings(command: PlistDict, key: string): readonly string[] | undefined {
  const value = command.get(key);
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : undefined;
}

function runDeviceInformation({ device, channel, command }: Context): CommandResult {
  const queries = strings(command, 'Queries');
  if (queries === undefined) return formatError;
  return acknowledged({ QueryResponses: deviceInformation(device, channel, queries) });
}

async function installProfile(context: Context): Promise<CommandResult> {
  const { device, channel, store } = context;
  const payload = context.command.get('Payload');
  // PRF-01: data, and base64 once. A profile encoded twice reads as text that is no profile.
  if (!(payload instanceof Uint8Array)) return formatError;
  try {
    const profile = readProfile(payload, device.trustedRoots(), device.now());
    if (isEnrollmentProfile(profile) || profile.identifier === device.enrolled().profileIdentifier) {
      requireInstallable(profile, channel, { ...storesOf(device), device: [], user: [] });
      await replaceEnrollment(device, profile);
    } else {
      requireInstallable(profile, channel, storesOf(device));
      keep(device, store, profile);
    }
    device.emit({ kind: 'installed', channel, identifier: profile.identifier, uuid: profile.uuid });
    return acknowledged();
  } catch (error) {
    throw error instanceof MacRefusal ? installationFailed(error) : error;
  }
}

const storesOf = (device: Device): Stores => ({
  platform: device.identity.platform,
  device: device.state.device.profiles,
  user: device.state.user?.profiles ?? [],
});

/** The one place where a Mac that misbehaves does something else than it says. */
function keep(device: Device, store: ChannelState, profile: ConfigurationProfile): void {
  const installed = toStored(profile, device.now(), true);
  if (device.faults.lies) {
    device.emit({ kind: 'fault', fault: 'lied about InstallProfile' });
    return;
  }
  const stale = device.state.staleInstalls ?? device.faults.staleInstalls;
  if (stale > 0) {
    device.state.staleInstalls = stale - 1;
    device.emit({ kind: 'fault', fault: 'kept an old copy' });
    const old = store.profiles.find((stored) => stored.identifier === profile.identifier);
    store.profiles = replaced(store.profiles, old ?? fromBackup(device, installed));
    return;
  }
  store.profiles = replaced(store.profiles, installed);
}

const MONTH = 30 * 24 * 60 * 60 * 1000;

/** The same identifier as it was before this server knew the Mac. */
const fromBackup = (device: Device, profile: StoredProfile): StoredProfile => ({
  ...profile,
  uuid: device.random.uuid(),
  installedAt: new Date(device.now().getTime() - MONTH).toISOString(),
});

function removeProfile({ device, channel, store, command }: Context): CommandResult {
  const identifier = command.get('Identifier');
  if (typeof identifier !== 'string') return formatError;
  const stored = store.profiles.find((profile) => profile.identifier === identifier);
  if (stored === undefined) {
    const description = `Profile with identifier “${identifier}” not found.`;
    throw new MacRefusal('MAC-65', [{ domain: 'MDMClientError', code: 89, description }]);
  }
  if (!stored.managed) throw refusal('MAC-66', 'MCMDM', 12013, `The profile “${identifier}” is not managed by MDM`);
  if (identifier === device.enrolled().profileIdentifier) return { status: 'Acknowledged', leaves: true };
  store.profiles = without(store.profiles, identifier);
  device.emit({ kind: 'removed', channel, identifier });
  return acknowledged();
}

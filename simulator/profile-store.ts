import { createHash } from 'node:crypto';
import type { Channel } from '../core/enrollment.ts';
import { writePlistBytes } from '../plist/write.ts';
import type { Platform } from './identity.ts';
import { isAllowedOn, isMacOnly, MDM_PAYLOAD, ONE_PER_MACHINE } from './payload-types.ts';
import { settingsOf } from './preferences.ts';
import type { ConfigurationProfile } from './profile.ts';
import { MacRefusal, refusal } from './refusal.ts';
import type { StoredProfile } from './state.ts';

/** What is installed on both channels: some rules look at the whole machine. */
export interface Stores {
  readonly platform: Platform;
  readonly device: readonly StoredProfile[];
  readonly user: readonly StoredProfile[];
}

/** Everything a Mac holds against installing this profile on this channel, beyond its own form. */
export function requireInstallable(profile: ConfigurationProfile, channel: Channel, stores: Stores): void {
  if (stores.platform === 'macOS') requireChannel(profile, channel);
  else requireMobile(profile);
  const others = [...stores.device, ...stores.user].filter((stored) => stored.identifier !== profile.identifier);
  if (others.some((stored) => stored.uuid.toUpperCase() === profile.uuid.toUpperCase())) {
    throw refusal('MAC-63', 'MCInstallation', 4002, `Another profile has the PayloadUUID ${profile.uuid}`);
  }
  if (others.some(hasMdm) && profile.payloads.some((payload) => payload.type === MDM_PAYLOAD)) {
    throw refusal('MAC-22', 'MCMDM', 12001, 'The Mac is managed already');
  }
  for (const type of ONE_PER_MACHINE) {
    const coming = profile.payloads.filter((payload) => payload.type === type).length;
    const there = others.some((stored) => stored.payloads.some((payload) => payload.type === type));
    if (coming > 1 || (coming === 1 && there)) {
      throw refusal('MAC-62', 'MCInstallation', 4001, `The Mac takes only one payload of type ${type}`);
    }
  }
}

const hasMdm = (stored: StoredProfile): boolean => stored.payloads.some((payload) => payload.type === MDM_PAYLOAD);

const unsupported = (rule: string, description: string): MacRefusal =>
  new MacRefusal(rule, [
    { domain: 'MCInstallationErrorDomain', code: 4001, description: 'Profile Installation Failed' },
    { domain: 'MCProfileErrorDomain', code: 1010, description },
  ]);

/** MAC-96: there is one channel, and PayloadScope and the Mac's own payloads have no meaning. */
function requireMobile(profile: ConfigurationProfile): void {
  if (profile.scope === 'User') throw unsupported('MAC-96', 'A profile with PayloadScope User is for macOS');
  const payload = profile.payloads.find(({ type }) => isMacOnly(type));
  if (payload !== undefined) throw unsupported('MAC-96', `A payload of type ${payload.type} is for macOS`);
}

function requireChannel(profile: ConfigurationProfile, channel: Channel): void {
  const wrong = (what: string): MacRefusal =>
    unsupported('MAC-61', `${what} cannot be installed on the ${channel} channel`);
  if ((profile.scope === 'User' && channel === 'device') || (profile.scope === 'System' && channel === 'user')) {
    throw wrong(`A profile with PayloadScope ${profile.scope}`);
  }
  const payload = profile.payloads.find((candidate) => !isAllowedOn(channel, candidate.type));
  if (payload !== undefined) throw wrong(`A payload of type ${payload.type}`);
}

export function toStored(profile: ConfigurationProfile, installedAt: Date, managed: boolean): StoredProfile {
  const { keys } = profile;
  const description = keys.optionalString('PayloadDescription');
  const organization = keys.optionalString('PayloadOrganization');
  return {
    identifier: profile.identifier,
    uuid: profile.uuid,
    displayName: keys.optionalString('PayloadDisplayName') ?? profile.identifier,
    ...(description === undefined ? {} : { description }),
    ...(organization === undefined ? {} : { organization }),
    removalDisallowed: keys.optionalBoolean('PayloadRemovalDisallowed') ?? false,
    installedAt: installedAt.toISOString(),
    verification: profile.verification,
    signedBy: profile.signers.map((certificate) => certificate.der.toString('base64')),
    managed,
    checksum: createHash('sha256')
      .update(writePlistBytes(keys.array('PayloadContent')))
      .digest('hex'),
    payloads: profile.payloads.map((payload) => {
      const { type, identifier: name, uuid, displayName } = payload;
      const settings = settingsOf(payload);
      return {
        type,
        identifier: name,
        uuid,
        ...(displayName === undefined ? {} : { displayName }),
        ...(settings === undefined ? {} : { settings }),
      };
    }),
  };
}

/** MAC-64: one profile per identifier and channel; the newer takes the older's place. */
export const replaced = (profiles: readonly StoredProfile[], profile: StoredProfile): StoredProfile[] => [
  ...profiles.filter((stored) => stored.identifier !== profile.identifier),
  profile,
];

export const without = (profiles: readonly StoredProfile[], identifier: string): StoredProfile[] =>
  profiles.filter((stored) => stored.identifier !== identifier);

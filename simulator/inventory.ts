import { nameValue } from '../cms/names.ts';
import { pemToDer } from '../cms/pem.ts';
import { parseCertificate } from '../cms/x509.ts';
import type { Channel } from '../core/enrollment.ts';
import { Real, type Writable } from '../plist/types.ts';
import type { App } from './apps.ts';
import type { Device } from './device.ts';
import type { StoredProfile } from './state.ts';

type Answer = Readonly<Record<string, Writable | undefined>>;

/** A query the Mac cannot or may not answer is missing from the answer (apple-protocol 2.4). */
export function deviceInformation(device: Device, channel: Channel, queries: readonly string[]): Answer {
  const { identity } = device;
  const onlyMacs: Answer = {
    HostName: identity.hostName,
    LocalHostName: identity.hostName.replace(/\.local$/, ''),
    IsAppleSilicon: true,
    PINRequiredForEraseDevice: false,
    PINRequiredForDeviceLock: false,
    SupportsLOMDevice: false,
    ActiveManagedUsers: channel === 'device' ? managedUsers(device) : undefined,
  };
  const known: Answer = {
    UDID: identity.udid,
    DeviceName: identity.deviceName,
    SerialNumber: identity.serialNumber,
    Model: identity.model,
    ModelName: identity.modelName,
    ProductName: identity.productName,
    OSVersion: identity.osVersion,
    BuildVersion: identity.buildVersion,
    IsSupervised: true,
    AwaitingConfiguration: false,
    DeviceCapacity: new Real(494.38),
    AvailableDeviceCapacity: new Real(301.5),
    BatteryLevel: new Real(-1),
    HasBattery: false,
    IsActivationLockSupported: true,
    ...(identity.platform === 'macOS' ? onlyMacs : {}),
    ...(channel === 'user' ? { PushToken: Buffer.from(device.state.user?.token ?? '', 'hex') } : {}),
  };
  return Object.fromEntries(
    queries.filter((query) => known[query] !== undefined).map((query) => [query, known[query]]),
  );
}

const managedUsers = (device: Device): Writable =>
  device.state.user === undefined ? [] : [device.state.user.account.userId];

/** The FileVault keys and most others belong to the device channel; the user's answer is nearly empty. */
export function securityInfo(channel: Channel): Answer {
  const managementStatus = {
    EnrolledViaDEP: false,
    UserApprovedEnrollment: true,
    IsUserEnrollment: false,
    IsActivationLockManageable: false,
  };
  if (channel === 'user') return { ManagementStatus: managementStatus };
  return {
    FDE_Enabled: false,
    FDE_HasPersonalRecoveryKey: false,
    FDE_HasInstitutionalRecoveryKey: false,
    SystemIntegrityProtectionEnabled: true,
    AuthenticatedRootVolumeEnabled: true,
    RemoteDesktopEnabled: false,
    IsRecoveryLockEnabled: false,
    BootstrapTokenAllowedForAuthentication: 'allowed',
    BootstrapTokenRequiredForSoftwareUpdate: true,
    BootstrapTokenRequiredForKernelExtensionApproval: true,
    FirewallSettings: { FirewallEnabled: true, BlockAllIncoming: false, StealthMode: false, Applications: [] },
    SecureBoot: { SecureBootLevel: 'full', ExternalBootLevel: 'disallowed' },
    ManagementStatus: managementStatus,
  };
}

export const installedApplications = (apps: readonly App[], identifiers: readonly string[] | undefined): Writable =>
  apps
    .filter(
      ({ bundleIdentifier }) =>
        identifiers === undefined || (bundleIdentifier !== undefined && identifiers.includes(bundleIdentifier)),
    )
    .map(({ name, bundleIdentifier, version, shortVersion, size }) => ({
      ...(bundleIdentifier === undefined ? {} : { Identifier: bundleIdentifier }),
      Name: name,
      Version: version,
      ShortVersion: shortVersion,
      BundleSize: size,
      Installing: false,
    }));

export function certificateList(device: Device): Writable {
  const item = (pem: string, isIdentity: boolean): Answer => {
    const certificate = parseCertificate(pemToDer(pem));
    return { CommonName: nameValue(certificate.subject, 'CN') ?? '', IsIdentity: isIdentity, Data: certificate.der };
  };
  const enrolled = device.enrolled();
  return [item(enrolled.certificate, true), ...enrolled.roots.map((pem) => item(pem, false))];
}

/** Identities, never contents; `IsManaged` is not a macOS key. */
export const profileList = (profiles: readonly StoredProfile[]): Writable =>
  profiles.map((profile) => ({
    PayloadUUID: profile.uuid,
    PayloadIdentifier: profile.identifier,
    PayloadVersion: 1,
    PayloadDisplayName: profile.displayName,
    PayloadDescription: profile.description,
    PayloadOrganization: profile.organization,
    PayloadRemovalDisallowed: profile.removalDisallowed,
    HasRemovalPasscode: false,
    IsEncrypted: false,
    SignerCertificates: profile.signedBy.map((der) => Buffer.from(der, 'base64')),
    PayloadContent: profile.payloads.map((payload) => ({
      PayloadType: payload.type,
      PayloadVersion: 1,
      PayloadIdentifier: payload.identifier,
      PayloadUUID: payload.uuid,
      PayloadDisplayName: payload.displayName,
    })),
  }));

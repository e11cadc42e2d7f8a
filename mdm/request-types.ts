import type { Channel } from '../core/enrollment.ts';

const DEVICE: readonly Channel[] = ['device'];
const USER: readonly Channel[] = ['user'];
const BOTH: readonly Channel[] = ['device', 'user'];

/**
 * Apple's RequestTypes and the channels they may be sent on (CMD-12): macOS where it has the command, else the device
 * channel of the systems that do. Source: Apple's device-management YAML at 18.1/15.1, two later names from 27.0.
 */
export const REQUEST_TYPES: ReadonlyMap<string, readonly Channel[]> = new Map([
  ...types(
    DEVICE,
    'AccountConfiguration InstallEnterpriseApplication RemoveApplication ActivationLockBypassCode',
    'ClearActivationLockBypassCode DeviceConfigured EraseDevice DeviceLock RestartDevice ShutDownDevice',
    'ContentCachingInformation LOMDeviceRequest LOMSetupRequest ManagedApplicationConfiguration RequestMirroring',
    'StopMirroring SetFirmwarePassword VerifyFirmwarePassword SetRecoveryLock VerifyRecoveryLock',
    'InstallProvisioningProfile ProvisioningProfileList RemoveProvisioningProfile DisableRemoteDesktop',
    'EnableRemoteDesktop RotateFileVaultKey SetAutoAdminPassword AvailableOSUpdates ScheduleOSUpdateScan',
    'ScheduleOSUpdate OSUpdateStatus DeleteUser UserList UnlockUserAccount',
    'ApplyRedemptionCode ValidateApplications RefreshCellularPlans DisableLostMode EnableLostMode DeviceLocation',
    'PlayLostModeSound ClearRestrictionsPassword ManagedApplicationAttributes ManagedMediaList',
    'RemoveMedia ClearPasscode RequestUnlockToken LogOutUser',
  ),
  ...types(
    USER,
    'ActiveNSExtensions NSExtensionMappings InviteToProgram ManagedApplicationFeedback InstallMedia UserConfigured',
    'TriggerEnhancedLogCollection CancelEnhancedLogCollection',
  ),
  ...types(
    BOTH,
    'InstallApplication InstalledApplicationList ManagedApplicationList CertificateList DeclarativeManagement',
    'DeviceInformation SecurityInfo InstallProfile ProfileList RemoveProfile Settings Restrictions',
  ),
]);

function types(channels: readonly Channel[], ...lines: readonly string[]): [string, readonly Channel[]][] {
  return lines.flatMap((line) => line.split(' ')).map((name) => [name, channels]);
}

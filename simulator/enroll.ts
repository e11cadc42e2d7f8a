import type { Channel } from '../core/enrollment.ts';
import { authenticate, checkOut, tokenUpdate } from './check-in.ts';
import type { Device } from './device.ts';
import {
  type EnrollmentProfile,
  isEnrollmentProfile,
  readEnrollmentProfile,
  requireFrozenKeys,
} from './enrollment-profile.ts';
import type { LocalUser } from './identity.ts';
import { type ConfigurationProfile, readProfile } from './profile.ts';
import { replaced, requireInstallable, toStored } from './profile-store.ts';
import { MacRefusal, refusal } from './refusal.ts';
import { enrollWithScep } from './scep-client.ts';
import type { EnrolledState } from './state.ts';
import { Transport } from './transport.ts';
import { certificatesIn, rootsIn, toPem } from './trust.ts';

const ENROLLMENT_MEDIA_TYPE = 'application/x-apple-aspen-config';
const PER_USER = 'com.apple.mdm.per-user-connections';

/** Fetch the profile behind a link, as a person in a browser does, and install it. */
export async function enroll(device: Device, url: string): Promise<void> {
  if (device.state.phase === 'enrolled') throw refusal('MAC-22', 'MCMDM', 12001, 'The Mac is managed already');
  if (device.state.phase === 'unenrolled') device.renewChannels();
  await installEnrollment(device, await fetchProfile(device, url));
  device.state.phase = 'enrolled';
  device.save();
  device.emit({ kind: 'enrolled', channel: 'device' });
}

async function fetchProfile(device: Device, url: string): Promise<EnrollmentProfile> {
  const browser = new Transport({ roots: device.options.enrollmentRoots });
  try {
    const response = await browser.send({ method: 'GET', url });
    if (response.status !== 200) {
      throw refusal('MAC-05', 'MCHTTPTransaction', 23001, `${url} was answered ${response.status}`);
    }
    if (response.mediaType !== ENROLLMENT_MEDIA_TYPE) {
      throw refusal('MAC-05', 'MCHTTPTransaction', 23001, `${url} gave ${response.mediaType || 'no media type'}`);
    }
    const profile = readEnrollmentProfile(readProfile(response.body, device.trustedRoots(), device.now()));
    // The roots that make a signature trusted may come in the profile itself: a person says yes to both at once.
    const verified = readProfile(response.body, rootsIn(profile.profile), device.now());
    device.emit({ kind: 'profile_fetched', verification: verified.verification });
    return { ...profile, profile: verified };
  } finally {
    browser.close();
  }
}

/**
 * SCEP, Authenticate and TokenUpdate under a profile that is not yet installed. Whatever fails leaves the Mac as it was:
 * without management, or with the old identity (ENR-06).
 */
async function installEnrollment(device: Device, enrollment: EnrollmentProfile, isNewLife = false): Promise<void> {
  const { profile, mdm } = enrollment;
  const { platform } = device.identity;
  requireInstallable(profile, 'device', { platform, device: device.state.device.profiles, user: [] });
  const before = device.state.enrolled;
  const channels = device.channelKeys();
  const enrolled = await obtainIdentity(device, enrollment);
  device.emit({ kind: 'certificate_issued' });
  try {
    device.setEnrolled({ ...enrolled, mdm });
    await authenticate(device);
    if (isNewLife) device.renewChannels();
    await tokenUpdate(device, 'device');
  } catch (error) {
    device.setEnrolled(before);
    device.restoreChannels(channels);
    await heedDismissal(device, error);
    throw error;
  }
  device.state.device.profiles = replaced(device.state.device.profiles, toStored(profile, device.now(), true));
  device.save();
}

async function obtainIdentity(device: Device, enrollment: EnrollmentProfile): Promise<EnrolledState> {
  const { profile, mdm, scep } = enrollment;
  const brought = certificatesIn(profile);
  const roots = rootsIn(profile).map(toPem);
  const pins = (uuids: readonly string[]): string[] =>
    brought.filter(({ payloadUuid }) => uuids.includes(payloadUuid)).map(({ certificate }) => toPem(certificate));
  const keyPair = await device.options.keyPair();
  const transport = new Transport({ roots });
  try {
    const certificate = await enrollWithScep(scep, {
      transport,
      identity: device.identity,
      keyPair,
      now: () => device.now(),
      sleep: async (ms) => void (await device.sleep(ms)),
    });
    return {
      profileIdentifier: profile.identifier,
      mdm,
      privateKey: keyPair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      certificate: toPem(certificate),
      roots,
      serverPins: pins(mdm.serverPins),
      checkInPins: pins(mdm.checkInPins),
    };
  } finally {
    transport.close();
  }
}

/** InstallProfile of an enrolment profile: a renewal of the installed one, or nothing (MAC-21, MAC-22). */
export async function replaceEnrollment(device: Device, profile: ConfigurationProfile): Promise<void> {
  const installed = device.enrolled();
  if (profile.identifier !== installed.profileIdentifier) {
    throw refusal('MAC-22', 'MCInstallation', 4010, 'The updated profile has another identifier');
  }
  if (!isEnrollmentProfile(profile)) {
    throw refusal('MAC-21', 'MCInstallation', 4015, 'The replacement profile has no MDM payload');
  }
  const enrollment = readEnrollmentProfile(profile);
  requireFrozenKeys(installed.mdm, enrollment.mdm);
  await installEnrollment(device, enrollment);
}

/**
 * In place: whoever may (`profiles renew`, a person with a new link) has the enrolment profile installed once more. What
 * MDM had installed stays, identity and push token are new; whatever fails leaves the old management at work.
 */
export async function reenroll(device: Device, url: string): Promise<void> {
  const installed = device.enrolled();
  const enrollment = await fetchProfile(device, url);
  if (enrollment.profile.identifier !== installed.profileIdentifier) {
    throw refusal('MAC-22', 'MCMDM', 12001, 'The Mac is managed already');
  }
  requireFrozenKeys(installed.mdm, enrollment.mdm);
  await installEnrollment(device, enrollment, true);
  device.emit({ kind: 'enrolled', channel: 'device' });
}

/** The user who installed the profile gets a channel of their own, if the server asked for one. False: 410. */
export async function enrollUser(device: Device, account: LocalUser): Promise<boolean> {
  if (!device.enrolled().mdm.serverCapabilities.includes(PER_USER)) return false;
  const before = device.state.user;
  device.state.user = { ...(before ?? device.newChannel('user')), account };
  const managed = await tokenUpdate(device, 'user').catch(async (error: unknown) => {
    restoreUser(device, before);
    await heedDismissal(device, error);
    throw error;
  });
  if (!managed) restoreUser(device, before);
  device.save();
  if (managed) device.emit({ kind: 'enrolled', channel: 'user' });
  return managed;
}

function restoreUser(device: Device, before: Device['state']['user']): void {
  if (before === undefined) delete device.state.user;
  else device.state.user = before;
}

/** A 401 ends the management of an enrolled Mac wherever it stands (apple-protocol 1.3). */
async function heedDismissal(device: Device, error: unknown): Promise<void> {
  if (error instanceof MacRefusal && error.rule === 'MAC-55') await unenroll(device, '401', { checkOut: false });
}

/** Management ends: the enrolment profile goes, and with it the identity and everything MDM had installed. */
export async function unenroll(device: Device, why: string, options: { readonly checkOut: boolean }): Promise<void> {
  if (device.state.phase !== 'enrolled') return;
  if (options.checkOut && device.enrolled().mdm.checkOutWhenRemoved) await checkOut(device);
  device.state.phase = 'unenrolled';
  for (const channel of ['device', 'user'] satisfies Channel[]) {
    const state = device.channel(channel);
    if (state === undefined) continue;
    state.profiles = state.profiles.filter((profile) => !profile.managed);
    delete state.pending;
    delete state.askAgain;
  }
  device.setEnrolled(undefined);
  device.save();
  device.emit({ kind: 'unenrolled', why });
}

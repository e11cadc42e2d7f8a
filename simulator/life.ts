import type { Device } from './device.ts';
import type { StoredProfile } from './state.ts';

/**
 * Erase All Content and Settings: nothing is said to any server, and nothing of it is left. The hardware, and the system
 * on it, stay what they were.
 */
export function erase(device: Device): void {
  const { state } = device;
  device.setEnrolled(undefined);
  state.phase = 'new';
  state.device = { token: '', pushMagic: '', profiles: [] };
  device.renewChannels();
  delete state.user;
  delete state.nodeKey;
  delete state.apps;
  delete state.staleInstalls;
  device.save();
  device.emit({ kind: 'erased' });
}

/**
 * What Migration Assistant brings from another Mac: its device profiles, with the enrolment profile that means nothing
 * here, and its applications. Nobody manages them on this Mac.
 */
export function migrate(device: Device, from: Device): void {
  if (device.state.phase !== 'new') throw new Error('Migration Assistant is for a Mac that is set up');
  const copied = ({ ...profile }: StoredProfile): StoredProfile => ({ ...profile, managed: false });
  device.state.device.profiles = from.state.device.profiles.map(copied);
  if (from.state.apps !== undefined) device.state.apps = from.state.apps;
  device.save();
}

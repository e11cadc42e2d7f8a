import type { Channel } from '../core/enrollment.ts';
import { type App, bundleOf, type NewApp } from './apps.ts';
import { ChannelLoop } from './channel.ts';
import { Device, type MacOptions } from './device.ts';
import { enroll, enrollUser, reenroll, unenroll } from './enroll.ts';
import type { Violation } from './events.ts';
import type { LocalUser, MacIdentity } from './identity.ts';
import { erase, migrate } from './life.ts';
import { readProfile } from './profile.ts';
import { replaced, requireInstallable, toStored, without } from './profile-store.ts';
import type { AnsweredCommand, Phase, StoredProfile, SystemVersion } from './state.ts';

/** What became of a push at the Mac, as APNs could tell. */
export type PushOutcome = 'delivered' | 'wrong_magic' | 'unregistered';

export type { MacOptions } from './device.ts';

/**
 * A Mac as its server sees it: docs/SPEC-mac.md says what it does and refuses. Opening a folder that was used before
 * brings back the same Mac, with what it still owes.
 */
export class SimulatedMac {
  readonly #device: Device;
  readonly #loops: Readonly<Record<Channel, ChannelLoop>>;
  #sleeping: Promise<void> | undefined;
  #loggedOut = false;

  constructor(options: MacOptions) {
    this.#device = new Device(options);
    this.#loops = { device: new ChannelLoop(this.#device, 'device'), user: new ChannelLoop(this.#device, 'user') };
  }

  get identity(): MacIdentity {
    return this.#device.identity;
  }

  get phase(): Phase {
    return this.#device.state.phase;
  }

  /** The push topic of the installed profile. */
  get topic(): string | undefined {
    return this.#device.state.enrolled?.mdm.topic;
  }

  /** PEM of the identity certificate in use. */
  get certificate(): string | undefined {
    return this.#device.state.enrolled?.certificate;
  }

  /** PEM roots of the installed enrolment profile: all this Mac trusts. */
  get trustedRoots(): readonly string[] {
    return this.#device.state.enrolled?.roots ?? [];
  }

  /** Deliver what is still owed, and keep the promise of a NotNow. Call once after construction. */
  start(): void {
    if (this.phase !== 'enrolled') return;
    this.#loops.device.resume();
    this.#loops.user.resume();
  }

  /** Fetch the profile behind the link and install it. Rejects with a MacRefusal or Unreachable. */
  async enroll(url: string): Promise<void> {
    this.#loops.device.forget();
    this.#loops.user.forget();
    await enroll(this.#device, url);
    this.start();
    await this.enrollUser();
  }

  /** The enrolment profile once more, without removing it: a new identity over what is installed. */
  async reenroll(url: string): Promise<void> {
    await reenroll(this.#device, url);
    await this.enrollUser();
  }

  /** The user's channel alone, where the server went away between the two. */
  async enrollUser(): Promise<void> {
    const { user } = this.#device.options;
    if (user !== undefined && this.identity.platform === 'macOS') await enrollUser(this.#device, user);
  }

  /** Everything on it is gone, and no server is told. Enrol it anew afterwards. */
  async erase(): Promise<void> {
    this.goOffline();
    await this.quiet();
    this.#loops.device.forget();
    this.#loops.user.forget();
    erase(this.#device);
    this.goOnline();
  }

  /** Migration Assistant, on a Mac that is not enrolled yet. */
  migrateFrom(other: SimulatedMac): void {
    migrate(this.#device, other.#device);
  }

  updateSystem(system: SystemVersion): void {
    this.#device.state.system = system;
    this.#device.save();
  }

  get apps(): readonly App[] {
    return this.#device.apps;
  }

  /** Somebody drags it to /Applications; what had its identifier there is replaced. */
  installApp(app: NewApp): void {
    const bundle = bundleOf(app);
    this.#setApps([...this.apps.filter(({ path }) => path !== bundle.path), bundle]);
  }

  /** Every copy of it. */
  removeApp(bundleIdentifier: string): void {
    this.#setApps(this.apps.filter((app) => app.bundleIdentifier !== bundleIdentifier));
  }

  #setApps(apps: readonly App[]): void {
    this.#device.state.apps = apps;
    this.#device.save();
  }

  /** Who has a channel of their own here. */
  get managedUser(): LocalUser | undefined {
    return this.#device.state.user?.account;
  }

  /** The person at the Mac removes the enrolment profile. */
  async unenroll(): Promise<void> {
    await unenroll(this.#device, 'removed by the user', { checkOut: true });
  }

  /** The token of a channel in lower-case hex, or undefined where there is no such channel. */
  token(channel: Channel): string | undefined {
    return this.#device.state.enrolled === undefined ? undefined : this.#device.channel(channel)?.token;
  }

  /** What APNs brings: the token names the channel, the magic proves that the server may wake it (MAC-70). */
  push(token: string, magic: string): PushOutcome {
    const channel = (['device', 'user'] as const).find((name) => this.token(name) === token);
    if (channel === undefined) return 'unregistered';
    if (this.#device.channel(channel)?.pushMagic !== magic) {
      this.#device.violation('MAC-70', 'a push carries another PushMagic than the channel has');
      return 'wrong_magic';
    }
    this.#device.emit({ kind: 'pushed', channel });
    if (this.#device.random.chance(this.#device.faults.asleep)) this.#fallAsleep();
    this.#loops[channel].wake();
    return 'delivered';
  }

  get isOffline(): boolean {
    return this.#loops.device.offline;
  }

  goOffline(): void {
    this.#loops.device.setOffline(true);
    this.#loops.user.setOffline(true);
  }

  goOnline(): void {
    this.#loops.device.setOffline(false);
    this.#loops.user.setOffline(this.#loggedOut);
  }

  /** The user's channel is silent until they log in again; the Mac itself goes on. */
  logOut(): void {
    this.#loggedOut = true;
    this.#loops.user.setOffline(true);
  }

  logIn(): void {
    this.#loggedOut = false;
    this.#loops.user.setOffline(this.isOffline);
  }

  #fallAsleep(): void {
    if (this.#sleeping !== undefined) return;
    this.#device.emit({ kind: 'fault', fault: 'fell asleep' });
    this.goOffline();
    this.#sleeping = this.#device.sleep(this.#device.faults.asleepMs).then((awake) => {
      this.#sleeping = undefined;
      if (awake) this.goOnline();
    });
  }

  /** The Mac's own profile store, by identifier: the truth to hold the server's answer against. */
  profiles(channel: Channel): readonly StoredProfile[] {
    const stored = this.#device.channel(channel)?.profiles ?? [];
    return stored.toSorted((a, b) => (a.identifier < b.identifier ? -1 : 1));
  }

  /** Somebody with a root shell removes a profile; the server hears of it only by a report. False: was not there. */
  removeByHand(identifier: string, channel: Channel = 'device'): boolean {
    const store = this.#device.channel(channel);
    if (store === undefined || !store.profiles.some((profile) => profile.identifier === identifier)) return false;
    store.profiles = without(store.profiles, identifier);
    this.#device.save();
    this.#device.emit({ kind: 'removed', channel, identifier });
    return true;
  }

  /** A person opens a .mobileconfig. Not managed: RemoveProfile must leave it (MAC-66). */
  installByHand(bytes: Uint8Array, channel: Channel = 'device'): void {
    const store = this.#device.channel(channel);
    if (store === undefined) throw new Error(`there is no ${channel} channel`);
    const profile = readProfile(bytes, this.#device.trustedRoots(), this.#device.now());
    const { platform } = this.identity;
    requireInstallable(profile, channel, { platform, device: this.profiles('device'), user: this.profiles('user') });
    store.profiles = replaced(store.profiles, toStored(profile, this.#device.now(), false));
    this.#device.save();
  }

  /** Every command this Mac has answered, oldest first. */
  answered(): readonly AnsweredCommand[] {
    return [...this.#device.answered.values()];
  }

  get violations(): readonly Violation[] {
    return this.#device.violations;
  }

  /** The agent's memory: osquery keeps its node key in its own database, and so does the Mac. */
  get nodeKey(): string | undefined {
    return this.#device.state.nodeKey;
  }

  set nodeKey(key: string | undefined) {
    if (key === undefined) delete this.#device.state.nodeKey;
    else this.#device.state.nodeKey = key;
    this.#device.save();
  }

  /** Resolves when no exchange is going on; true when none will begin without a push. */
  async quiet(): Promise<boolean> {
    const [device, user] = await Promise.all([this.#loops.device.quiet(), this.#loops.user.quiet()]);
    return device && user;
  }

  /** Switch off: connections close, nothing more is said. What is owed stays in the folder. */
  async close(): Promise<void> {
    this.#device.switchOff();
    await this.quiet();
  }
}

import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { pemToDer } from '../cms/pem.ts';
import { type Certificate, parseCertificate } from '../cms/x509.ts';
import type { Channel } from '../core/enrollment.ts';
import { type App, COMES_WITH } from './apps.ts';
import type { MacEvent, Violation } from './events.ts';
import type { MacFaults } from './faults.ts';
import { HONEST } from './faults.ts';
import type { LocalUser, MacIdentity } from './identity.ts';
import type { KeyPair } from './key-pool.ts';
import type { SeededRandom } from './random.ts';
import {
  type AnsweredCommand,
  answeredKey,
  type ChannelState,
  type EnrolledState,
  type MacState,
  StateFolder,
} from './state.ts';
import { Transport } from './transport.ts';

export interface MacOptions {
  readonly identity: MacIdentity;
  /** Who installs the enrolment profile; with a user there is a user channel once the profile allows it. */
  readonly user?: LocalUser | undefined;
  /** Where the Mac lives; nothing outlives the process without it. */
  readonly folder?: string | undefined;
  /** For each certificate request; keys may be shared between Macs. */
  readonly keyPair: () => Promise<KeyPair>;
  /** PEM. Trusted for fetching an enrolment profile and for nothing else (MAC-04). */
  readonly enrollmentRoots: readonly string[];
  readonly random: SeededRandom;
  readonly faults?: Partial<MacFaults> | undefined;
  readonly now?: (() => Date) | undefined;
  /** Must reject or resolve soon once the signal is aborted. */
  readonly sleep?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
  /** First pause after a result was not accepted, doubling up to `retryMaxMs`. Milliseconds. */
  readonly retryBaseMs?: number | undefined;
  readonly retryMaxMs?: number | undefined;
  /** How long conditions stay bad after NotNow ended an exchange. Milliseconds. */
  readonly notNowMs?: number | undefined;
  readonly onEvent?: ((event: MacEvent) => void) | undefined;
}

/** The hardware and what is stored on it: everything the rest of a simulated Mac works on. */
export class Device {
  readonly options: MacOptions;
  readonly faults: MacFaults;
  readonly random: SeededRandom;
  readonly state: MacState;
  readonly violations: Violation[] = [];
  /** By channel and command: what was answered so far. */
  readonly answered: Map<string, AnsweredCommand>;
  readonly #folder: StateFolder;
  readonly #off = new AbortController();
  #server: Transport | undefined;
  #checkIn: Transport | undefined;

  constructor(options: MacOptions) {
    this.options = options;
    this.faults = { ...HONEST, ...options.faults };
    this.random = options.random;
    this.#folder = new StateFolder(options.folder);
    this.state = this.#folder.load() ?? { phase: 'new', device: this.newChannel('device') };
    this.answered = this.#folder.loadAnswered();
  }

  /** As it is now: a system update changes part of it. */
  get identity(): MacIdentity {
    return { ...this.options.identity, ...this.state.system };
  }

  now(): Date {
    return this.options.now?.() ?? new Date();
  }

  /** False when the Mac was switched off meanwhile. */
  async sleep(ms: number): Promise<boolean> {
    const signal = this.#off.signal;
    if (this.options.sleep !== undefined) await this.options.sleep(ms, signal);
    else await delay(ms, undefined, { signal, ref: false }).catch(() => undefined);
    return !signal.aborted;
  }

  get isOff(): boolean {
    return this.#off.signal.aborted;
  }

  save(): void {
    this.#folder.save(this.state);
  }

  emit(event: MacEvent): void {
    this.options.onEvent?.(event);
  }

  violation(rule: string, detail: string): void {
    const violation = { rule, detail };
    this.violations.push(violation);
    this.emit({ kind: 'violation', violation });
  }

  recordAnswer(entry: AnsweredCommand): void {
    this.answered.set(answeredKey(entry), entry);
    this.#folder.append(entry);
  }

  /** A push token and magic as APNs and the Mac agree on them; both are secrets of one channel. */
  newChannel(channel: Channel = 'device'): ChannelState {
    // A stream of its own: the Mac's generator starts anew with each process, and would repeat the other channel's token.
    const random = this.random.fork(`${channel} channel`);
    return { token: random.bytes(32).toString('hex'), pushMagic: random.uuid(), profiles: [] };
  }

  channelKeys(): ReadonlyMap<ChannelState, Pick<ChannelState, 'token' | 'pushMagic'>> {
    const channels = [this.state.device, this.state.user].filter((state) => state !== undefined);
    return new Map(channels.map((state) => [state, { token: state.token, pushMagic: state.pushMagic }]));
  }

  restoreChannels(keys: ReturnType<Device['channelKeys']>): void {
    for (const [state, { token, pushMagic }] of keys) Object.assign(state, { token, pushMagic });
  }

  /** A new enrolment has a new token and magic; the old ones wake nobody any more. */
  renewChannels(): void {
    for (const state of [this.state.device, this.state.user]) {
      if (state === undefined) continue;
      state.token = randomBytes(32).toString('hex');
      state.pushMagic = randomUUID().toUpperCase();
    }
  }

  get apps(): readonly App[] {
    return this.state.apps ?? COMES_WITH;
  }

  channel(channel: Channel): ChannelState | undefined {
    return channel === 'device' ? this.state.device : this.state.user;
  }

  enrolled(): EnrolledState {
    if (this.state.enrolled === undefined) throw new Error('the Mac is not enrolled');
    return this.state.enrolled;
  }

  trustedRoots(): Certificate[] {
    return (this.state.enrolled?.roots ?? []).map((pem) => parseCertificate(pemToDer(pem)));
  }

  setEnrolled(enrolled: EnrolledState | undefined): void {
    if (enrolled === undefined) delete this.state.enrolled;
    else this.state.enrolled = enrolled;
    this.#closeConnections();
  }

  /** Commands go to ServerURL, check-ins to CheckInURL; each has its own pins. */
  transport(kind: 'server' | 'check-in'): Transport {
    const enrolled = this.enrolled();
    if (kind === 'check-in' && enrolled.mdm.checkInUrl !== enrolled.mdm.serverUrl) {
      this.#checkIn ??= mdmTransport(enrolled, enrolled.checkInPins);
      return this.#checkIn;
    }
    this.#server ??= mdmTransport(enrolled, enrolled.serverPins);
    return this.#server;
  }

  dropConnections(): void {
    this.#server?.drop();
    this.#checkIn?.drop();
  }

  switchOff(): void {
    this.#off.abort();
    this.#closeConnections();
  }

  #closeConnections(): void {
    this.#server?.close();
    this.#checkIn?.close();
    this.#server = undefined;
    this.#checkIn = undefined;
  }
}

function mdmTransport(enrolled: EnrolledState, pins: readonly string[]): Transport {
  const pinned = pins.length > 0;
  return new Transport({ roots: pinned ? pins : enrolled.roots, pinned, identity: enrolled });
}

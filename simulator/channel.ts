import type { Channel } from '../core/enrollment.ts';
import type { Device } from './device.ts';
import { type Ending, Exchange } from './exchange.ts';
import type { ChannelState, PendingResult } from './state.ts';

const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 60_000;
const NOT_NOW_MS = 5_000;

/**
 * When one channel talks. MAC-50: after a push, after a NotNow that ended an exchange, or to deliver a kept result; never
 * for any other reason. One exchange at a time; a push that comes meanwhile asks for one more.
 */
export class ChannelLoop {
  readonly channel: Channel;
  readonly #device: Device;
  readonly #again: PendingResult[] = [];
  #running: Promise<void> | undefined;
  #wanted = false;
  #offline = false;
  #failures = 0;
  /** Only the newest pause counts: waking up by a push makes an older one void. */
  #pause = 0;
  /** Pauses that will make the Mac talk by itself. */
  #waiting = 0;

  constructor(device: Device, channel: Channel) {
    this.#device = device;
    this.channel = channel;
  }

  /** Talk now, or after what is going on. */
  wake(): void {
    this.#wanted = true;
    // APNs may be faster than the answer to TokenUpdate: the push waits until the profile is installed.
    if (this.#running !== undefined || this.#device.state.phase !== 'enrolled') return;
    if (this.#offline || this.#device.isOff) return;
    this.#running = this.#talk().finally(() => {
      this.#running = undefined;
    });
  }

  /** After start-up or installation: a push that waits, what is still owed, what was promised with a NotNow. */
  resume(): void {
    const store = this.#device.channel(this.channel);
    if (this.#wanted || store?.pending !== undefined || store?.askAgain === true) this.wake();
  }

  /** While offline nothing is said; a push that came meanwhile waits (APNs keeps the newest one). */
  setOffline(offline: boolean): void {
    this.#offline = offline;
    if (offline) this.#device.dropConnections();
    else this.resume();
  }

  get offline(): boolean {
    return this.#offline;
  }

  /** A push meant for an earlier enrolment wakes nobody. */
  forget(): void {
    this.#wanted = false;
  }

  /** Resolves when nothing is going on; `true` when nothing will without a push. */
  async quiet(): Promise<boolean> {
    while (this.#running !== undefined) await this.#running;
    return this.#waiting === 0;
  }

  async #talk(): Promise<void> {
    while (this.#wanted && !this.#offline && !this.#device.isOff) {
      this.#wanted = false;
      this.#pause += 1;
      const store = this.#device.channel(this.channel);
      if (store === undefined || this.#device.state.phase !== 'enrolled') return;
      const ending = await new Exchange(this.#device, this.channel, store, this.#again).run();
      if (!this.#device.isOff) this.#conclude(ending, store);
    }
  }

  #conclude(ending: Ending, store: ChannelState): void {
    const failed = ending === 'undelivered' || ending === 'broken';
    if (!failed) this.#failures = 0;
    // What was promised with a NotNow still is when the server could not be reached.
    const askAgain = ending === 'not-now' || (failed && store.askAgain === true);
    if ((store.askAgain ?? false) !== askAgain) {
      if (askAgain) store.askAgain = true;
      else delete store.askAgain;
      this.#device.save();
    }
    if (ending === 'not-now') this.#wakeIn(this.#device.options.notNowMs ?? NOT_NOW_MS);
    else if (ending === 'undelivered' || askAgain) {
      this.#wakeIn(this.#backOff());
      this.#failures += 1;
    }
  }

  /** MAC-54: doubling from the base, with a quarter of jitter, so that a fleet does not return as one. */
  #backOff(): number {
    const { retryBaseMs = RETRY_BASE_MS, retryMaxMs = RETRY_MAX_MS } = this.#device.options;
    const pause = Math.min(retryMaxMs, retryBaseMs * 2 ** Math.min(this.#failures, 20));
    return pause * (0.75 + this.#device.random.fraction() / 4);
  }

  #wakeIn(ms: number): void {
    this.#pause += 1;
    const pause = this.#pause;
    this.#waiting += 1;
    void this.#device.sleep(ms).then((awake) => {
      this.#waiting -= 1;
      if (awake && pause === this.#pause) this.wake();
    });
  }
}

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Channel } from '../core/enrollment.ts';
import { Agent, type AgentFlags } from './agent.ts';
import type { MdmPush } from './apns-request.ts';
import type { MacEvent } from './events.ts';
import type { TokenOutcome } from './fake-apns.ts';
import type { MacFaults } from './faults.ts';
import { makeIdentity, makeMobileIdentity, makeUser, type Platform } from './identity.ts';
import { KeyPool } from './key-pool.ts';
import { SimulatedMac } from './mac.ts';
import { SeededRandom } from './random.ts';
import { MacRefusal } from './refusal.ts';
import { Unreachable } from './transport.ts';

export interface FleetOptions {
  readonly count: number;
  /** The same seed and count give the same Macs, users and faults. */
  readonly seed: string;
  /** Of the faults alone, where another run of the same Macs is to meet others. */
  readonly faultSeed?: string;
  /** Macs live in `<folder>/mac-001` …, keys in `<folder>/keys`. In memory without it. */
  readonly folder?: string | undefined;
  /** PEM. Trusted for fetching enrolment profiles only. */
  readonly enrollmentRoots: readonly string[];
  /** How many RSA keys the fleet shares. Default 4. */
  readonly keys?: number;
  /** Macs with a user channel, by number from 0. Default: none. */
  readonly hasUser?: (number: number) => boolean;
  /** What is no Mac, by number from 0. Default: all are Macs. */
  readonly platform?: (number: number) => Platform;
  /** By number from 0. */
  readonly faults?: (number: number) => Partial<MacFaults>;
  readonly retryBaseMs?: number;
  readonly notNowMs?: number;
  readonly onEvent?: (mac: FleetMac, event: MacEvent) => void;
}

export interface FleetAgentOptions {
  /** Roots are those of each Mac's own enrolment profile. */
  readonly flags: Omit<AgentFlags, 'tls_server_certs'>;
  /** Macs whose osquery lacks the extension, by number from 0. */
  readonly withoutProfilesTable?: (number: number) => boolean;
  readonly checksumColumn?: boolean;
  /** Macs whose agent is fleetd, by number from 0. */
  readonly orbit?: (number: number) => boolean;
  /** Tables the osquery of a Mac lacks, by number from 0. */
  readonly withoutTables?: (number: number) => readonly string[];
}

export interface FleetMac {
  readonly number: number;
  readonly mac: SimulatedMac;
  agent: Agent | undefined;
}

export interface EnrollOptions {
  /** A link per Mac, or one for all. */
  readonly link: (mac: FleetMac) => string | Promise<string>;
  /** Macs enrolling at once. Default 4: each costs the server an RSA signature or two. */
  readonly concurrency?: number;
  /** Further attempts while the server cannot be reached. Default 0. A refusal is final. */
  readonly retries?: number;
}

export interface EnrollFailure {
  readonly mac: FleetMac;
  readonly error: MacRefusal | Unreachable;
}

const RETRY_PAUSE_MS = 1_000;

/** A number of Macs made from one seed, their agents, and the way pushes find them. */
export class Fleet {
  readonly macs: readonly FleetMac[];
  readonly #onEvent: FleetOptions['onEvent'];
  /** Tokens that were seen alive: what is no longer answered is a 410, what never was a 400. */
  readonly #known = new Map<string, SimulatedMac>();

  constructor(options: FleetOptions) {
    this.#onEvent = options.onEvent;
    const random = new SeededRandom(options.seed);
    const { folder } = options;
    if (folder !== undefined) mkdirSync(folder, { recursive: true, mode: 0o700 });
    const pool = new KeyPool({
      size: options.keys ?? 4,
      folder: folder === undefined ? undefined : join(folder, 'keys'),
    });
    this.macs = Array.from({ length: options.count }, (_, number) => makeMac(options, random, pool, number));
    for (const { mac } of this.macs) this.#learn(mac);
  }

  /** Every Mac that is not enrolled fetches its profile and installs it. Enrolled ones are left alone. */
  async enroll(options: EnrollOptions): Promise<EnrollFailure[]> {
    const waiting = this.macs.filter(({ mac }) => mac.phase !== 'enrolled');
    const failures: EnrollFailure[] = [];
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const error = await enrollOne(next, options);
        this.#learn(next.mac);
        if (error !== undefined) failures.push({ mac: next, error });
      }
    };
    await Promise.all(Array.from({ length: options.concurrency ?? 4 }, worker));
    return failures;
  }

  /** Deliver what is owed from an earlier run. */
  start(): void {
    for (const { mac } of this.macs) mac.start();
  }

  /** Each enrolled Mac without an agent gets one, which polls until the fleet is closed. */
  startAgents(options: FleetAgentOptions): void {
    for (const member of this.macs) {
      const { platform } = member.mac.identity;
      if (member.agent !== undefined || member.mac.phase !== 'enrolled' || platform !== 'macOS') continue;
      member.agent = new Agent(member.mac, {
        flags: { ...options.flags, tls_server_certs: member.mac.trustedRoots },
        profilesTable: options.withoutProfilesTable?.(member.number) !== true,
        checksumColumn: options.checksumColumn === true,
        orbit: options.orbit?.(member.number) === true,
        withoutTables: options.withoutTables?.(member.number) ?? [],
        onEvent: (event) => this.#onEvent?.(member, event),
      });
      member.agent.start();
    }
  }

  /** What the fake APNs asks for each push. The Mac wakes after the answer, as over the real one. */
  push = (push: MdmPush): TokenOutcome => {
    const mac = this.#known.get(push.token) ?? this.#find(push.token);
    if (mac === undefined) return 'unknown';
    if (mac.token('device') !== push.token && mac.token('user') !== push.token) return 'unregistered';
    if (mac.topic !== push.topic) return 'other_topic';
    setImmediate(() => mac.push(push.token, push.magic ?? ''));
    return 'delivered';
  };

  /** Resolves when no Mac is talking; true when none will without a push. */
  async quiet(): Promise<boolean> {
    const quiet = await Promise.all(this.macs.map(({ mac }) => mac.quiet()));
    return quiet.every(Boolean);
  }

  async close(): Promise<void> {
    await Promise.all(this.macs.map(({ agent }) => agent?.stop()));
    await Promise.all(this.macs.map(({ mac }) => mac.close()));
  }

  /** A token that appeared since the last look: a user channel, a Mac enrolled by hand. */
  #find(token: string): SimulatedMac | undefined {
    for (const { mac } of this.macs) this.#learn(mac);
    return this.#known.get(token);
  }

  #learn(mac: SimulatedMac): void {
    for (const channel of ['device', 'user'] satisfies Channel[]) {
      const token = mac.token(channel);
      if (token !== undefined) this.#known.set(token, mac);
    }
  }
}

function makeMac(options: FleetOptions, seed: SeededRandom, pool: KeyPool, number: number): FleetMac {
  const random = seed.fork(`mac ${number}`);
  const name = `mac-${String(number + 1).padStart(3, '0')}`;
  const platform = options.platform?.(number) ?? 'macOS';
  const identityRandom = random.fork('identity');
  const identity =
    platform === 'macOS' ? makeIdentity(identityRandom, number) : makeMobileIdentity(identityRandom, number, platform);
  const user = options.hasUser?.(number) === true ? makeUser(random.fork('user'), number) : undefined;
  const member: { number: number; mac: SimulatedMac; agent: Agent | undefined } = {
    number,
    mac: new SimulatedMac({
      identity,
      user,
      folder: options.folder === undefined ? undefined : join(options.folder, name),
      keyPair: () => pool.get(number),
      enrollmentRoots: options.enrollmentRoots,
      random: random.fork(`behaviour${options.faultSeed ?? ''}`),
      faults: options.faults?.(number),
      retryBaseMs: options.retryBaseMs,
      notNowMs: options.notNowMs,
      onEvent: (event) => options.onEvent?.(member, event),
    }),
    agent: undefined,
  };
  return member;
}

async function enrollOne(member: FleetMac, options: EnrollOptions): Promise<EnrollFailure['error'] | undefined> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      if (member.mac.phase === 'enrolled') await member.mac.enrollUser();
      else await member.mac.enroll(await options.link(member));
      return undefined;
    } catch (error) {
      if (error instanceof MacRefusal) return error;
      if (!(error instanceof Unreachable)) throw error;
      if (attempt >= (options.retries ?? 0)) return error;
      await delay(RETRY_PAUSE_MS);
    }
  }
}

import { setTimeout as delay } from 'node:timers/promises';
import { type AgentFaults, type Answer, disturbed } from './agent-faults.ts';
import { agentTables, OSQUERY_VERSION } from './agent-tables.ts';
import type { MacEvent } from './events.ts';
import type { SimulatedMac } from './mac.ts';
import { type Row, runQuery, SqlError, type Table } from './osquery-sql.ts';
import { Transport } from './transport.ts';

/** osquery's flags, under their own names. */
export interface AgentFlags {
  /** host:port. */
  readonly tls_hostname: string;
  /** PEM roots. osquery trusts these and nothing else. */
  readonly tls_server_certs: readonly string[];
  readonly enroll_secret: string;
  readonly enroll_tls_endpoint: string;
  readonly config_tls_endpoint: string;
  readonly logger_tls_endpoint: string;
  readonly distributed_tls_read_endpoint: string;
  readonly distributed_tls_write_endpoint: string;
  /** Seconds between distributed reads, until the configuration says otherwise. Default 60. */
  readonly distributed_interval?: number;
  /** Seconds between configuration reads. Default 300. */
  readonly config_refresh?: number;
}

export interface AgentOptions {
  readonly flags: AgentFlags;
  /** False: no extension, so macos_profiles does not exist. */
  readonly profilesTable?: boolean;
  /** The newer extension with payload_checksum. */
  readonly checksumColumn?: boolean;
  /** fleetd in place of osquery with an extension: macos_user_profiles is there too. */
  readonly orbit?: boolean;
  /** Tables it lacks. */
  readonly withoutTables?: readonly string[];
  readonly faults?: AgentFaults;
  readonly onEvent?: ((event: MacEvent) => void) | undefined;
}

type Json = Record<string, unknown>;

interface QueryResult {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly status: number;
  readonly message: string;
}

/** "POSIX, BSD, OSX" of osquery's platform bits. */
const PLATFORM_TYPE = '21';
const HOST_DETAILS = ['os_version', 'osquery_info', 'platform_info', 'system_info'] as const;
const ACCELERATED_SECONDS = 5;

/** An osquery 5 with the TLS plugins, on one Mac (osquery: remote deployment; distributed.cpp; remote/utility.h). */
export class Agent {
  readonly #mac: SimulatedMac;
  readonly #options: AgentOptions;
  readonly #transport: Transport;
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #off = new AbortController();
  /** Results not yet written; they go with the next write (flushCompleted). */
  #results: QueryResult[] = [];
  #interval: number;
  #accelerateUntil = 0;
  #running: Promise<void> | undefined;
  /** Misbehaviour, from now on. */
  faults: AgentFaults;
  readonly #asked = new Map<string, number>();
  #dead = false;
  /** The last configuration, as the server gave it. */
  config: Json = {};

  constructor(mac: SimulatedMac, options: AgentOptions) {
    this.#mac = mac;
    this.#options = options;
    this.#interval = options.flags.distributed_interval ?? 60;
    this.#transport = new Transport({ roots: options.flags.tls_server_certs });
    this.#tables = agentTables(mac, {
      profiles: options.profilesTable !== false,
      checksum: options.checksumColumn === true,
      orbit: options.orbit === true,
      without: options.withoutTables ?? [],
    });
    this.faults = options.faults ?? {};
  }

  /** Seconds between distributed reads, as flags or configuration have it now. */
  get interval(): number {
    return Date.now() < this.#accelerateUntil ? Math.min(ACCELERATED_SECONDS, this.#interval) : this.#interval;
  }

  /** Poll until stopped. Failures are the server's to explain; osquery just tries again. */
  start(): void {
    this.#running ??= this.#loop();
  }

  /** The process is gone, and nobody starts it again before `revive`. */
  kill(): void {
    this.#dead = true;
  }

  revive(): void {
    this.#dead = false;
  }

  async stop(): Promise<void> {
    this.#off.abort();
    this.#transport.close();
    await this.#running;
  }

  async #loop(): Promise<void> {
    let configAt = 0;
    while (!this.#off.signal.aborted) {
      // A Mac that sleeps runs no agent.
      if (!this.#mac.isOffline && !this.#dead) {
        if (Date.now() >= configAt) {
          const refreshed = await this.refreshConfig().catch(() => false);
          if (refreshed) configAt = Date.now() + (this.#options.flags.config_refresh ?? 300) * 1000;
        }
        await this.runDistributed().catch(() => false);
      }
      await delay(this.interval * 1000, undefined, { signal: this.#off.signal, ref: false }).catch(() => undefined);
    }
  }

  /** True once a node key is there. A server that knows the secret answers with one; any other answer is none. */
  async enroll(): Promise<boolean> {
    const details = HOST_DETAILS.map((name) => [name, this.#tables.get(name)?.rows()[0] ?? {}] as const);
    const answer = await this.#post(this.#options.flags.enroll_tls_endpoint, {
      enroll_secret: this.#options.flags.enroll_secret,
      host_identifier: this.#mac.identity.udid,
      platform_type: PLATFORM_TYPE,
      host_details: Object.fromEntries(details),
    });
    const key = answer['node_key'];
    if (answer['node_invalid'] === true || typeof key !== 'string' || key === '') return false;
    this.#mac.nodeKey = key;
    return true;
  }

  async refreshConfig(): Promise<boolean> {
    const answer = await this.#call(this.#options.flags.config_tls_endpoint, {});
    if (answer === undefined) return false;
    this.config = answer;
    const options = answer['options'];
    if (isObject(options)) {
      const interval = Number(options['distributed_interval']);
      if (Number.isFinite(interval) && interval > 0) this.#interval = interval;
    }
    return true;
  }

  /** One round: read, run, write. False when nothing could be asked or told; unwritten results are kept. */
  async runDistributed(): Promise<boolean> {
    const work = await this.#call(this.#options.flags.distributed_tls_read_endpoint, {});
    if (work === undefined) return false;
    this.#results.push(...this.#run(this.#accept(work)));
    return this.#flush();
  }

  /** osquery's status lines, so that a server's log endpoint is exercised too. */
  async log(lines: readonly Json[]): Promise<boolean> {
    const { logger_tls_endpoint } = this.#options.flags;
    return (await this.#call(logger_tls_endpoint, { log_type: 'status', data: lines })) !== undefined;
  }

  /**
   * Discovery first: one that fails as SQL makes osquery throw the whole work away; one without rows drops its query.
   * A query without discovery runs.
   */
  #accept(work: Json): Map<string, string> {
    const queries = work['queries'];
    const discovery = work['discovery'];
    const accepted = new Map<string, string>();
    const found = new Map<string, boolean>();
    for (const [name, sql] of Object.entries(isObject(discovery) ? discovery : {})) {
      if (typeof sql !== 'string' || sql === '' || name === '') return accepted;
      const rows = this.#select(sql);
      if (rows instanceof SqlError) return accepted;
      found.set(name, rows.length > 0);
    }
    for (const [name, sql] of Object.entries(isObject(queries) ? queries : {})) {
      if (typeof sql !== 'string' || sql === '' || name === '') return accepted;
      if (found.get(name) !== false) accepted.set(name, sql);
    }
    const accelerate = work['accelerate'];
    if (Number.isInteger(accelerate)) this.#accelerateUntil = Date.now() + Number(accelerate) * 1000;
    return accepted;
  }

  #run(queries: ReadonlyMap<string, string>): QueryResult[] {
    return [...queries].map(([name, sql]) => {
      const selected = this.#select(sql);
      const answer: Answer =
        selected instanceof SqlError ? { rows: [], error: selected.message } : { rows: selected, error: undefined };
      const count = this.#asked.get(name) ?? 0;
      this.#asked.set(name, count + 1);
      const { rows, error } = disturbed(this.faults, name, sql, answer, count);
      return { name, rows, status: error === undefined ? 0 : 1, message: error ?? '' };
    });
  }

  #select(sql: string): Row[] | SqlError {
    try {
      return runQuery(sql, this.#tables);
    } catch (error) {
      if (error instanceof SqlError) return error;
      throw error;
    }
  }

  async #flush(): Promise<boolean> {
    if (this.#results.length === 0) return true;
    const results = this.#results;
    const column = <T>(value: (result: QueryResult) => T): Record<string, T> =>
      Object.fromEntries(results.map((result) => [result.name, value(result)]));
    const answer = await this.#call(this.#options.flags.distributed_tls_write_endpoint, {
      queries: column((result) => result.rows),
      statuses: column((result) => result.status),
      messages: column((result) => result.message),
      stats: column((result) => ({
        wall_time_ms: result.rows.length,
        user_time: 0,
        system_time: 0,
        memory: 0,
      })),
    });
    if (answer === undefined) return false;
    this.#results = this.#results.slice(results.length);
    this.#options.onEvent?.({ kind: 'reported', queries: results.map((result) => result.name) });
    return true;
  }

  /**
   * With a node key, enrolling first where there is none. `node_invalid` throws the key away: the next call enrols.
   * osquery goes by the JSON and not by the HTTP status; `error` is a failure like any other.
   */
  async #call(endpoint: string, parameters: Json): Promise<Json | undefined> {
    if (this.#mac.nodeKey === undefined && !(await this.enroll())) return undefined;
    const answer = await this.#post(endpoint, { ...parameters, node_key: this.#mac.nodeKey });
    if (answer['node_invalid'] === true) {
      this.#mac.nodeKey = undefined;
      return undefined;
    }
    return 'error' in answer ? undefined : answer;
  }

  async #post(endpoint: string, message: Json): Promise<Json> {
    const response = await this.#transport.send({
      method: 'POST',
      url: `https://${this.#options.flags.tls_hostname}${endpoint}`,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'user-agent': `osquery/${OSQUERY_VERSION}`,
      },
      body: Buffer.from(JSON.stringify(message), 'utf8'),
    });
    const answer: unknown = JSON.parse(response.body.toString('utf8'));
    if (!isObject(answer)) throw new Error('the answer is not a JSON object');
    return answer;
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

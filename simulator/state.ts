import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Channel } from '../core/enrollment.ts';
import type { App } from './apps.ts';
import type { MdmSettings } from './enrollment-profile.ts';
import { writeAtomically } from './files.ts';
import type { LocalUser } from './identity.ts';
import type { Verification } from './profile.ts';

/** One payload of an installed profile: what a Mac can still tell about it. */
interface StoredPayload {
  readonly type: string;
  readonly identifier: string;
  readonly uuid: string;
  readonly displayName?: string;
  /** Of a preference payload, what it manages: `managed_policies` has a row for each. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A profile as installed. The store holds identities and what ProfileList tells, not contents. */
export interface StoredProfile {
  readonly identifier: string;
  /** The top-level PayloadUUID, as it was written. */
  readonly uuid: string;
  readonly displayName: string;
  readonly description?: string;
  readonly organization?: string;
  readonly removalDisallowed: boolean;
  /** ISO 8601; the Mac's own clock. */
  readonly installedAt: string;
  readonly verification: Verification;
  /** Base64 DER. */
  readonly signedBy: readonly string[];
  /** Brought by MDM, or by hand. */
  readonly managed: boolean;
  /** SHA-256 of the payloads, as the newer `payload_checksum` column. */
  readonly checksum: string;
  readonly payloads: readonly StoredPayload[];
}

/** A result not yet accepted with 2xx (MAC-53). */
export interface PendingResult {
  readonly commandUuid: string;
  readonly status: string;
  /** The property list as it was first written; it is signed again at each sending. */
  readonly body: string;
}

export interface ChannelState {
  /** Lower-case hex, as it stands in an APNs path. */
  token: string;
  pushMagic: string;
  profiles: StoredProfile[];
  pending?: PendingResult;
  /** The last exchange ended with NotNow: the Mac will ask by itself. */
  askAgain?: boolean;
}

export interface EnrolledState {
  readonly profileIdentifier: string;
  readonly mdm: MdmSettings;
  /** PEM. */
  readonly privateKey: string;
  readonly certificate: string;
  readonly roots: readonly string[];
  /** PEM of what the pinning lists name. */
  readonly serverPins: readonly string[];
  readonly checkInPins: readonly string[];
}

export interface SystemVersion {
  readonly osVersion: string;
  readonly buildVersion: string;
}

export type Phase = 'new' | 'enrolled' | 'unenrolled';

export interface MacState {
  phase: Phase;
  enrolled?: EnrolledState;
  device: ChannelState;
  user?: ChannelState & { readonly account: LocalUser };
  /** InstallProfiles that will still leave an old copy in place; once is once, also across restarts. */
  staleInstalls?: number;
  /** The system it was updated to. */
  system?: SystemVersion;
  /** Applications, once somebody has changed what the Mac came with. */
  apps?: readonly App[];
  /** The agent's node key (osquery keeps it in RocksDB). */
  nodeKey?: string;
}

/** One command as this Mac answered it: the witness to hold against the server's database. */
export interface AnsweredCommand {
  readonly channel: Channel;
  readonly commandUuid: string;
  readonly requestType: string;
  /** The last status given. A NotNow stands here until the command is answered for good. */
  readonly status: string;
  /** A 2xx came back for that status. */
  readonly acknowledged: boolean;
  /** How often the server handed the command out. */
  readonly deliveries: number;
}

/**
 * Where a Mac keeps what must outlive it: `state.json`, replaced whole, and `answered.jsonl`, appended. Without a folder
 * everything is in memory.
 */
export class StateFolder {
  readonly #folder: string | undefined;

  constructor(folder: string | undefined) {
    this.#folder = folder;
    if (folder !== undefined) mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  load(): MacState | undefined {
    const path = this.#path('state.json');
    if (path === undefined || !existsSync(path)) return undefined;
    return JSON.parse(readFileSync(path, 'utf8')) as MacState;
  }

  save(state: MacState): void {
    const path = this.#path('state.json');
    if (path !== undefined) writeAtomically(path, JSON.stringify(state), 0o600);
  }

  loadAnswered(): Map<string, AnsweredCommand> {
    const answered = new Map<string, AnsweredCommand>();
    const path = this.#path('answered.jsonl');
    if (path === undefined || !existsSync(path)) return answered;
    const text = readFileSync(path, 'utf8');
    // A line cut off when the process died says nothing (its result is still pending), but must not swallow the next.
    if (text !== '' && !text.endsWith('\n')) appendFileSync(path, '\n');
    for (const line of text.split('\n')) {
      if (!line.endsWith('}')) continue;
      const entry = JSON.parse(line) as AnsweredCommand;
      answered.set(answeredKey(entry), entry);
    }
    return answered;
  }

  append(entry: AnsweredCommand): void {
    const path = this.#path('answered.jsonl');
    if (path !== undefined) appendFileSync(path, `${JSON.stringify(entry)}\n`);
  }

  #path(name: string): string | undefined {
    return this.#folder === undefined ? undefined : join(this.#folder, name);
  }
}

export const answeredKey = (entry: Pick<AnsweredCommand, 'channel' | 'commandUuid'>): string =>
  `${entry.channel} ${entry.commandUuid}`;

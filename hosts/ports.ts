import type { Tx } from '../core/tx.ts';
import type { Hardware, Host, Label, Team } from './types.ts';

export interface HostQuery {
  readonly team: string | undefined;
  readonly label: string | undefined;
  /** Part of a name, or a serial number or UDID from its beginning. */
  readonly text: string | undefined;
  /** The last id of the page before. */
  readonly after: string | undefined;
  readonly limit: number;
}

export interface HostStore {
  list(query: HostQuery): Promise<readonly Host[]>;
  /** By id, serial number, UDID or name, in this order; a name must be the only one. Undefined where none or several. */
  find(ref: string): Promise<Host | undefined>;
  /** The host with this hardware UUID (or UDID), else with this serial number and no UDID; row locked. */
  match(tx: Tx, hardware: Hardware): Promise<string | undefined>;
  insert(tx: Tx, id: string, hardware: Hardware, teamId: number, now: Date): Promise<void>;
  /** Host, its recon rows and the queue in one. Answers whether the host exists. */
  moveToTeam(tx: Tx, hostId: string, teamId: number, now: Date): Promise<boolean>;
}

export interface TeamStore {
  list(): Promise<readonly Team[]>;
  byName(name: string): Promise<number | undefined>;
  /** Undefined where the name is taken. */
  insert(tx: Tx, name: string): Promise<number | undefined>;
}

export interface LabelStore {
  list(): Promise<readonly Label[]>;
  /** Row locked inside a transaction. */
  byName(tx: Tx, name: string): Promise<Label | undefined>;
  /** Undefined where the name is taken. */
  insert(tx: Tx, name: string): Promise<number | undefined>;
  /** Names and ids of the hosts behind these references, in any order; what is missing was not found. */
  resolve(tx: Tx, refs: readonly string[]): Promise<ReadonlyMap<string, string>>;
  members(tx: Tx, labelId: number): Promise<readonly string[]>;
  add(tx: Tx, labelId: number, hostIds: readonly string[], now: Date): Promise<void>;
  remove(tx: Tx, labelId: number, hostIds: readonly string[], now: Date): Promise<void>;
  /** Names of live profiles that aim by this label. */
  usedBy(tx: Tx, labelId: number): Promise<readonly string[]>;
  drop(tx: Tx, labelId: number, now: Date): Promise<void>;
  bumpCatalogue(tx: Tx): Promise<void>;
}

/** The reconciler is woken once the change has committed. */
export type WakeAfter = (tx: Tx) => void;

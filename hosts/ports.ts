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
  /** By id, UDID, hardware UUID, serial number or name, in this order. Undefined where none fits, or several alike. */
  find(ref: string): Promise<Host | undefined>;
  /** Which of the names in this query nobody has; undefined where both exist. */
  unknownFilter(query: Pick<HostQuery, 'team' | 'label'>): Promise<'team' | 'label' | undefined>;
  /** The host with this hardware UUID (or UDID), else one with this serial number and no UUID at all; row locked. */
  match(tx: Tx, hardware: Hardware): Promise<string | undefined>;
  /** Hosts that agents bring along are made one at a time in a team: two reports of one machine make one host. */
  lockTeam(tx: Tx, teamId: number): Promise<void>;
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
  /** Reference → host id, as in `HostStore.find`; what is missing was not found or means several hosts. */
  resolve(tx: Tx, refs: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** These three change members, their copies in `recon` and the queue together, and answer how many hosts changed. */
  add(tx: Tx, labelId: number, hostIds: readonly string[], now: Date): Promise<number>;
  remove(tx: Tx, labelId: number, hostIds: readonly string[], now: Date): Promise<number>;
  /** Removes every member that is not among these. */
  retain(tx: Tx, labelId: number, hostIds: readonly string[], now: Date): Promise<number>;
  /** Names of live profiles that aim by this label. */
  usedBy(tx: Tx, labelId: number): Promise<readonly string[]>;
  drop(tx: Tx, labelId: number, now: Date): Promise<void>;
  bumpCatalogue(tx: Tx): Promise<void>;
}

/** The reconciler is woken once the change has committed. */
export type WakeAfter = (tx: Tx) => void;

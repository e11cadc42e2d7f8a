import type { Tx } from '../core/tx.ts';
import type {
  CountedLabel,
  DynamicLabel,
  Hardware,
  Host,
  HostFacts,
  Label,
  LabelEvidence,
  LabelOnHost,
  LabelSource,
  LabelsDecided,
  LabelView,
  ProfileUse,
  Team,
  VitalsCriteria,
} from './types.ts';

export interface HostQuery {
  readonly team: string | undefined;
  readonly label: string | undefined;
  /** Part of a name, or a serial number or UDID from its beginning. */
  readonly text: string | undefined;
  /** The last id of the page before. */
  readonly after: string | undefined;
  readonly limit: number;
  /** Only these. */
  readonly ids?: readonly string[];
}

export interface HostStore {
  list(query: HostQuery): Promise<readonly Host[]>;
  /** By id, UDID, hardware UUID, serial number or name, in this order. Undefined where none fits, or several alike. */
  find(ref: string): Promise<Host | undefined>;
  /** Which of the names in this query nobody has; undefined where both exist. */
  unknownFilter(query: Pick<HostQuery, 'team' | 'label'>): Promise<'team' | 'label' | undefined>;
  /** Of every label, for a name that was misspelt. */
  labelNames(): Promise<readonly string[]>;
  /** The host with this hardware UUID (or UDID), else one with this serial number and no UUID at all; row locked. */
  match(tx: Tx, hardware: Hardware): Promise<string | undefined>;
  /** Whoever makes a host of this hardware next waits until this unit of work ends: two reports of one Mac make one host. */
  lockHardware(tx: Tx, hardware: Hardware): Promise<void>;
  /** Into the team, or where its hosts went if it has been deleted meanwhile. */
  insert(tx: Tx, id: string, hardware: Hardware, teamId: number, now: Date): Promise<void>;
  /** Host, its recon rows and the queue in one. Answers what there is none of. */
  moveToTeam(tx: Tx, hostId: string, teamId: number, now: Date): Promise<'host' | 'team' | undefined>;
  /** Every label, as it stands with this host. */
  labels(hostId: string): Promise<{ readonly labels: readonly LabelOnHost[]; readonly labelEpoch: number }>;
}

export interface TeamStore {
  list(): Promise<readonly Team[]>;
  /** Of a live team. */
  byName(name: string): Promise<number | undefined>;
  /** Undefined where the name is taken. */
  insert(tx: Tx, name: string): Promise<number | undefined>;
  /** Live teams of these names, locked against their deletion and change until the end of the unit of work. */
  lock(tx: Tx, names: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** False where the name is taken. */
  rename(tx: Tx, teamId: number, name: string): Promise<boolean>;
  /** Soft-deletes the live profiles of a team; answers how many. */
  dropProfiles(tx: Tx, teamId: number, now: Date): Promise<number>;
  /** Moves its hosts, retires its links and agents' secrets, and deletes it. Answers how many hosts moved. */
  dissolve(tx: Tx, teamId: number, into: number, now: Date): Promise<number>;
  raiseEpoch(tx: Tx): Promise<number>;
}

export interface LabelChange {
  readonly name?: string;
  readonly query?: string;
  readonly criteria?: VitalsCriteria;
}

export interface LabelStore {
  list(): Promise<readonly CountedLabel[]>;
  view(name: string): Promise<LabelView | undefined>;
  /** Row locked inside a transaction. */
  byName(tx: Tx, name: string): Promise<Label | undefined>;
  /** Undefined where the name is taken. `epoch` is the one of the catalogue that the label begins in. */
  insert(tx: Tx, label: LabelSource & { readonly name: string }, epoch: number): Promise<number | undefined>;
  /** A changed query or criteria are not answered yet, from `epoch` on. False where the name is taken. */
  edit(tx: Tx, labelId: number, change: LabelChange, epoch: number): Promise<boolean>;
  /** Labels of a kind there are. */
  count(tx: Tx, kind: Label['kind']): Promise<number>;
  /** Reference → host id, as in `HostStore.find`; what is missing was not found or means several hosts. */
  resolve(tx: Tx, refs: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** These three change members, their copies in `recon` and the queue together, and answer how many hosts changed. */
  add(tx: Tx, labelId: number, hostIds: readonly string[], now: Date): Promise<number>;
  remove(tx: Tx, labelId: number, hostIds: readonly string[], now: Date): Promise<number>;
  /** Removes every member that is not among these. */
  retain(tx: Tx, labelId: number, hostIds: readonly string[], now: Date): Promise<number>;
  /** Live profiles that name this label. */
  usedBy(tx: Tx, labelId: number): Promise<readonly ProfileUse[]>;
  /** Deleted profiles that named it and can be restored. */
  onceUsedBy(tx: Tx, labelId: number): Promise<readonly ProfileUse[]>;
  /** Of every label, for a name that was misspelt. */
  names(tx?: Tx): Promise<readonly string[]>;
  /** Takes the label out of the targets of every live profile. */
  detach(tx: Tx, labelId: number, now: Date): Promise<void>;
  drop(tx: Tx, labelId: number, now: Date): Promise<void>;
  /** The catalogue's new epoch. Taken before hosts are locked, so that two changes wait in one order. */
  raiseEpoch(tx: Tx): Promise<number>;
  /** Every enrolment of the teams is evaluated again. */
  markTeams(tx: Tx, teamIds: readonly number[], reason: string, now: Date): Promise<void>;
}

/** Answers of agents. */
export interface LabelAnswerStore {
  /** Labels with a query, and what is known of the host; `lock` keeps both of its row's readings in one order. */
  read(tx: Tx, hostId: string): Promise<HostLabels>;
  lock(tx: Tx, hostId: string): Promise<HostLabels>;
  write(tx: Tx, hostId: string, decided: Extract<LabelsDecided, { kind: 'changed' }>, now: Date): Promise<void>;
  /** When agents last answered without a change, in one statement. */
  markEvaluated(batch: readonly { readonly hostId: string; readonly at: Date }[]): Promise<void>;
}

export interface HostLabels {
  readonly labels: readonly DynamicLabel[];
  readonly evidence: LabelEvidence;
}

export interface VitalsLabel {
  readonly id: number;
  readonly criteria: VitalsCriteria;
}

/** What one host is to the labels that were judged. */
export interface VitalsVerdict {
  readonly hostId: string;
  readonly yes: readonly number[];
  readonly unknown: readonly number[];
}

export interface VitalsStore {
  /** Hosts of one transaction of a filling. */
  readonly pageSize: number;
  /**
   * All labels with criteria. No label of that kind can come into being until this unit of work ends: a host judged by
   * these is judged by all.
   */
  labels(tx: Tx): Promise<readonly VitalsLabel[]>;
  facts(tx: Tx, hostId: string): Promise<HostFacts | undefined>;
  /** Members, unknown ones, their copies and the queue together; only hosts that differ are written. */
  write(tx: Tx, labelIds: readonly number[], verdicts: readonly VitalsVerdict[], now: Date): Promise<void>;
  queueHost(tx: Tx, hostId: string, reason: string, now: Date): Promise<void>;
  /** A label that is not filled and that nobody else is filling, locked, with its next hosts, locked. */
  nextPage(tx: Tx, limit: number): Promise<FillPage | undefined>;
  fillTo(tx: Tx, labelId: number, hostId: string): Promise<void>;
  /** Known everywhere from here on. */
  finishFill(tx: Tx, labelId: number, now: Date): Promise<void>;
}

export interface FillPage {
  readonly label: VitalsLabel;
  readonly hosts: readonly { readonly id: string; readonly facts: HostFacts }[];
}

/** The reconciler is woken once the change has committed. */
export type WakeAfter = (tx: Tx) => void;

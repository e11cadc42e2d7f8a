import type { Effect } from '../core/effects.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import type { AgentFacts, AskedLabel, OsqueryNode } from './types.ts';

export interface OsqueryStore {
  addSecret(tx: Tx, hash: Buffer, teamId: number, now: Date): Promise<void>;
  /** The team of a live secret. */
  teamOfSecret(tx: Tx, hash: Buffer): Promise<number | undefined>;
  /** A new node row; earlier rows of the same host identifier are superseded. */
  addNode(tx: Tx, node: NewNode, now: Date): Promise<OsqueryNode>;
  nodeByKey(hash: Buffer): Promise<OsqueryNode | undefined>;
  /** Undefined where they say nothing new; then nothing was written. */
  recordFacts(
    tx: Tx,
    hostId: string,
    facts: AgentFacts,
    now: Date,
  ): Promise<{ readonly osChanged: boolean } | undefined>;
  /** The enrolled device channel of a host, where it has one. */
  deviceEnrollment(tx: Tx, hostId: string): Promise<EnrollmentRef | undefined>;
  /** The enrolled user channels of a host, with the short names of their users. */
  managedUsers(hostId: string, tx?: Tx): Promise<readonly ManagedUser[]>;
  /** Hosts with an operation that waits for an observer's word, at most `limit`. */
  hostsVerifying(limit: number): Promise<readonly string[]>;
  catalogueEpoch(): Promise<number>;
  /** Labels with a query, and the catalogue's epoch from before they were read. */
  labelList(): Promise<{ readonly epoch: number; readonly labels: readonly AskedLabel[] }>;
  /** Hosts whose labels are to be asked before their turn, at most `limit`. */
  hostsAskedSoon(limit: number): Promise<readonly string[]>;
  /** One statement for many nodes. */
  markSeen(seen: readonly { nodeId: number; at: Date }[]): Promise<void>;
}

export interface ManagedUser {
  readonly enrollment: EnrollmentRef;
  /** As the Mac said it. */
  readonly shortName: string;
}

export interface NewNode {
  readonly keyHash: Buffer;
  readonly hostId: string;
  readonly hostIdentifier: string;
  readonly osqueryVersion: string;
}

export interface HostMatcher {
  /** The host with this hardware, made in this team where there is none yet. */
  findOrCreate(tx: Tx, facts: AgentFacts, teamId: number): Promise<{ readonly hostId: string; readonly made: boolean }>;
}

export type ApplyEffects = (tx: Tx, effects: readonly Effect[]) => Promise<void>;

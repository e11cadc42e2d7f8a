import type { Channel, EnrollmentRef } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import type {
  CatalogueRows,
  ContentEvidence,
  ExpectedPolicy,
  ExtraProfile,
  Fingerprint,
  GateSubject,
  HostFacts,
  Op,
  OsqueryState,
  PushSummary,
  QuietRow,
  ReconRow,
  ShownDriftKind,
} from './types.ts';

/** What a command carries; the same request always means the same bytes. */
export type BodyRequest =
  | { readonly kind: 'install'; readonly versionId: number }
  | { readonly kind: 'remove'; readonly identifier: string }
  | { readonly kind: 'profile_list' };

/**
 * The Command dictionary as an XML fragment, as `command_body` keeps it: InstallProfile with the delivered bytes of the
 * version, RemoveProfile with the identifier, ProfileList. Read inside the unit of work; throws where it cannot be made.
 */
export type CommandBody = (tx: Tx, request: BodyRequest) => Promise<Buffer>;

/** What each of these versions forces; empty for one that is no preference profile, or whose keys cannot be told. */
export type ExpectedPolicies = (
  tx: Tx,
  versionIds: readonly number[],
) => Promise<ReadonlyMap<number, readonly ExpectedPolicy[]>>;

/** Why an enrolment is in the queue. `audit` alone means that the sweep found what nothing else had announced. */
export const AUDIT = 'audit';

export interface ClaimedHost {
  readonly enrollment: EnrollmentRef;
  /** Evaluations that failed before. */
  readonly attempts: number;
  readonly reasons: readonly string[];
  /** Its rows of the queue, which are there again if the unit of work fails. */
  readonly queueIds: readonly number[];
}

export interface Claim {
  readonly hosts: readonly ClaimedHost[];
  /** From the claiming statement's own snapshot; undefined where nothing was claimed. */
  readonly epoch: number | undefined;
}

/** One step of a wave (an intent for a whole team). */
export type WaveTurn =
  | { readonly kind: 'none' }
  /** What there is is in other hands just now. */
  | { readonly kind: 'busy' }
  /** Pages were made; nothing is claimed yet. */
  | { readonly kind: 'cut' }
  | { readonly kind: 'page'; readonly page: number; readonly claim: Claim };

/** Without `applied` and ops: what the fingerprint test needs. */
export interface AuditRow extends QuietRow {
  readonly hasOps: boolean;
}

/** A range of keys as the audit reads it, in one snapshot. */
export interface AuditPage {
  readonly epoch: number;
  /** Live enrolments, read as they are asked for. */
  entries(): Iterable<AuditEntry>;
}

export interface AuditEntry {
  readonly enrollment: EnrollmentRef;
  /** Its copies of team or labels differ from the source, or it has no row. */
  readonly suspect: boolean;
  readonly row: AuditRow | undefined;
}

export interface LockedHosts {
  readonly hosts: readonly HostFacts[];
  /** Somebody else works on them just now. */
  readonly busy: readonly EnrollmentRef[];
}

export interface LockedHost {
  readonly facts: HostFacts;
  readonly epoch: number;
  readonly content: ContentEvidence | undefined;
}

export interface NewCommand {
  readonly uuid: string;
  readonly requestType: 'InstallProfile' | 'RemoveProfile' | 'ProfileList';
  readonly bodySha256: Buffer;
  readonly slotId: number | undefined;
  readonly generation: number | undefined;
}

/** What becomes of one enrolment's ops. */
export interface OpsWrite {
  readonly row: ReconRow;
  readonly upserts: readonly Op[];
  /** Slots. */
  readonly drops: readonly number[];
  /** Live commands to end. */
  readonly cancels: readonly string[];
  readonly opCount: number;
}

export interface PlanWrite extends OpsWrite {
  readonly rev: number;
  /** Recomputed from `applied`, where the stored one was wrong. */
  readonly fingerprint: Fingerprint | undefined;
  /** In the order they are to be carried out. */
  readonly commands: readonly NewCommand[];
}

export interface FactsWrite extends OpsWrite {
  readonly applied: readonly number[];
  readonly fingerprint: Fingerprint;
  readonly observedExtra: readonly ExtraProfile[];
  readonly actualKnown: boolean;
}

/** When and how an observer last answered for an enrolment. */
type ObserverWrite =
  | { readonly source: 'osquery'; readonly state: OsqueryState; readonly at: Date }
  | { readonly source: 'profile_list'; readonly at: Date };

export interface Body {
  readonly sha256: Buffer;
  readonly bytes: Buffer;
}

/** One channel of a host as a page about the host reads it. */
export interface ChannelRead {
  readonly enrollmentId: string;
  readonly channel: Channel;
  readonly userShortName: string | undefined;
  readonly facts: HostFacts;
  /** What is known of contents; `pairEvidence` reads it. */
  readonly content: ContentEvidence | undefined;
  readonly push: PushSummary | undefined;
  readonly seenAt: Date | undefined;
}

/** What is known of one label on one host besides whether it holds. */
export interface LabelNote {
  /** Since when it is a member. */
  readonly since: Date | undefined;
  /** When its query was answered last. */
  readonly evaluatedAt: Date | undefined;
  /** How often in a row its query has said no of a member, that has not left yet. */
  readonly noes: number;
  /** What its query failed with. */
  readonly error: string | undefined;
}

export interface HostRead {
  readonly hostId: string;
  readonly teamId: number;
  readonly teamName: string;
  readonly labels: ReadonlyMap<number, LabelNote>;
  /** When an identity that is not proven last claimed to be this host. */
  readonly quarantinedAt: Date | undefined;
  /** What the gate would read of it, where it has no live channel. */
  readonly subject: GateSubject | undefined;
  /** Live channels with a recon row. */
  readonly channels: readonly ChannelRead[];
}

/** After which item a page of drift begins. */
export interface DriftPlace {
  readonly enrollment: EnrollmentRef;
  readonly place: number;
}

export interface DriftItem {
  readonly at: DriftPlace;
  readonly hostId: string;
  readonly hostName: string;
  readonly team: string;
  readonly channel: Channel;
  readonly userShortName: string | undefined;
  readonly kind: ShownDriftKind;
  readonly identifier: string;
  /** What the device reports, or would where it is changed in place; '' where it was not said. */
  readonly uuid: string;
  readonly displayName: string;
  readonly seenAt: Date | undefined;
}

export interface DriftQuery {
  readonly teamId: number | undefined;
  readonly kind: ShownDriftKind | undefined;
  readonly after: DriftPlace | undefined;
  readonly limit: number;
}

export type DriftCounts = Readonly<Record<ShownDriftKind, number>>;

export interface DriftStore {
  /** Ascending by place. */
  page(query: DriftQuery): Promise<readonly DriftItem[]>;
  counts(teamId: number | undefined): Promise<DriftCounts>;
}

/** An enrolment for the counters, without `applied` and ops. */
export interface CountedHost {
  readonly row: ReconRow;
  readonly opCount: number;
  /** Its host's device channel. */
  readonly device: EnrollmentRef;
  /** Is a user channel of its host live. */
  readonly userChannel: boolean;
}

export interface HostNames {
  readonly hostId: string;
  readonly hostName: string;
  readonly serialNumber: string | undefined;
  readonly teamId: number;
}

export interface ReconcileStore {
  /** Enrolments one transaction may take: an embedded database has one session, and devices wait for it. */
  readonly batchLimit: number;
  /** Milliseconds one transaction should take at most; batches shrink and grow to it. */
  readonly batchTargetMs: number;
  /** Batches under way at a time in one process: while the server writes one, the next is planned. */
  readonly batchesAtOnce: number;
  epoch(): Promise<number>;
  loadCatalogue(tx?: Tx): Promise<CatalogueRows>;

  /** Take up to `limit` due rows of the queue, deduplicated by enrolment. They come back if the unit of work fails. */
  claim(tx: Tx, limit: number, now: Date): Promise<Claim>;
  /** The rows of an earlier claim whose unit of work failed, as far as nobody else has taken them or put them aside. */
  claimAgain(tx: Tx, queueIds: readonly number[], now: Date): Promise<Claim>;
  /** The next step of the wave that has had the fewest, or of the oldest; at most `limit` enrolments, pages of `pageSize`. */
  takeWave(tx: Tx, limit: number, pageSize: number, oldest: boolean): Promise<WaveTurn>;
  /** A page whose unit of work failed goes into the queue. */
  queuePage(tx: Tx, page: number, now: Date): Promise<void>;
  postpone(tx: Tx, queueIds: readonly number[], attempts: number, reason: string, dueAt: Date): Promise<void>;
  enqueue(tx: Tx, enrollments: readonly EnrollmentRef[], reason: string, dueAt: Date, attempts?: number): Promise<void>;
  /** What is in the queue already, be it put aside, is not put there again: it would lose its back-off. */
  enqueueUnlessQueued(tx: Tx, enrollments: readonly EnrollmentRef[], reason: string, dueAt: Date): Promise<void>;
  /** The same for enrolments whose ops have come due, at most `limit` ops. Answers how many. */
  enqueueDue(now: Date, limit: number): Promise<number>;

  /** Locks without waiting. Enrolments that are not live any more are in neither list. */
  lock(tx: Tx, enrollments: readonly EnrollmentRef[]): Promise<LockedHosts>;
  writePlans(tx: Tx, writes: readonly PlanWrite[], bodies: readonly Body[], now: Date): Promise<void>;

  /** Waits for the lock. `commands` is left empty: an ack decides nothing by them. */
  lockOne(tx: Tx, enrollment: EnrollmentRef): Promise<LockedHost | undefined>;
  writeFacts(tx: Tx, write: FactsWrite, now: Date): Promise<void>;
  /** Undefined = nothing is known any more. */
  writeContent(tx: Tx, enrollment: EnrollmentRef, content: ContentEvidence | undefined): Promise<void>;
  writeObserver(tx: Tx, enrollment: EnrollmentRef, observer: ObserverWrite): Promise<void>;

  /** What a device holds is unknown from here on: no ops, nothing applied, labels not evaluated. */
  forget(tx: Tx, enrollment: EnrollmentRef): Promise<void>;
  /** The recon row of a live enrolment, from its host's team and labels. Idempotent. */
  ensure(tx: Tx, enrollment: EnrollmentRef): Promise<void>;
  drop(tx: Tx, enrollment: EnrollmentRef): Promise<void>;

  /** Lowest and highest enrolment. */
  bounds(): Promise<{ low: EnrollmentRef; high: EnrollmentRef } | undefined>;
  /** Keys of one page of the audit, and pages read ahead of the one that is judged. */
  readonly auditPageKeys: number;
  readonly auditPagesAhead: number;
  /** `low` inclusive, `high` exclusive. */
  auditPage(low: EnrollmentRef, high: EnrollmentRef): Promise<AuditPage>;
  read(enrollments: readonly EnrollmentRef[], tx?: Tx): Promise<readonly HostFacts[]>;
  /** Copies of team and labels that differ from their source are set right, missing rows made; answers those enrolments. */
  repairCopies(tx: Tx, suspects: readonly EnrollmentRef[]): Promise<readonly EnrollmentRef[]>;
  /** Those of the `slices` ranges of the audit that nobody has named before are due. */
  layOutAudit(slices: number, now: Date): Promise<void>;
  /** All of them are due. */
  askAudit(slices: number, now: Date): Promise<void>;
  /** The range that has been due for longest, for `owner` until then; undefined where none is due that nobody has. */
  leaseAudit(slices: number, owner: string, now: Date, until: Date): Promise<number | undefined>;
  /** Ends one's own lease. */
  endAudit(slices: number, slice: number, owner: string, dueAt: Date): Promise<void>;

  findHost(ref: string): Promise<string | undefined>;
  readHost(hostId: string): Promise<HostRead | undefined>;
  teamNames(teamIds: readonly number[]): Promise<ReadonlyMap<number, string>>;
  /** Enrolments after `after`, ascending; of these teams, where named. */
  scan(after: EnrollmentRef, limit: number, teamIds?: readonly number[]): Promise<readonly CountedHost[]>;
  /**
   * Queues the other live channels of this enrolment's host, if a live profile has moved away from one of these slots.
   * Undefined = from any slot.
   */
  queueWaitingFor(tx: Tx, enrollment: EnrollmentRef, slots: readonly number[] | undefined, now: Date): Promise<boolean>;
  hostNames(enrollments: readonly EnrollmentRef[]): Promise<ReadonlyMap<EnrollmentRef, HostNames>>;
  /** Enrolments of these teams that have a failed operation in this slot: after `after`, ascending. */
  failedIn(
    slotId: number,
    teamIds: readonly number[],
    after: EnrollmentRef,
    limit: number,
  ): Promise<readonly EnrollmentRef[]>;
}

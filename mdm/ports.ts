import type { CommandOutcome, Effect, ErrorChainItem } from '../core/effects.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import type {
  Binding,
  Claimant,
  CommandDetail,
  CommandView,
  DeviceFacts,
  EnrollmentView,
  Known,
  LiveCommand,
  NewCommand,
} from './types.ts';

/** Carries effects out in the transaction of the decision; `server/effects.ts` is the one implementation. */
export type ApplyEffects = (tx: Tx, effects: readonly Effect[]) => Promise<void>;

/** One poll for the statement that answers many. */
export interface PollRow {
  readonly enrollmentId: string;
  readonly certificateSha256: Buffer;
  readonly turn: 'idle' | 'not_now' | 'finished';
  readonly commandUuid: string | undefined;
  readonly outcome: CommandOutcome | undefined;
  readonly errorChain: readonly ErrorChainItem[];
  /** The device's bytes, kept with a finished command. */
  readonly result: Buffer | undefined;
  readonly truncated: boolean;
  /** The caller has seen in this transaction to whatever follows from the result besides the queue's next turn. */
  readonly settled: boolean;
}

export type PollAnswer =
  | { readonly kind: 'command'; readonly commandUuid: string; readonly bodyId: number }
  /** `leftBehind`: commands of this channel stay deferred and no poll will come by itself. */
  | { readonly kind: 'nothing'; readonly leftBehind: EnrollmentRef | undefined }
  /** More follows from this result than the queue shows, or its command is not in the queue; nothing was done. */
  | { readonly kind: 'weighty' }
  /** The certificate is not the current one of a live enrolment of this id; nothing was done. */
  | { readonly kind: 'not_live' };

export interface ReportedCommand {
  readonly enrollment: EnrollmentRef;
  readonly command: LiveCommand;
}

/** A result for a command that is not in the queue of this channel. */
export interface LateResult {
  readonly enrollment: EnrollmentRef;
  /** '' where it could not be made out. */
  readonly commandUuid: string;
  readonly outcome: CommandOutcome;
  readonly errorChain: readonly ErrorChainItem[];
  readonly result: Buffer;
  readonly truncated: boolean;
}

export interface CommandStore {
  /** Statements worth having on their way at once: an embedded database has one session. */
  readonly statementsAtOnce: number;
  /** Did the database refuse a row, and not fail as a whole? */
  isRowFault(error: unknown): boolean;
  /** One committed statement for all rows; no enrolment twice among them. Answers in the order of the rows. */
  poll(rows: readonly PollRow[], now: Date): Promise<readonly PollAnswer[]>;
  pollIn(tx: Tx, rows: readonly PollRow[], now: Date): Promise<readonly PollAnswer[]>;
  /** The Command dictionaries as XML fragments; immutable, so a caller may keep them. */
  bodies(ids: readonly number[]): Promise<ReadonlyMap<number, Buffer>>;

  /**
   * For each row the live command that a live enrolment's current certificate reports on, locked together with the
   * enrolment's state; undefined leaves open which of these it was not.
   */
  reported(tx: Tx, rows: readonly PollRow[]): Promise<readonly (ReportedCommand | undefined)[]>;
  /** A result for no live command: counted on the finished one, else kept as an orphan (CMD-03). */
  recordLate(tx: Tx, late: LateResult, now: Date): Promise<void>;

  /**
   * Answers the enrolments that took theirs: those that are enrolled and never had a command of this UUID (CMD-09).
   */
  enqueue(tx: Tx, commands: readonly NewCommand[], now: Date): Promise<ReadonlySet<EnrollmentRef>>;

  /** Live ones first, newest first within each. */
  list(enrollments: readonly EnrollmentRef[], limit: number): Promise<readonly CommandView[]>;
  get(enrollment: EnrollmentRef, commandUuid: string): Promise<CommandDetail | undefined>;
}

export interface NewEnrollment {
  readonly who: Claimant;
  readonly facts: DeviceFacts;
  readonly topic: string;
  readonly binding: Binding;
  readonly certificateSha256: Buffer;
  /** The host whose serial number this is, when the enrolment takes over from another UDID. */
  readonly takesOver: string | undefined;
  /** For a host not seen before. */
  readonly newHostId: string;
}

interface PushTriple {
  readonly token: Buffer;
  readonly pushMagic: string;
  readonly awaitingConfiguration: boolean | undefined;
}

export interface UserTokenUpdate extends PushTriple {
  readonly who: Claimant;
  readonly topic: string;
}

/** A host whose facts are other than they were. */
export interface ChangedHost {
  readonly hostId: string;
  readonly osChanged: boolean;
}

export interface Reenrolled {
  readonly generation: number;
  readonly host: ChangedHost | undefined;
}

export interface MdmStore {
  /** What a decision about this message reads, with the certificate's and the enrolments' rows locked. */
  known(
    tx: Tx,
    certificateSha256: Buffer,
    who: Claimant,
    serialNumber: string | undefined,
  ): Promise<Omit<Known, 'validity'>>;
  /** The device channel a certificate is pinned to, for results that do not say whose they are. */
  pinnedDevice(tx: Tx, certificateSha256: Buffer): Promise<EnrollmentRef | undefined>;

  /** With the host it belongs to, whose facts may be new. */
  enrol(tx: Tx, enrollment: NewEnrollment, now: Date): Promise<{ ref: EnrollmentRef; host: ChangedHost }>;
  /** A new generation: queue cancelled, tokens dropped, earlier certificates superseded. `frozen` from the challenge. */
  reenrol(tx: Tx, ref: EnrollmentRef, enrollment: NewEnrollment, now: Date): Promise<Reenrolled>;
  quarantine(tx: Tx, certificateSha256: Buffer, claimed: EnrollmentRef, now: Date): Promise<void>;
  /** Pin a renewed certificate without making it the current one yet. */
  renew(tx: Tx, certificateSha256: Buffer, ref: EnrollmentRef, now: Date): Promise<void>;
  promote(tx: Tx, certificateSha256: Buffer, ref: EnrollmentRef, now: Date): Promise<void>;
  /** Undefined where the facts say nothing new. */
  refreshHost(tx: Tx, ref: EnrollmentRef, facts: DeviceFacts, now: Date): Promise<ChangedHost | undefined>;

  /** The device channel is live. */
  saveToken(tx: Tx, ref: EnrollmentRef, push: PushTriple, now: Date): Promise<void>;
  saveUnlockToken(tx: Tx, ref: EnrollmentRef, sealed: Buffer): Promise<void>;
  saveUserToken(
    tx: Tx,
    device: EnrollmentRef,
    update: UserTokenUpdate,
    state: 'enrolled' | 'waiting_for_device',
    now: Date,
  ): Promise<EnrollmentRef>;
  /** User channels that waited for their device go live; answers them. */
  activateWaiting(tx: Tx, device: EnrollmentRef, now: Date): Promise<readonly EnrollmentRef[]>;
  /** End a channel, a device with its user channels, and cancel their queues; answers those that were not ended yet. */
  end(tx: Tx, ref: EnrollmentRef, now: Date): Promise<readonly EnrollmentRef[]>;
  /** End the user channels only. */
  endUsers(tx: Tx, device: EnrollmentRef, now: Date): Promise<readonly EnrollmentRef[]>;

  setAwaitingConfiguration(tx: Tx, ref: EnrollmentRef, awaiting: boolean): Promise<void>;
  saveBootstrapToken(tx: Tx, ref: EnrollmentRef, sealed: Buffer | undefined): Promise<void>;
  /** Of this generation only: an earlier life's token is never handed to the next one (BST-03). */
  bootstrapToken(tx: Tx, ref: EnrollmentRef): Promise<Buffer | undefined>;

  /** What enqueueing checks of its targets. */
  targets(enrollmentIds: readonly string[]): Promise<readonly CommandTarget[]>;
  enrollment(enrollmentId: string): Promise<EnrollmentView | undefined>;
  enrollmentsOfHost(hostId: string): Promise<readonly EnrollmentView[]>;
  /** Ascending by ref, after `after`. */
  enrollments(after: EnrollmentRef, limit: number): Promise<readonly EnrollmentView[]>;
}

export interface CommandTarget {
  readonly ref: EnrollmentRef;
  readonly enrollmentId: string;
  readonly channel: 'device' | 'user';
  readonly live: boolean;
  /** PayloadIdentifier of its enrolment profile, which only lifecycle removes. */
  readonly enrollmentProfile: string | undefined;
}

import type { EnrollmentRef } from './enrollment.ts';

/** One link of a device's ErrorChain; the first is the top-level error, later ones are causes (apple-protocol §2.1). */
export interface ErrorChainItem {
  readonly code: number;
  readonly domain: string;
  /** USEnglishDescription where the device sent one, else LocalizedDescription. */
  readonly description: string;
}

/** How a command left the queue. `Unknown` is a Status word Apple has not documented (CMD-07). */
export type CommandOutcome = 'Acknowledged' | 'Error' | 'CommandFormatError' | 'Unknown';

/** Which reconciler decision a command carries out; a result of an older op generation changes nothing (design §4). */
export interface OpRef {
  readonly slot: number;
  readonly generation: number;
}

/** A profile as a Mac or its agent lists it. Contents are never reported, only identity (design §4, verification facts). */
export interface ObservedProfile {
  readonly identifier: string;
  /** Top-level PayloadUUID, as reported. */
  readonly uuid: string;
  readonly displayName: string | undefined;
  readonly installedAt: Date | undefined;
  /** `payload_checksum`, where the agent's table has that column: opaque, compared with what it was before. */
  readonly checksum?: string | undefined;
  /** ProfileList names the payloads inside: one of them is `com.apple.mdm`, so this enrols the device somewhere. */
  readonly enrols?: boolean;
}

/** What an observer saw. Zero rows, table absent and query error are three states; none of them means "missing". */
export type Observation =
  | {
      readonly state: 'rows';
      readonly profiles: readonly ObservedProfile[];
      /** Build of the operating system at the time of the report, where the observer says it. */
      readonly osBuild?: string | undefined;
    }
  | { readonly state: 'zero_rows' }
  | { readonly state: 'table_absent' }
  | { readonly state: 'query_error'; readonly message: string };

/** A preference key that the system enforces on the whole device, whoever asked for it. Values are never asked for. */
export interface ObservedPolicy {
  readonly domain: string;
  readonly name: string;
}

/** A row or more is yes, none is no; a query that failed, or whose answer did not come, is neither. */
export interface LabelAnswer {
  readonly labelId: number;
  readonly answer: 'yes' | 'no' | 'error';
  /** What the query failed with, of bounded length. */
  readonly message?: string;
}

/**
 * What a decision in one room asks of the others. Effects are data; `server/effects.ts` carries each out in the
 * transaction of the decision, so a report and everything that follows from it commit together or not at all.
 */
export type Effect =
  /** `later`: not at once but an interval on, for a Mac that has just said NotNow (apple-protocol §2.2). */
  | { readonly kind: 'push'; readonly enrollment: EnrollmentRef; readonly reason: string; readonly later?: true }
  /** Authenticate accepted: what the device holds is unknown until it reports. */
  | { readonly kind: 'enrollment_started'; readonly enrollment: EnrollmentRef; readonly generation: number }
  /** TokenUpdate stored. `first` is true once per generation. */
  | { readonly kind: 'enrollment_live'; readonly enrollment: EnrollmentRef; readonly first: boolean }
  | { readonly kind: 'enrollment_ended'; readonly enrollment: EnrollmentRef }
  | {
      readonly kind: 'op_settled';
      readonly enrollment: EnrollmentRef;
      readonly enrollmentGeneration: number;
      readonly op: OpRef;
      readonly outcome: CommandOutcome;
      readonly errorChain: readonly ErrorChainItem[];
    }
  | {
      readonly kind: 'profiles_observed';
      readonly enrollment: EnrollmentRef;
      readonly source: 'osquery' | 'profile_list';
      readonly observation: Observation;
    }
  /** Every managed policy of the device, as its agent lists them; an answer without any is none. */
  | {
      readonly kind: 'policies_observed';
      readonly enrollment: EnrollmentRef;
      readonly policies: readonly ObservedPolicy[];
    }
  /** What an agent said to the queries of labels. `epoch` = of the list that it was asked; `askedAt` tells its reports apart. */
  | {
      readonly kind: 'labels_answered';
      readonly hostId: string;
      readonly epoch: number;
      readonly askedAt: Date;
      readonly answers: readonly LabelAnswer[];
    }
  /** A host's own facts are other than they were, or new: name, model, versions. */
  | { readonly kind: 'host_facts_changed'; readonly hostId: string; readonly osChanged: boolean };

export type EffectKind = Effect['kind'];

/** What concerns one channel of one device. */
export type EnrollmentEffect = Extract<Effect, { readonly enrollment: EnrollmentRef }>;

import type { LabelAnswer } from '../core/effects.ts';

/** One Mac as admins see it. */
export interface Host {
  /** UUIDv7. */
  readonly id: string;
  readonly udid: string | undefined;
  readonly serialNumber: string | undefined;
  readonly name: string;
  readonly model: string;
  readonly productName: string;
  readonly osVersion: string;
  readonly buildVersion: string;
  readonly teamId: number;
  readonly teamName: string;
  readonly labels: readonly string[];
  /** Of the device channel; `none` where the Mac never enrolled in MDM (an agent only). */
  readonly enrollment: 'authenticated' | 'enrolled' | 'waiting_for_device' | 'ended' | 'none';
  readonly lastSeenAt: Date | undefined;
}

export interface Team {
  readonly id: number;
  readonly name: string;
  readonly hosts: number;
}

export type LabelKind = 'manual' | 'dynamic' | 'host_vitals';

/** Where the members of a label come from: a list, a query that agents answer, or what the server knows of a host. */
export type LabelSource =
  | { readonly kind: 'manual' }
  | { readonly kind: 'dynamic'; readonly query: string }
  | { readonly kind: 'host_vitals'; readonly criteria: VitalsCriteria };

export type Label = LabelSource & {
  readonly id: number;
  readonly name: string;
};

/** Hosts by their standing. What is neither counted as a member nor as unknown is known not to be one. */
export interface LabelCounts {
  readonly hosts: number;
  readonly unknown: number;
  /** Of the members: their query has said no, and is asked once more. */
  readonly leaving: number;
}

export interface CountedLabel extends LabelCounts {
  readonly id: number;
  readonly name: string;
  readonly kind: LabelKind;
}

/** A live profile that names a label. */
export interface ProfileUse {
  readonly id: number;
  readonly identifier: string;
  readonly name: string;
  readonly teamId: number;
  readonly team: string;
  readonly role: 'include' | 'exclude';
}

export interface LabelError {
  readonly hostId: string;
  readonly hostName: string;
  readonly message: string;
}

export interface LabelView {
  readonly label: Label;
  readonly counts: LabelCounts;
  /** All hosts there are; `counts` are of these. */
  readonly total: number;
  /** False while a host-vitals label is being worked out for the first time. */
  readonly filled: boolean;
  /** When an agent last answered its query. */
  readonly evaluatedAt: Date | undefined;
  /** Some of the hosts where the query failed, the latest first. */
  readonly errors: readonly LabelError[];
  readonly profiles: readonly ProfileUse[];
}

/** Unknown is not no: the present state is kept (design §4). */
export type Membership = 'yes' | 'no' | 'unknown';

/** What the server knows of a host itself, by the names of the API; '' = not reported. */
export interface HostFacts {
  readonly os_version: string;
  readonly build_version: string;
  readonly model: string;
  readonly product_name: string;
  readonly name: string;
  readonly serial_number: string;
}

export type VitalsRule =
  | {
      readonly field: keyof HostFacts;
      readonly op: 'is' | 'is_not' | 'starts_with' | 'contains';
      readonly value: string;
    }
  | { readonly field: 'os_version'; readonly op: 'at_least' | 'at_most'; readonly value: string }
  | { readonly field: keyof HostFacts; readonly op: 'one_of'; readonly value: readonly string[] };

export interface VitalsCriteria {
  readonly match: 'all' | 'any';
  readonly rules: readonly VitalsRule[];
}

/** What is known of one label on one host, as its row says. */
export interface LabelOnHost {
  readonly label: Label;
  readonly member: boolean;
  readonly since: Date | undefined;
  readonly epoch: number;
  readonly filled: boolean;
  readonly unknown: boolean;
  readonly noes: number;
  readonly error: string | undefined;
}

/** One label of a host as people read it. */
export interface LabelDetail {
  readonly name: string;
  readonly kind: LabelKind;
  readonly member: Membership;
  /** Since when it has been a member. */
  readonly since: Date | undefined;
  /** Why it is unknown, or that it is about to leave. */
  readonly why: string | undefined;
}

/** What tells one machine from another. Hardware UUID equals the UDID on a Mac. */
export interface Hardware {
  readonly hardwareUuid?: string;
  readonly serialNumber?: string;
  readonly name?: string;
  readonly model?: string;
  readonly osVersion?: string;
  readonly buildVersion?: string;
}

/** A label with a query, and since which epoch of the catalogue the query is what it is. */
export interface DynamicLabel {
  readonly id: number;
  readonly epoch: number;
}

/** What one host's agent has said about labels until now. */
export interface LabelEvidence {
  readonly labelEpoch: number;
  /** Labels of every kind that the host is a member of. */
  readonly members: ReadonlySet<number>;
  /** Of every kind: those of host-vitals labels are kept as they are. */
  readonly unknown: ReadonlySet<number>;
  /** Label → how often in a row its query has said no of this member. */
  readonly leaving: ReadonlyMap<number, number>;
  readonly errors: ReadonlyMap<number, string>;
  readonly askedAt: Date | undefined;
}

export interface AnsweredLabels {
  /** Catalogue epoch of the list of labels that was asked. */
  readonly epoch: number;
  readonly askedAt: Date;
  readonly answers: readonly LabelAnswer[];
}

export type LabelsDecided =
  /** A report that was counted before, or that a newer one has overtaken. */
  | { readonly kind: 'stale' }
  | { readonly kind: 'same' }
  | {
      readonly kind: 'changed';
      readonly evidence: LabelEvidence;
      readonly joins: readonly number[];
      readonly leaves: readonly number[];
      /** What the gate reads is other than it was; not so where only a member's first "no" is noted. */
      readonly gateChanged: boolean;
    };

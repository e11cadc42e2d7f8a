import type { Observation, ObservedPolicy } from '../core/effects.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';

/** An agent as its node key identifies it. The host comes from the credential, never from a body (S16). */
export interface OsqueryNode {
  readonly id: number;
  readonly hostId: string;
  readonly hostIdentifier: string;
  /** Up to where the host's labels were known, and when they were asked, when this was read. */
  readonly labelEpoch: number;
  readonly labelsAt: Date | undefined;
}

/** A label with a query, as of the epoch of the catalogue that it was made or edited in. */
export interface AskedLabel {
  readonly id: number;
  readonly query: string;
  readonly epoch: number;
}

/** Facts an agent reports at enrolment and with its details; absent ones change nothing. */
export interface AgentFacts {
  readonly hardwareUuid?: string;
  readonly serialNumber?: string;
  readonly name?: string;
  readonly model?: string;
  readonly osVersion?: string;
  readonly buildVersion?: string;
  readonly osqueryVersion?: string;
}

/** What one distributed/write says, after everything we did not ask for has been dropped. */
export interface AgentReport {
  readonly profiles: Observation | undefined;
  /** Of the user channels it was asked about; whether they are this host's is not checked yet. */
  readonly users: readonly { readonly enrollment: EnrollmentRef; readonly observation: Observation }[];
  /** Has it a table of users' profiles; undefined where it has not said. */
  readonly hasUserProfiles: boolean | undefined;
  /** Managed policies of the whole device; undefined where it has not said. */
  readonly policies: readonly ObservedPolicy[] | undefined;
  readonly facts: AgentFacts;
}

/** JSON as osquery's TLS plugin understands it. `node_invalid` must be a real boolean. */
export interface AgentAnswer {
  readonly status: 200 | 400 | 503;
  readonly body: Readonly<Record<string, unknown>>;
}

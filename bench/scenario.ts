import type { Cluster } from './support/postgres.ts';
import type { Report } from './support/result.ts';

export interface Bench {
  /** Removed at the end. */
  readonly folder: string;
  /** Undefined where PostgreSQL is not installed. */
  readonly cluster: Cluster | undefined;
  readonly quick: boolean;
  /** The fleet of a million hosts too: some 20 minutes more. */
  readonly million: boolean;
  readonly report: Report;
  /** Progress, for whoever watches. */
  readonly say: (text: string) => void;
}

export type Scenario = (bench: Bench) => Promise<void>;

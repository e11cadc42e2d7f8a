export interface DemoOptions {
  /** Absolute path of the demo's folder. */
  readonly data: string;
  readonly macs: number;
  readonly once: boolean;
  readonly faults: boolean;
  readonly seed: string;
}

import type { Channel } from '../core/enrollment.ts';

/** What a Mac tells its keeper as it happens; the state itself is asked for with SimulatedMac's methods. */
export type MacEvent =
  | { readonly kind: 'profile_fetched'; readonly verification: string }
  | { readonly kind: 'certificate_issued' }
  | { readonly kind: 'authenticated' }
  | { readonly kind: 'enrolled'; readonly channel: Channel }
  | { readonly kind: 'unenrolled'; readonly why: string }
  | { readonly kind: 'erased' }
  | { readonly kind: 'pushed'; readonly channel: Channel }
  | {
      readonly kind: 'command';
      readonly channel: Channel;
      readonly commandUuid: string;
      readonly requestType: string;
      /** It had been handed out before. */
      readonly again: boolean;
    }
  | {
      readonly kind: 'answered';
      readonly channel: Channel;
      readonly commandUuid: string;
      readonly requestType: string;
      readonly status: string;
    }
  | { readonly kind: 'accepted'; readonly channel: Channel; readonly commandUuid: string; readonly status: string }
  | { readonly kind: 'installed'; readonly channel: Channel; readonly identifier: string; readonly uuid: string }
  | { readonly kind: 'removed'; readonly channel: Channel; readonly identifier: string }
  | { readonly kind: 'fault'; readonly fault: string }
  | { readonly kind: 'violation'; readonly violation: Violation }
  | { readonly kind: 'reported'; readonly queries: readonly string[] };

/** Something a server did that Apple's documents do not allow, and a Mac survived. */
export interface Violation {
  /** Of docs/SPEC-mac.md. */
  readonly rule: string;
  readonly detail: string;
}

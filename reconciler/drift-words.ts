import type { DriftKind } from './types.ts';

export interface DriftWords {
  /** What it is, one sentence. */
  readonly words: string;
  /** What to do, one sentence. */
  readonly next: string;
}

export const DRIFT_WORDS: Readonly<Record<DriftKind, DriftWords>> = {
  not_ours: {
    words: 'It is on the device, and the device refused to let this server remove it, as not managed by it.',
    next: 'Remove it at the Mac, or leave it.',
  },
  left_over: {
    words:
      'It is on the device and was left there by another MDM server, an earlier enrolment or a copied Mac: shown, never touched.',
    next: 'Upload a profile with this identifier to replace it, or remove it at the Mac.',
  },
  duplicate: {
    words: 'The device lists this identifier more than once: shown, never touched.',
    next: 'Remove the other one at the Mac.',
  },
  foreign: {
    words: 'It is on the device and this server did not install it: shown, never touched.',
    next: 'Nothing: it is not managed by this server.',
  },
};

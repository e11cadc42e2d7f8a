import type { EnrollmentRef } from '../core/enrollment.ts';
import type { PairState } from './types.ts';

/** Of a host the worst state of its pairs. */
export type HostState = Extract<PairState, 'failed' | 'waiting' | 'pending' | 'verifying' | 'verified'>;

/** From the best to the worst. */
export const HOST_STATES: readonly HostState[] = ['verified', 'verifying', 'pending', 'waiting', 'failed'];

/** A removal under way is pending; what is no part of a profile's scope makes nothing worse. */
export function hostStateOf(state: PairState): HostState {
  switch (state) {
    case 'removing':
      return 'pending';
    case 'unmanaged':
    case 'not_in_scope':
      return 'verified';
    default:
      return state;
  }
}

/** failed > waiting > pending > verifying > verified. */
export function worseOf(one: HostState, other: HostState): HostState {
  return HOST_STATES.indexOf(other) > HOST_STATES.indexOf(one) ? other : one;
}

const CHUNK = 65_536;

/** The worst state per device, a byte each: the channels of one host may be read far apart. */
export class WorstStates {
  readonly #chunks = new Map<number, Uint8Array>();

  add(device: EnrollmentRef, state: HostState): void {
    const index = Math.floor(device / CHUNK);
    const chunk = this.#chunks.get(index) ?? new Uint8Array(CHUNK);
    this.#chunks.set(index, chunk);
    const at = device % CHUNK;
    // 0 = not seen.
    chunk[at] = Math.max(chunk[at] as number, HOST_STATES.indexOf(state) + 1);
  }

  counts(): Readonly<Record<HostState, number>> {
    const counts: Record<HostState, number> = { failed: 0, waiting: 0, pending: 0, verifying: 0, verified: 0 };
    for (const chunk of this.#chunks.values())
      for (const rank of chunk) if (rank > 0) counts[HOST_STATES[rank - 1] as HostState] += 1;
    return counts;
  }

  /** The next devices in this state, ascending. */
  inState(state: HostState, after: EnrollmentRef, limit: number): EnrollmentRef[] {
    const rank = HOST_STATES.indexOf(state) + 1;
    const found: EnrollmentRef[] = [];
    for (const index of [...this.#chunks.keys()].sort((one, other) => one - other)) {
      const chunk = this.#chunks.get(index) as Uint8Array;
      for (let at = Math.max(0, after + 1 - index * CHUNK); at < CHUNK && found.length < limit; at += 1)
        if (chunk[at] === rank) found.push(index * CHUNK + at);
    }
    return found;
  }
}

import { describe, expect, it } from 'vitest';
import { bodyBytesInFlight, fits, hold, release } from '../../http/body-budget.ts';
import { MAX_BODY_BYTES_IN_FLIGHT, MAX_BODY_BYTES_PER_PEER } from '../../http/limits.ts';

describe('bytes of bodies in flight', () => {
  it('I6 one address cannot use up what all share', () => {
    expect(MAX_BODY_BYTES_PER_PEER).toBeLessThan(MAX_BODY_BYTES_IN_FLIGHT / 2);
    expect(hold('192.0.2.1', MAX_BODY_BYTES_PER_PEER)).toBe(true);
    expect(hold('192.0.2.1', 1)).toBe(false);
    expect(fits('192.0.2.2', MAX_BODY_BYTES_PER_PEER)).toBe(true);
    release('192.0.2.1', MAX_BODY_BYTES_PER_PEER + 1);
    expect([bodyBytesInFlight(), fits('192.0.2.1', MAX_BODY_BYTES_PER_PEER)]).toEqual([0, true]);
  });

  it('I6 many addresses together stop at the total', () => {
    const share = MAX_BODY_BYTES_IN_FLIGHT / 4;
    for (const peer of ['a', 'b', 'c', 'd']) expect(hold(peer, share)).toBe(true);
    expect(fits('e', 1)).toBe(false);
    for (const peer of ['a', 'b', 'c', 'd']) release(peer, share);
    expect(bodyBytesInFlight()).toBe(0);
  });
});

import { describe, expect, it } from 'vitest';
import { createFailureLimit } from '../../scep/failure-limit.ts';

function limitAt(start = 0) {
  let now = start;
  const limit = createFailureLimit({ now: () => new Date(now) });
  return {
    ...limit,
    fail: (peer: string, times: number) => {
      for (let i = 0; i < times; i++) limit.failed(peer);
    },
    wait: (milliseconds: number) => {
      now += milliseconds;
    },
  };
}

describe('the limit of failures', () => {
  it('gives sixty, then sixty a minute', () => {
    const limit = limitAt();
    limit.fail('192.0.2.1', 59);
    expect(limit.isExhausted('192.0.2.1')).toBe(false);
    limit.fail('192.0.2.1', 1);
    expect(limit.isExhausted('192.0.2.1')).toBe(true);
    limit.wait(999);
    expect(limit.isExhausted('192.0.2.1')).toBe(true);
    limit.wait(1);
    expect(limit.isExhausted('192.0.2.1')).toBe(false);
    limit.wait(3_600_000);
    limit.fail('192.0.2.1', 60);
    expect(limit.isExhausted('192.0.2.1')).toBe(true);
  });

  it('does not go below nothing, and survives a clock that goes back', () => {
    const limit = limitAt(1_000_000);
    limit.fail('192.0.2.1', 1000);
    limit.wait(-500_000);
    expect(limit.isExhausted('192.0.2.1')).toBe(true);
    limit.wait(501_000);
    expect(limit.isExhausted('192.0.2.1')).toBe(false);
  });

  it('takes an IPv6 /64 for one peer, and IPv4 written as IPv6 for IPv4', () => {
    const limit = limitAt();
    limit.fail('2001:db8:0:1::1', 30);
    limit.fail('2001:db8:0:1:ffff:ffff:ffff:ffff', 30);
    limit.fail('::ffff:192.0.2.1', 60);
    const exhausted = ['2001:db8:0:1::2', '2001:db8::1:0:0:0:3', '192.0.2.1'];
    expect(exhausted.map((peer) => limit.isExhausted(peer))).toEqual([true, true, true]);
    const fresh = ['2001:db8:0:2::1', '2001:db8::1', '::1', '::ffff:192.0.2.2', 'unix socket'];
    expect(fresh.map((peer) => limit.isExhausted(peer))).toEqual(fresh.map(() => false));
  });

  it('forgets who failed longest ago when 10,000 others did', () => {
    const limit = limitAt();
    limit.fail('first', 60);
    limit.fail('second', 60);
    limit.fail('first', 1);
    for (let i = 0; i < 9_999; i++) limit.failed(`peer ${i}`);
    expect(limit.isExhausted('second')).toBe(false);
    expect(limit.isExhausted('first')).toBe(true);
  });
});

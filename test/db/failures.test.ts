import { describe, expect, test } from 'vitest';
import { atBoundary, retryAfter, unavailable } from '../../db/failures.ts';

const coded = (code: string) => Object.assign(new Error(code), { code });
const lost = () => unavailable(coded('57P01'));
const tries = (error: unknown, inCommit = false) =>
  [1, 2, 3, 4, 5, 6, 7].filter((attempt) => retryAfter(error, attempt, inCommit, 0.5) !== undefined).length;

describe('what runs again', () => {
  test('a connection lost before COMMIT: once more', () => {
    expect(tries(lost())).toBe(1);
  });

  test('a connection lost in COMMIT is not tried again', () => {
    expect(tries(lost(), true)).toBe(0);
  });

  test.each(['40001', '40P01'])('%s: rolled back for certain, so tried again, even in COMMIT', (code) => {
    expect(tries(coded(code))).toBe(5);
    expect(tries(coded(code), true)).toBe(5);
  });

  test.each(['23505', '22P02', '42601', '57014'])('%s is an answer: not tried again', (code) => {
    expect(tries(coded(code))).toBe(0);
  });

  test('the pause grows, and two that meet do not wait the same time', () => {
    const pauses = [1, 2, 3, 4, 5].map((attempt) => retryAfter(coded('40P01'), attempt, false, 0.5) ?? 0);
    expect(pauses).toEqual([...pauses].sort((one, other) => one - other));
    expect(retryAfter(coded('40P01'), 1, false, 0)).not.toBe(retryAfter(coded('40P01'), 1, false, 0.9));
  });
});

test('what may pass by itself leaves as store_unavailable, everything else as it is', () => {
  for (const code of ['57P01', '08006', '53300', '25006', '40001', '57014', 'ECONNREFUSED'])
    expect(atBoundary(coded(code))).toMatchObject({ code: 'store_unavailable' });
  const mine = coded('23505');
  expect(atBoundary(mine)).toBe(mine);
});

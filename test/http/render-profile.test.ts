import { describe, expect, test } from 'vitest';
import { targetsOf } from '../../http/render-profile.ts';

describe('whom a profile is for, in one phrase', () => {
  const here = { id: 1, name: 'Here' };
  const there = { id: 2, name: 'There' };
  test.each([
    ['everyone', 'none', [], []],
    ['everyone, not Here', 'none', [], [here]],
    ['any of Here, There', 'any', [here, there], []],
    ['all of Here, not There', 'all', [here], [there]],
    ['nobody (its labels are gone)', 'any', [], []],
    ['nobody (its labels are gone), not There', 'all', [], [there]],
  ] as const)('%s', (phrase, includeMode, includeLabels, excludeLabels) => {
    expect(targetsOf({ includeMode, includeLabels, excludeLabels })).toBe(phrase);
  });
});

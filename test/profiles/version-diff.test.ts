import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { Real } from '../../plist/types.ts';
import { diffMobileconfigs } from '../../profiles/version-diff.ts';
import { binaryPlist } from './binary-plist.ts';
import { payload, profile, upload } from './mobileconfigs.ts';

const between = (before: object, after: object) =>
  diffMobileconfigs(
    upload({ PayloadContent: [payload(1, { ...before })] }),
    upload({ PayloadContent: [payload(1, { ...after })] }),
  ).changes.map(({ kind, path, ...values }) => [kind, path.replace('PayloadContent[0].', ''), values]);

it('values are shown fit for JSON: data as its hash and size, dates, and what has no number of its own', () => {
  const data = Buffer.alloc(100_000, 7);
  const sha256 = createHash('sha256').update(data).digest('hex');
  expect(between({ A: data, B: new Real(1.5) }, { A: new Date(0), B: 2n ** 60n, C: { D: ['x', true] } })).toEqual([
    [
      'changed',
      'A',
      { before: { type: 'data', sha256, size: 100_000 }, after: { type: 'date', date: '1970-01-01T00:00:00.000Z' } },
    ],
    [
      'changed',
      'B',
      { before: { type: 'real', text: '1.5' }, after: { type: 'integer', text: '1152921504606846976' } },
    ],
    ['added', 'C', { after: { D: ['x', true] } }],
  ]);
});

it('what is long is cut and says so, and an answer is bounded whatever the uploads hold', () => {
  const [[, , values] = []] = between({ A: 'x' }, { A: 'y'.repeat(5000) });
  expect(values).toEqual({ before: 'x', after: { type: 'text', begins: 'y'.repeat(2000), length: 5000 } });
  const wide = Array.from({ length: 5000 }, (_, index) => index);
  expect(between({}, { A: wide })).toEqual([['added', 'A', { after: { type: 'array', size: 5000 } }]]);
  const many = Object.fromEntries(wide.slice(0, 1500).map((index) => [`K${index}`, { L: wide.slice(0, 300) }]));
  const { changes, truncated } = diffMobileconfigs(
    upload({ PayloadContent: [payload(1)] }),
    upload({ PayloadContent: [payload(1, many)] }),
  );
  expect([changes.length, truncated]).toEqual([1000, true]);
  expect(JSON.stringify(changes).length).toBeLessThan(200_000);
});

it('the same profile as XML and as a binary list is no difference', () => {
  expect(diffMobileconfigs(upload(), binaryPlist(profile())).changes).toEqual([]);
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EspalierError } from '../../core/errors.ts';
import { newWork, PROFILE_LIMITS, readPlist } from '../../plist/read.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { bplist, doublingBomb, HEAD, plistValues } from './support.ts';

/** Either a value that can be written again or a refusal of ours: never a TypeError, RangeError or hang. */
function readOrRefuse(input: Uint8Array): void {
  const work = newWork();
  try {
    readPlist(input, { ...PROFILE_LIMITS, maxNodes: 5000, work });
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
  }
  expect(work.nodes).toBeLessThanOrEqual(5001);
}

describe('damaged inputs', () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  const damaged = (input: Buffer, changes: readonly [number, number][]): Buffer => {
    const copy = Buffer.from(input);
    for (const [at, value] of changes) copy[at % copy.length] = value;
    return copy;
  };

  test('XML', () => {
    fc.assert(
      fc.property(plistValues(), damage, fc.nat(), (value, changes, cut) => {
        const input = writePlistBytes(value);
        readOrRefuse(damaged(input, changes));
        readOrRefuse(input.subarray(0, cut % input.length));
      }),
      { numRuns: 300 },
    );
  });

  test('binary', () => {
    const inputs = [
      doublingBomb(3),
      bplist({
        objects: [
          [0xd2, 1, 2, 3, 4],
          [0x51, 0x61],
          [0x51, 0x62],
          [0x42, 1, 2],
          [0x62, 0, 97, 0, 98],
        ],
      }),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...inputs), damage, (input, changes) => readOrRefuse(damaged(input, changes))),
      { numRuns: 1000 },
    );
  });

  test('any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
        readOrRefuse(tail);
        readOrRefuse(Buffer.concat([Buffer.from(HEAD), tail]));
        readOrRefuse(Buffer.concat([Buffer.from('bplist00'), tail]));
      }),
      { numRuns: 300 },
    );
  });
});

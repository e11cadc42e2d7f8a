import { EspalierError } from '../core/errors.ts';
import type { Tx } from '../core/tx.ts';
import type { ExpectedPolicy } from '../reconciler/types.ts';
import { expectedPolicies } from './expected-policies.ts';
import { parseMobileconfig } from './parse.ts';

/** Versions kept: some hundred bytes each. A version never changes, so nothing makes an entry wrong. */
const MAX_VERSIONS = 10_000;

/** The upload of a version; undefined where there is none. */
export type OriginalOf = (tx: Tx, versionId: number) => Promise<Buffer | undefined>;

/** What versions force, read once from their uploads. One that cannot be read is not known to force anything. */
export function createPolicyExpectations(original: OriginalOf) {
  const known = new Map<number, readonly ExpectedPolicy[]>();

  async function read(tx: Tx, versionId: number): Promise<readonly ExpectedPolicy[]> {
    const bytes = await original(tx, versionId);
    try {
      return bytes === undefined ? [] : expectedPolicies(parseMobileconfig(bytes));
    } catch (error) {
      if (error instanceof EspalierError) return [];
      throw error;
    }
  }

  return async (tx: Tx, versionIds: readonly number[]): Promise<ReadonlyMap<number, readonly ExpectedPolicy[]>> => {
    const expected = new Map<number, readonly ExpectedPolicy[]>();
    for (const id of versionIds) {
      const policies = known.get(id) ?? (await read(tx, id));
      if (known.size >= MAX_VERSIONS) known.clear();
      known.set(id, policies);
      expected.set(id, policies);
    }
    return expected;
  };
}

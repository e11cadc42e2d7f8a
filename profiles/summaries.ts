import { EspalierError } from '../core/errors.ts';
import type { Tx } from '../core/tx.ts';
import { parseMobileconfig } from './parse.ts';
import type { ProfileStore, VersionSummary } from './ports.ts';
import { summaryOf, targetDeviceTypeOf } from './summary.ts';

/** Notes what was read; answers whether there was anything. In the unit of work of a change, since gates read it too. */
export type NoteOlder = (tx: Tx) => Promise<boolean>;

/** Reads current versions of a team that were stored before their payloads and signer were kept; each only once. */
export function createSummaries(
  store: Pick<ProfileStore, 'unread' | 'original' | 'fill'>,
): (teamId: number) => Promise<NoteOlder> {
  return async (teamId) => {
    const summaries = new Map<number, VersionSummary>();
    for (const { profileId, versionId } of await store.unread(teamId)) {
      const original = await store.original(profileId, versionId);
      if (original !== undefined) summaries.set(versionId, read(original));
    }
    return async (tx) => {
      for (const [versionId, summary] of summaries) await store.fill(tx, versionId, summary);
      return summaries.size > 0;
    };
  };
}

/** What an older version took and this one does not read has nothing to compare: no reason to refuse somebody's upload. */
function read(original: Buffer): VersionSummary {
  try {
    const profile = parseMobileconfig(original);
    return {
      signer: profile.signed?.signer,
      payloads: summaryOf(profile),
      targetDeviceType: targetDeviceTypeOf(profile),
    };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return { signer: undefined, payloads: [], targetDeviceType: undefined };
  }
}

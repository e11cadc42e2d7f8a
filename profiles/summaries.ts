import { EspalierError } from '../core/errors.ts';
import type { UnitOfWork } from '../core/tx.ts';
import { parseMobileconfig } from './parse.ts';
import type { NewVersion, ProfileStore } from './ports.ts';
import { summaryOf } from './summary.ts';

/** Reads current versions of a team that were stored before their payloads and signer were kept; each only once. */
export function createSummaries(deps: {
  readonly store: Pick<ProfileStore, 'unread' | 'original' | 'fill'>;
  readonly unitOfWork: UnitOfWork;
}): (teamId: number) => Promise<void> {
  const { store, unitOfWork } = deps;
  return async (teamId) => {
    for (const { profileId, versionId } of await store.unread(teamId)) {
      const original = await store.original(profileId, versionId);
      if (original !== undefined) await unitOfWork.run((tx) => store.fill(tx, versionId, read(original)));
    }
  };
}

/** What an older version took and this one does not read has nothing to compare: no reason to refuse somebody's upload. */
function read(original: Buffer): Pick<NewVersion, 'signer' | 'payloads'> {
  try {
    const profile = parseMobileconfig(original);
    return { signer: profile.signed?.signer, payloads: summaryOf(profile) };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return { signer: undefined, payloads: [] };
  }
}

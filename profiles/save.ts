import type { Channel } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import { warning } from './finding.ts';
import { type LiveProfile, type ProfileStore, type StoredTargets, slotText } from './ports.ts';
import type { Prepared } from './prepare.ts';
import { targetDeviceTypeOf } from './summary.ts';
import { isSameTargets } from './targets.ts';
import type { Finding } from './types.ts';

export type Aspect = 'content' | 'name' | 'targets';

/** What became of one upload. */
export interface Saved {
  readonly profileId: number;
  readonly versionId: number;
  readonly channel: Channel;
  readonly identifier: string;
  readonly name: string;
  readonly outcome: 'created' | 'updated' | 'moved' | 'unchanged';
  /** What differs from before; empty where there was no before. */
  readonly aspects: readonly Aspect[];
  /** The version that was current before, where it is another. */
  readonly replacesVersionId: number | undefined;
  readonly movedFrom: { readonly profileId: number; readonly channel: Channel } | undefined;
  readonly findings: readonly Finding[];
}

export interface Wanted {
  readonly teamId: number;
  readonly prepared: Prepared;
  readonly name: string;
  readonly targets: StoredTargets;
  /** What holds this place now. */
  readonly live: LiveProfile | undefined;
  /** What holds the same identifier on the other channel and gives way: the PayloadScope was changed. */
  readonly gives: LiveProfile | undefined;
  readonly slots: ReadonlyMap<string, number>;
  readonly by: string;
}

/** Creates the profile, or a version of it, or neither where nothing differs. The team is locked. */
export async function save(store: ProfileStore, tx: Tx, wanted: Wanted, now: Date): Promise<Saved> {
  const { teamId, prepared, name, targets, live, gives, by } = wanted;
  const { channel, identifier, profile, payloads } = prepared;
  const slotId = wanted.slots.get(slotText(prepared)) ?? 0;
  if (gives !== undefined) await store.remove(tx, gives.id, now);
  const movedFrom = gives && { slotId: gives.slotId, profileId: gives.id };
  const profileId = live?.id ?? (await store.insert(tx, { teamId, slotId, name, movedFrom, ...targets }, now));
  const delivery = prepared.delivery(live?.delivery ?? gives?.delivery);
  const { original, displayName, signed } = profile;
  const versionId = await store.version(
    tx,
    profileId,
    {
      ...delivery,
      original,
      displayName,
      signer: signed?.signer,
      payloads,
      targetDeviceType: targetDeviceTypeOf(profile),
      uploadedBy: by,
    },
    now,
  );
  const shared =
    delivery.delivery === 'verbatim' && (await store.sharesWitness(tx, slotId, delivery.witnessUuid, versionId));
  const aspects = live === undefined ? [] : aspectsOf(live, { name, versionId, targets });
  const outcome =
    live === undefined ? (gives === undefined ? 'created' : 'moved') : aspects.length > 0 ? 'updated' : 'unchanged';
  if (outcome !== 'unchanged') {
    await store.update(tx, profileId, { name, versionId, ...targets }, now);
    await store.note(tx, profileId, { change: outcome, by, versionId }, now);
    if (gives !== undefined) await store.note(tx, gives.id, { change: 'moved', by, versionId: gives.versionId }, now);
  }
  return {
    profileId,
    versionId,
    channel,
    identifier,
    name,
    outcome,
    aspects,
    replacesVersionId: live === undefined || live.versionId === versionId ? undefined : live.versionId,
    movedFrom: gives && { profileId: gives.id, channel: gives.channel },
    findings: shared ? [sharedWitness(delivery.witnessUuid)] : [],
  };
}

function aspectsOf(live: LiveProfile, wanted: { name: string; versionId: number; targets: StoredTargets }): Aspect[] {
  return [
    ...(live.versionId === wanted.versionId ? [] : (['content'] as const)),
    ...(live.name === wanted.name ? [] : (['name'] as const)),
    ...(isSameTargets(live, wanted.targets) ? [] : (['targets'] as const)),
  ];
}

export function sharedWitness(uuid: string): Finding {
  const message = `another version has the PayloadUUID ${uuid} too, so no report can tell them apart; give each version its own`;
  return warning('witness_shared', ['PayloadUUID'], message);
}

import type { Channel } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import type { Delivery } from './deliver.ts';
import { warning } from './finding.ts';
import {
  contentText,
  type LiveProfile,
  type NewVersion,
  type ProfileStore,
  type StoredTargets,
  slotText,
} from './ports.ts';
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
  /** Versions the team's profiles have, by `contentText`. */
  readonly contents: ReadonlyMap<string, number>;
  readonly by: string;
}

/** Creates the profile, or a version of it, or neither where nothing differs. The team is locked. */
export async function save(store: ProfileStore, tx: Tx, wanted: Wanted, now: Date): Promise<Saved> {
  const { prepared, name, live, gives } = wanted;
  const { channel, identifier } = prepared;
  const delivery = prepared.delivery(live?.delivery ?? gives?.delivery);
  const slotId = wanted.slots.get(slotText(prepared)) ?? 0;
  const done =
    live === undefined
      ? await create(store, tx, wanted, slotId, delivery, now)
      : await change(store, tx, wanted, live, delivery, now);
  const shared =
    delivery.delivery === 'verbatim' && (await store.sharesWitness(tx, slotId, delivery.witnessUuid, done.versionId));
  return {
    ...done,
    channel,
    identifier,
    name,
    replacesVersionId: live === undefined || live.versionId === done.versionId ? undefined : live.versionId,
    movedFrom: gives && { profileId: gives.id, channel: gives.channel },
    findings: shared ? [sharedWitness(delivery.witnessUuid)] : [],
  };
}

type Done = Pick<Saved, 'profileId' | 'versionId' | 'outcome' | 'aspects'>;

async function create(
  store: ProfileStore,
  tx: Tx,
  { teamId, prepared, name, targets, gives, by }: Wanted,
  slotId: number,
  delivery: Delivery,
  now: Date,
): Promise<Done> {
  const outcome = gives === undefined ? 'created' : 'moved';
  const movedFrom = gives && { slotId: gives.slotId, profileId: gives.id };
  if (gives !== undefined) await store.remove(tx, gives.id, now);
  const profile = { teamId, slotId, name, movedFrom, ...targets };
  const made = await store.create(tx, profile, newVersion(prepared, delivery, by), { change: outcome, by }, now);
  if (gives !== undefined) await store.note(tx, gives.id, { change: 'moved', by, versionId: gives.versionId }, now);
  return { ...made, outcome, aspects: [] };
}

async function change(
  store: ProfileStore,
  tx: Tx,
  { prepared, name, targets, contents, by }: Wanted,
  live: LiveProfile,
  delivery: Delivery,
  now: Date,
): Promise<Done> {
  const versionId =
    contents.get(contentText(live, delivery.contentSha256)) ??
    (await store.addVersion(tx, live.id, newVersion(prepared, delivery, by), now));
  const aspects = aspectsOf(live, { name, versionId, targets });
  if (aspects.length === 0) return { profileId: live.id, versionId, outcome: 'unchanged', aspects };
  await store.update(tx, live.id, { name, versionId, ...targets }, { change: 'updated', by }, now);
  return { profileId: live.id, versionId, outcome: 'updated', aspects };
}

function newVersion({ profile, payloads }: Prepared, delivery: Delivery, by: string): NewVersion {
  return {
    ...delivery,
    original: profile.original,
    displayName: profile.displayName,
    signer: profile.signed?.signer,
    payloads,
    targetDeviceType: targetDeviceTypeOf(profile),
    uploadedBy: by,
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

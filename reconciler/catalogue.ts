import type { Channel } from '../core/enrollment.ts';
import type { MacKey } from '../keys/types.ts';
import { versionFingerprint } from './fingerprint.ts';
import type { CatalogueLabel, CatalogueProfile, CatalogueRows, CatalogueVersion, Fingerprint, Slot } from './types.ts';

export interface IndexedVersion extends CatalogueVersion {
  readonly fingerprint: Fingerprint;
}

/** The catalogue as decisions read it. Immutable; a newer epoch is another one. */
export interface Catalogue {
  readonly epoch: number;
  readonly slots: ReadonlyMap<number, Slot>;
  readonly labels: ReadonlyMap<number, CatalogueLabel>;
  /** By id; versions of one slot with the same content are the first of them. */
  readonly versions: ReadonlyMap<number, IndexedVersion>;
  readonly profiles: readonly CatalogueProfile[];
  /** Slots that live profiles have moved from. */
  readonly movedFrom: ReadonlySet<number>;
  /** Every version a slot ever had, in every team, live or not. */
  versionsOfSlot(slotId: number): readonly IndexedVersion[];
  slotNamed(channel: Channel, identifier: string): Slot | undefined;
  /** Live profiles of a team for one channel, by slot. Only MDM profiles: declarations have their own delivery. */
  profilesOf(teamId: number, channel: Channel): readonly CatalogueProfile[];
  profileInSlot(teamId: number, slotId: number): CatalogueProfile | undefined;
}

export type Digest = MacKey['digest'];

/** `previous` spares the fingerprints already computed: versions are immutable. */
export function indexCatalogue(rows: CatalogueRows, digest: Digest, previous?: Catalogue): Catalogue {
  const slots = new Map(rows.slots.map((slot) => [slot.id, slot]));
  const named = new Map(rows.slots.filter(isProfileSlot).map((slot) => [name(slot.channel, slot.identifier), slot]));
  const versions = new Map<number, IndexedVersion>();
  const bySlot = new Map<number, IndexedVersion[]>();
  // The same content in two teams is one version here: a Mac that moves between them holds already what it should.
  for (const row of rows.versions) {
    if (row.sameAs !== undefined) continue;
    const fingerprint = previous?.versions.get(row.id)?.fingerprint ?? versionFingerprint(digest, row.id);
    const version = { ...row, fingerprint };
    versions.set(row.id, version);
    push(bySlot, row.slotId, version);
  }
  for (const { id, sameAs } of rows.versions) {
    const first = sameAs === undefined ? undefined : versions.get(sameAs);
    if (first !== undefined) versions.set(id, first);
  }
  const profiles = withoutIdleMoves(rows.profiles).map((profile) => ({
    ...profile,
    versionId: versions.get(profile.versionId)?.id ?? profile.versionId,
  }));
  const byTeam = new Map<string, CatalogueProfile[]>();
  const inSlot = new Map<string, CatalogueProfile>();
  for (const profile of [...profiles].sort((one, other) => one.slotId - other.slotId)) {
    const slot = slots.get(profile.slotId);
    if (slot === undefined || !isProfileSlot(slot)) continue;
    push(byTeam, team(profile.teamId, slot.channel), profile);
    inSlot.set(`${profile.teamId} ${profile.slotId}`, profile);
  }
  return {
    epoch: rows.epoch,
    slots,
    labels: new Map(rows.labels.map((label) => [label.id, label])),
    versions,
    profiles,
    movedFrom: new Set(profiles.flatMap(({ movedFromSlotId: from }) => (from === undefined ? [] : [from]))),
    versionsOfSlot: (slotId) => bySlot.get(slotId) ?? [],
    slotNamed: (channel, identifier) => named.get(name(channel, identifier)),
    profilesOf: (teamId, channel) => byTeam.get(team(teamId, channel)) ?? [],
    profileInSlot: (teamId, slotId) => inSlot.get(`${teamId} ${slotId}`),
  };
}

/** A slot that another profile of the team has taken since is not given up: nobody waits for that. */
function withoutIdleMoves(profiles: readonly CatalogueProfile[]): readonly CatalogueProfile[] {
  const taken = new Set(profiles.map(({ teamId, slotId }) => `${teamId} ${slotId}`));
  return profiles.map((profile) => {
    const { teamId, movedFromSlotId } = profile;
    const idle = movedFromSlotId !== undefined && taken.has(`${teamId} ${movedFromSlotId}`);
    return idle ? { ...profile, movedFromSlotId: undefined } : profile;
  });
}

/** The fingerprint of a set of versions. An unknown version cannot be part of one: throws. */
export function fingerprintOf(catalogue: Catalogue, applied: Iterable<number>): Fingerprint {
  let high = 0;
  let low = 0;
  for (const id of applied) {
    const { fingerprint } = versionOf(catalogue, id);
    high ^= fingerprint.high;
    low ^= fingerprint.low;
  }
  return { high, low };
}

/** A version that a row names and the catalogue of that row's own snapshot lacks is a fault of that row. */
export function versionOf(catalogue: Catalogue, id: number): IndexedVersion {
  const version = catalogue.versions.get(id);
  if (version === undefined) throw new RangeError(`version ${id} is not in the catalogue of epoch ${catalogue.epoch}`);
  return version;
}

function isProfileSlot(slot: Slot): boolean {
  return slot.kind === 'mdm';
}

function name(channel: Channel, identifier: string): string {
  return `${channel} ${identifier}`;
}

function team(teamId: number, channel: Channel): string {
  return `${teamId} ${channel}`;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

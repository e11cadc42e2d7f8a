/** Small values for pure tests: one team, one device channel unless said otherwise. */
import { createHmac } from 'node:crypto';
import type { ObservedProfile } from '../../core/effects.ts';
import { type Catalogue, fingerprintOf, indexCatalogue } from '../../reconciler/catalogue.ts';
import { DEFAULT_SETTINGS, type ReconcilerSettings } from '../../reconciler/settings.ts';
import type {
  CatalogueLabel,
  CatalogueProfile,
  CatalogueVersion,
  HostFacts,
  LiveCommand,
  Op,
  ReconRow,
  Slot,
} from '../../reconciler/types.ts';

export const NOW = new Date('2026-03-01T12:00:00Z');
export const MINUTE = 60_000;
export const settings: ReconcilerSettings = { ...DEFAULT_SETTINGS };

export function later(ms: number): Date {
  return new Date(NOW.getTime() + ms);
}

export const digest = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const mac = createHmac('sha256', 'test key');
  for (const part of parts) mac.update(part);
  return mac.digest();
};

export function slot(id: number, more: Partial<Slot> = {}): Slot {
  return { id, kind: 'mdm', channel: 'device', identifier: `com.example.${id}`, ...more };
}

/** Version ids of slot n are n·10, n·10+1, …, so that a failing example can be read. */
export function version(id: number, more: Partial<CatalogueVersion> = {}): CatalogueVersion {
  const slotId = Math.floor(id / 10);
  return { id, profileId: slotId, slotId, witness: witness(id), ...more };
}

export function witness(versionId: number): string {
  return `00000000-0000-8000-8000-${String(versionId).padStart(12, '0')}`;
}

export function profile(slotId: number, more: Partial<CatalogueProfile> = {}): CatalogueProfile {
  return {
    id: slotId,
    teamId: 1,
    slotId,
    name: `Profile ${slotId}`,
    includeMode: 'none',
    includeLabelIds: [],
    excludeLabelIds: [],
    minOs: undefined,
    maxOs: undefined,
    payloadTypes: [],
    targetDeviceType: undefined,
    movedFromSlotId: undefined,
    versionId: slotId * 10,
    ...more,
  };
}

export function label(id: number, epoch = 0): CatalogueLabel {
  return { id, name: `Label ${id}`, epoch };
}

export interface CatalogueParts {
  readonly slots?: readonly Slot[];
  readonly profiles?: readonly CatalogueProfile[];
  readonly versions?: readonly CatalogueVersion[];
  readonly labels?: readonly CatalogueLabel[];
}

/** Slots 1-3 with versions n0, n1 and n2 each, unless given. */
export function catalogueOf(parts: CatalogueParts = {}): Catalogue {
  const slots = parts.slots ?? [slot(1), slot(2), slot(3)];
  return indexCatalogue(
    {
      epoch: 1,
      slots,
      profiles: parts.profiles ?? [],
      versions:
        parts.versions ?? slots.flatMap(({ id }) => [version(id * 10), version(id * 10 + 1), version(id * 10 + 2)]),
      labels: parts.labels ?? [],
    },
    digest,
  );
}

/** A known, enrolled device whose fingerprint fits what it holds. */
export function row(catalogue: Catalogue, more: Partial<ReconRow> = {}): ReconRow {
  const applied = [...(more.applied ?? [])].sort((one, other) => one - other);
  return {
    enrollment: 7,
    enrollmentGeneration: 1,
    teamId: 1,
    channel: 'device',
    platform: 'mac',
    userEnrollment: false,
    mayManageProfiles: true,
    pushable: true,
    osVersion: '15.1',
    labelIds: [],
    labelEpoch: 0,
    unknownLabelIds: [],
    actualKnown: true,
    rev: 100,
    osqueryAt: NOW,
    osqueryState: 'rows',
    profileListAt: undefined,
    observedExtra: [],
    enrollmentProfile: undefined,
    ...more,
    applied,
    fingerprint: fingerprintOf(catalogue, applied),
  };
}

export function op(slotId: number, more: Partial<Op> = {}): Op {
  return {
    slotId,
    op: 'install',
    versionId: slotId * 10,
    generation: 50,
    enrollmentGeneration: 1,
    state: 'queued',
    reason: '',
    errorChain: [],
    deliveryAttempts: 0,
    verifyMisses: 0,
    nextAt: undefined,
    commandUuid: `command-${slotId}`,
    ackedAt: undefined,
    observedUuid: undefined,
    observedAt: undefined,
    createdAt: later(-10 * MINUTE),
    ...more,
  };
}

export function command(uuid: string, more: Partial<LiveCommand> = {}): LiveCommand {
  return {
    uuid,
    state: 'queued',
    deliveries: 0,
    notNowCount: 0,
    queuedAt: later(-10 * MINUTE),
    sentAt: undefined,
    notNowAt: undefined,
    ...more,
  };
}

export function facts(recon: ReconRow, ops: readonly Op[] = [], commands: readonly LiveCommand[] = []): HostFacts {
  return {
    row: recon,
    ops,
    commands: new Map(commands.map((one) => [one.uuid, one])),
    profileListLive: false,
    heldElsewhere: [],
  };
}

export function observed(slotId: number, versionId: number, more: Partial<ObservedProfile> = {}): ObservedProfile {
  return {
    identifier: `com.example.${slotId}`,
    uuid: witness(versionId).toUpperCase(),
    displayName: undefined,
    installedAt: undefined,
    ...more,
  };
}

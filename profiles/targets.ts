import { EspalierError } from '../core/errors.ts';
import { labelNotFound } from '../core/label-not-found.ts';
import type { Tx } from '../core/tx.ts';
import type { ProfileStore, StoredTargets } from './ports.ts';
import type { IncludeMode } from './types.ts';

/** Targets as people write them: labels by name. */
export interface NamedTargets {
  readonly includeMode: IncludeMode;
  readonly includeLabels: readonly string[];
  readonly excludeLabels: readonly string[];
  readonly minOs?: string;
  readonly maxOs?: string;
}

/** A change of targets: what is absent stays, null takes a bound away. */
export interface TargetsPatch {
  readonly includeMode?: IncludeMode;
  readonly includeLabels?: readonly string[];
  readonly excludeLabels?: readonly string[];
  readonly minOs?: string | null;
  readonly maxOs?: string | null;
}

const OS_VERSION = /^\d{1,3}(\.\d{1,3}){0,2}$/;
const MAX_LABELS = 100;

/**
 * Refuses targets that nobody can mean or that nobody can meet; whether the labels exist is for the store to say.
 * Errors: request_malformed.
 */
export function checkTargets(options: NamedTargets): void {
  const named = options.includeLabels.length > 0;
  if ((options.includeMode !== 'none') !== named) {
    throw new EspalierError(
      'request_malformed',
      named
        ? 'labels to include were given without saying any or all'
        : `include ${options.includeMode} needs at least one label`,
    );
  }
  for (const labels of [options.includeLabels, options.excludeLabels]) {
    if (labels.length > MAX_LABELS) throw new EspalierError('request_malformed', `at most ${MAX_LABELS} labels`);
    if (new Set(labels).size < labels.length) throw new EspalierError('request_malformed', 'a label is named twice');
  }
  for (const os of [options.minOs, options.maxOs]) {
    if (os !== undefined && !OS_VERSION.test(os)) {
      throw new EspalierError('request_malformed', `${JSON.stringify(os)} is not a version of macOS like 14 or 14.2.1`);
    }
  }
  if (isEmptyRange(options.minOs, options.maxOs)) {
    throw new EspalierError('request_malformed', `no macOS is at least ${options.minOs} and at most ${options.maxOs}`);
  }
  const excluded = new Set(options.excludeLabels);
  const both = options.includeLabels.find((label) => excluded.has(label));
  if (both !== undefined) {
    throw new EspalierError('request_malformed', `the label ${JSON.stringify(both)} is included and excluded at once`);
  }
}

/** 14 up to 13.6 is nobody; 14.2 up to 14 is not, since 14 holds all of 14.x. */
function isEmptyRange(minOs: string | undefined, maxOs: string | undefined): boolean {
  if (minOs === undefined || maxOs === undefined) return false;
  const [min, max] = [minOs, maxOs].map((version) => version.split('.').map(Number)) as [number[], number[]];
  const at = max.findIndex((part, index) => part !== (min[index] ?? 0));
  return at !== -1 && (min[at] ?? 0) > (max[at] ?? 0);
}

/**
 * Targets with a change applied. Labels without a mode keep the mode, or become `any` where there was none; no labels left,
 * or the mode `none` without labels, is everyone.
 */
export function patched(now: NamedTargets, patch: TargetsPatch): NamedTargets {
  const labels = patch.includeLabels ?? (patch.includeMode === 'none' ? [] : now.includeLabels);
  const wasNone = now.includeMode === 'none' ? 'any' : now.includeMode;
  const mode = patch.includeMode ?? (labels.length === 0 ? 'none' : wasNone);
  const minOs = patch.minOs === undefined ? now.minOs : (patch.minOs ?? undefined);
  const maxOs = patch.maxOs === undefined ? now.maxOs : (patch.maxOs ?? undefined);
  return {
    includeMode: mode,
    includeLabels: labels,
    excludeLabels: patch.excludeLabels ?? now.excludeLabels,
    ...(minOs === undefined ? {} : { minOs }),
    ...(maxOs === undefined ? {} : { maxOs }),
  };
}

/** Names to ids; ids ascend, since their order means nothing. Errors: label_not_found. */
export async function storedTargets(
  store: Pick<ProfileStore, 'labels' | 'labelNames'>,
  tx: Tx,
  named: NamedTargets,
): Promise<StoredTargets> {
  const names = [...named.includeLabels, ...named.excludeLabels];
  const found = new Map((names.length === 0 ? [] : await store.labels(tx, names)).map(({ name, id }) => [name, id]));
  const missing = names.find((name) => !found.has(name));
  if (missing !== undefined) throw labelNotFound(missing, await store.labelNames(tx));
  const ids = (labels: readonly string[]): number[] =>
    labels.flatMap((name) => found.get(name) ?? []).sort((a, b) => a - b);
  return {
    includeMode: named.includeMode,
    includeLabelIds: ids(named.includeLabels),
    excludeLabelIds: ids(named.excludeLabels),
    minOs: named.minOs,
    maxOs: named.maxOs,
  };
}

export function isSameTargets(one: StoredTargets, other: StoredTargets): boolean {
  return (
    one.includeMode === other.includeMode &&
    sorted(one.includeLabelIds).join() === sorted(other.includeLabelIds).join() &&
    sorted(one.excludeLabelIds).join() === sorted(other.excludeLabelIds).join() &&
    one.minOs === other.minOs &&
    one.maxOs === other.maxOs
  );
}

/** The targets of something that has more than targets. */
export function targetsIn({
  includeMode,
  includeLabelIds,
  excludeLabelIds,
  minOs,
  maxOs,
}: StoredTargets): StoredTargets {
  return {
    includeMode,
    includeLabelIds: sorted(includeLabelIds),
    excludeLabelIds: sorted(excludeLabelIds),
    minOs,
    maxOs,
  };
}

function sorted(ids: readonly number[]): number[] {
  return [...ids].sort((a, b) => a - b);
}

import { EspalierError } from '../core/errors.ts';
import type { IncludeMode } from './types.ts';

/** Targets as people write them: labels by name. */
export interface NamedTargets {
  readonly includeMode: IncludeMode;
  readonly includeLabels: readonly string[];
  readonly excludeLabels: readonly string[];
  readonly minOs?: string;
  readonly maxOs?: string;
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

import { createHash } from 'node:crypto';
import type { Observation } from '../core/effects.ts';
import { sameApplied } from './applied.ts';
import { type Catalogue, versionOf } from './catalogue.ts';
import type { ContentEvidence } from './types.ts';

export const NO_CONTENT: ContentEvidence = {
  osBuild: '',
  baselines: new Map(),
  changed: [],
  changedAt: undefined,
  policiesAt: undefined,
  effective: [],
  ineffective: [],
};

type Rows = Extract<Observation, { state: 'rows' }>;

/** Eight octets in hex. A checksum that already is a hash in hex is cut, any other text hashed first. */
export function shortChecksum(checksum: string): string {
  if (/^[0-9a-f]{32,128}$/i.test(checksum)) return checksum.slice(0, 16).toLowerCase();
  return createHash('sha256').update(checksum).digest('hex').slice(0, 16);
}

/**
 * The checksums of a report against the first ones verified on this host for the same version and OS build (design §4).
 * `unsettled` slots wait for a verdict: their checksums prove nothing yet. Undefined = nothing is new, nothing to write.
 */
export function checksumsSeen(
  catalogue: Catalogue,
  before: ContentEvidence | undefined,
  report: Rows,
  applied: readonly number[],
  unsettled: ReadonlySet<number>,
  now: Date,
): ContentEvidence | undefined {
  const known = before ?? NO_CONTENT;
  const seen = checksumsOf(report);
  const osBuild = seen.size === 0 ? '' : (report.osBuild ?? '');
  const firsts = seen.size > 0 && known.osBuild === osBuild ? known.baselines : new Map<number, string>();
  const baselines = new Map<number, string>();
  const changed: number[] = [];
  for (const id of applied) {
    const { slotId, witness } = versionOf(catalogue, id);
    const first = firsts.get(id);
    const checksum = seen.get(key(catalogue.slots.get(slotId)?.identifier ?? '', witness));
    const baseline = first ?? (unsettled.has(slotId) ? undefined : checksum);
    if (baseline !== undefined) baselines.set(id, baseline);
    if (first !== undefined && checksum !== undefined && !unsettled.has(slotId) && checksum !== first) changed.push(id);
  }
  const held = new Set(applied);
  const next: ContentEvidence = {
    osBuild: baselines.size === 0 ? '' : osBuild,
    baselines,
    changed,
    changedAt: changed.length === 0 ? undefined : sameApplied(changed, known.changed) ? known.changedAt : now,
    policiesAt: known.policiesAt,
    effective: known.effective.filter((id) => held.has(id)),
    ineffective: known.ineffective.filter(({ versionId }) => held.has(versionId)),
  };
  return same(known, next) ? undefined : next;
}

export function hasContent(content: ContentEvidence): boolean {
  return content.baselines.size > 0 || content.effective.length > 0 || content.ineffective.length > 0;
}

function checksumsOf({ profiles }: Rows): Map<string, string> {
  const seen = new Map<string, string>();
  for (const { identifier, uuid, checksum } of profiles)
    if (checksum !== undefined) seen.set(key(identifier, uuid.toLowerCase()), shortChecksum(checksum));
  return seen;
}

function key(identifier: string, uuid: string): string {
  return `${uuid} ${identifier}`;
}

function same(one: ContentEvidence, other: ContentEvidence): boolean {
  return (
    one.osBuild === other.osBuild &&
    one.baselines.size === other.baselines.size &&
    [...one.baselines].every(([id, checksum]) => other.baselines.get(id) === checksum) &&
    sameApplied(one.changed, other.changed) &&
    sameApplied(one.effective, other.effective) &&
    one.ineffective.length === other.ineffective.length
  );
}

import type { ObservedPolicy } from '../core/effects.ts';
import type { ContentEvidence, ExpectedPolicy, IneffectiveVersion } from './types.ts';

/** Names kept of one version, and versions of one enrolment that are named at all. */
const MAX_MISSING = 10;
const MAX_VERSIONS = 50;

/**
 * Which of the versions a device holds are in force: every key they force is among its managed policies. Versions that
 * expect nothing are in neither list. Domains compare without case, as the table does; keys with.
 */
export function policiesSeen(
  before: ContentEvidence,
  expected: ReadonlyMap<number, readonly ExpectedPolicy[]>,
  policies: readonly ObservedPolicy[],
  now: Date,
): ContentEvidence {
  const present = new Set(policies.map(({ domain, name }) => `${domain.toLowerCase()} ${name}`));
  const effective: number[] = [];
  const ineffective: IneffectiveVersion[] = [];
  for (const [versionId, all] of expected) {
    if (all.length === 0) continue;
    const missing = all.flatMap(({ domain, keys }) =>
      keys.filter((name) => !present.has(`${domain.toLowerCase()} ${name}`)).map((name) => `${domain} ${name}`),
    );
    if (missing.length === 0) effective.push(versionId);
    else if (ineffective.length < MAX_VERSIONS)
      ineffective.push({
        versionId,
        missing: missing.slice(0, MAX_MISSING),
        more: Math.max(0, missing.length - MAX_MISSING),
      });
  }
  return { ...before, policiesAt: now, effective, ineffective };
}

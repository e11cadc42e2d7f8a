import { agentReports } from './applied.ts';
import type { ReconcilerSettings } from './settings.ts';
import type { ContentEvidence, Op, PairEvidence, ReconRow } from './types.ts';

/** What is known of one slot on one channel. */
export interface PairFacts {
  readonly row: ReconRow;
  readonly identifier: string;
  readonly heldVersionId: number | undefined;
  readonly op: Op | undefined;
  readonly content: ContentEvidence | undefined;
}

type Look = Pick<PairEvidence, 'source' | 'at'>;

/**
 * The best evidence about a pair, from whom and when (design §4). Undefined = no report says anything about it: nobody has
 * looked since the acknowledgement, or nobody ever.
 */
export function pairEvidence(facts: PairFacts, now: Date, settings: ReconcilerSettings): PairEvidence | undefined {
  const { op, row, heldVersionId } = facts;
  if (op !== undefined) return ofUnsettled(op, row);
  const look = lastLook(row);
  if (look === undefined) return undefined;
  if (heldVersionId !== undefined) return ofHeld(facts, heldVersionId, look, now, settings);
  const other = row.observedExtra.some((one) => one.identifier === facts.identifier);
  return { level: other ? 'present' : 'absent', ...look };
}

/**
 * An op remembers what a report showed that did not settle it, until one shows something else: so it holds as of the last
 * look. What was seen before the acknowledgement, or before there was an op, is no evidence about it.
 */
function ofUnsettled(op: Op, row: ReconRow): PairEvidence | undefined {
  const look = lastLook(row);
  if (look === undefined || look.at < (op.observedAt ?? op.createdAt)) return undefined;
  if (op.state === 'acked' && (op.observedAt === undefined || op.observedAt < (op.ackedAt ?? op.observedAt)))
    return undefined;
  if (op.observedUuid === undefined) return { level: 'absent', ...look };
  return { level: op.reason === 'other_content_since' ? 'fresh' : 'present', ...look };
}

/** Contents are known from osquery only: they count while the agent is alive, or where it looked last. */
function ofHeld(
  { row, content }: PairFacts,
  versionId: number,
  look: Look,
  now: Date,
  settings: ReconcilerSettings,
): PairEvidence {
  const version: PairEvidence = { level: 'version', ...look };
  const byAgent = look.source === 'osquery' || agentReports(row, now, settings.agentFreshMs);
  if (content === undefined || !byAgent) return version;
  const { changed, changedAt, baselines, ineffective, policiesAt } = content;
  const osquery: Look = { source: 'osquery', at: row.osqueryAt ?? look.at };
  if (changed.includes(versionId))
    return { ...version, note: `its content changed on the device, seen ${(changedAt ?? osquery.at).toISOString()}` };
  const broken = ineffective.find((one) => one.versionId === versionId);
  if (broken !== undefined) {
    const unchanged = baselines.has(versionId) ? { level: 'unchanged' as const, ...osquery } : version;
    const more = broken.more === 0 ? '' : ` and ${broken.more} more`;
    return { ...unchanged, note: `not in force on the device: ${broken.missing.join(', ')}${more}` };
  }
  if (content.effective.includes(versionId))
    return { level: 'effective', source: 'osquery', at: policiesAt ?? osquery.at };
  return baselines.has(versionId) ? { level: 'unchanged', ...osquery } : version;
}

function lastLook({ osqueryAt, profileListAt }: ReconRow): Look | undefined {
  const agent = osqueryAt?.getTime() ?? 0;
  const device = profileListAt?.getTime() ?? 0;
  if (osqueryAt !== undefined && agent >= device) return { source: 'osquery', at: osqueryAt };
  return profileListAt === undefined ? undefined : { source: 'ProfileList', at: profileListAt };
}

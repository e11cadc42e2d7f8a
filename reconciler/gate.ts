import { barredByKind, type KindEvidence } from './kind.ts';
import type { CatalogueLabel, CatalogueProfile, GateSubject, WaitingReason } from './types.ts';

/** Kleene's three values. Unknown keeps the present state, in every mode (design §4). */
export type GateValue = 'yes' | 'no' | 'unknown';

/** Why a label's membership is not known for a host. */
type UnknownCause = 'not_evaluated' | 'query_error' | 'label_missing';

export type GateEvidence =
  | {
      readonly kind: 'label';
      readonly role: 'include' | 'exclude';
      readonly labelId: number;
      readonly member: GateValue;
      readonly cause: UnknownCause | undefined;
    }
  | {
      readonly kind: 'os';
      readonly osVersion: string;
      readonly minOs: string | undefined;
      readonly maxOs: string | undefined;
      readonly fits: GateValue;
    }
  | KindEvidence;

export interface GateVerdict {
  readonly value: GateValue;
  /** What the host waits for where the answer is not yes; undefined where it is simply not meant. */
  readonly hold: Extract<WaitingReason, 'label_unknown' | 'os_gate' | 'enrollment_kind_forbids'> | undefined;
  /** Only what decided: the label that excluded, the ones still unknown, the ones that let it in. */
  readonly decidedBy: readonly GateEvidence[];
}

type Labels = ReadonlyMap<number, CatalogueLabel>;
type LabelEvidence = Extract<GateEvidence, { kind: 'label' }>;

/** Should this enrolment have this profile of its team, and what decided. Exclusion wins over inclusion. */
export function judge(profile: CatalogueProfile, subject: GateSubject, labels: Labels): GateVerdict {
  const included = include(profile, subject, labels);
  if (included.value === 'no') return { ...included, hold: undefined };
  const excluded = exclude(profile, subject, labels);
  if (excluded.value === 'no') return { ...excluded, hold: undefined };
  const kind = barredByKind(profile, subject);
  if (kind !== undefined)
    return {
      value: 'no',
      hold: kind.kind === 'platform' ? 'os_gate' : 'enrollment_kind_forbids',
      decidedBy: [kind],
    };
  const os = osEvidence(profile, subject);
  if (os.fits === 'no') return { value: 'no', hold: 'os_gate', decidedBy: [os] };
  const unknown = [included, excluded].filter((part) => part.value === 'unknown').flatMap((part) => part.decidedBy);
  if (unknown.length > 0) return { value: 'unknown', hold: 'label_unknown', decidedBy: unknown };
  if (os.fits === 'unknown') return { value: 'unknown', hold: 'os_gate', decidedBy: [os] };
  return { value: 'yes', hold: undefined, decidedBy: [...included.decidedBy, ...excluded.decidedBy] };
}

/** A label is known for a host iff label.epoch <= label_epoch and its query did not fail there (design §4). */
export function membership(
  labelId: number,
  subject: GateSubject,
  labels: Labels,
): Pick<LabelEvidence, 'member' | 'cause'> {
  const label = labels.get(labelId);
  if (label === undefined) return { member: 'unknown', cause: 'label_missing' };
  if (subject.unknownLabelIds.includes(labelId)) return { member: 'unknown', cause: 'query_error' };
  if (label.epoch > subject.labelEpoch) return { member: 'unknown', cause: 'not_evaluated' };
  return { member: subject.labelIds.includes(labelId) ? 'yes' : 'no', cause: undefined };
}

/** 14.6 fits a maximum of 14: only the components the bound names are compared. '' or text = not known. */
export function osFits(osVersion: string, minOs: string | undefined, maxOs: string | undefined): GateValue {
  if (minOs === undefined && maxOs === undefined) return 'yes';
  const os = components(osVersion);
  if (os === undefined) return 'unknown';
  const min = components(minOs ?? '');
  const max = components(maxOs ?? '');
  if (min !== undefined && compare(os, min) < 0) return 'no';
  return max !== undefined && compare(os.slice(0, max.length), max) > 0 ? 'no' : 'yes';
}

interface Part {
  readonly value: GateValue;
  readonly decidedBy: readonly LabelEvidence[];
}

/** An empty any or all names nobody: a list that lost its labels must not mean everybody. */
function include(profile: CatalogueProfile, subject: GateSubject, labels: Labels): Part {
  if (profile.includeMode === 'none') return { value: 'yes', decidedBy: [] };
  const evidence = evidenceOf('include', profile.includeLabelIds, subject, labels);
  const [deciding, otherwise] = profile.includeMode === 'any' ? (['yes', 'no'] as const) : (['no', 'yes'] as const);
  if (evidence.length === 0) return { value: 'no', decidedBy: [] };
  return strongest(evidence, deciding, otherwise);
}

function exclude(profile: CatalogueProfile, subject: GateSubject, labels: Labels): Part {
  const evidence = evidenceOf('exclude', profile.excludeLabelIds, subject, labels);
  const part = strongest(evidence, 'yes', 'no');
  return { value: negate(part.value), decidedBy: part.decidedBy };
}

/** Kleene's OR (deciding = yes) or AND (deciding = no): one deciding label ends it, else one unknown leaves it open. */
function strongest(evidence: readonly LabelEvidence[], deciding: GateValue, otherwise: GateValue): Part {
  for (const value of [deciding, 'unknown'] as const) {
    const decidedBy = evidence.filter((one) => one.member === value);
    if (decidedBy.length > 0) return { value, decidedBy };
  }
  return { value: otherwise, decidedBy: evidence };
}

function evidenceOf(
  role: 'include' | 'exclude',
  ids: readonly number[],
  subject: GateSubject,
  labels: Labels,
): LabelEvidence[] {
  return ids.map((labelId) => ({ kind: 'label', role, labelId, ...membership(labelId, subject, labels) }));
}

function osEvidence(profile: CatalogueProfile, subject: GateSubject): Extract<GateEvidence, { kind: 'os' }> {
  const { osVersion } = subject;
  const { minOs, maxOs } = profile;
  return { kind: 'os', osVersion, minOs, maxOs, fits: osFits(osVersion, minOs, maxOs) };
}

function negate(value: GateValue): GateValue {
  return value === 'unknown' ? 'unknown' : value === 'yes' ? 'no' : 'yes';
}

function components(version: string): number[] | undefined {
  return /^\d+(\.\d+)*$/.test(version) ? version.split('.').map(Number) : undefined;
}

function compare(one: readonly number[], other: readonly number[]): number {
  for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

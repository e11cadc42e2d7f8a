import type { LabelAnswer } from '../core/effects.ts';
import type { AnsweredLabels, DynamicLabel, LabelEvidence, LabelsDecided } from './types.ts';

/** One label on one host. */
export interface LabelStanding {
  readonly member: boolean;
  readonly unknown: boolean;
  readonly noes: number;
}

type Answer = LabelAnswer['answer'] | 'missing';

/**
 * Total over answer × standing. Joining is at once, leaving wants `confirmNo` noes in a row, and what is neither yes nor
 * no is unknown and keeps the member. `trusted` is false where the membership was found by an earlier query or an
 * earlier life of the host: then a first "no" does not make it a known member either.
 */
export function standingAfter(
  before: LabelStanding & { readonly trusted: boolean },
  answer: Answer,
  confirmNo: number,
): LabelStanding {
  switch (answer) {
    case 'yes':
      return { member: true, unknown: false, noes: 0 };
    case 'no': {
      const noes = (before.trusted ? before.noes : 0) + 1;
      if (!before.member || noes >= confirmNo) return { member: false, unknown: false, noes: 0 };
      return { member: true, unknown: before.unknown || !before.trusted, noes };
    }
    case 'error':
    case 'missing':
      return { member: before.member, unknown: true, noes: 0 };
  }
}

/** What a report does to the labels of its host. An answer to a query that has been edited since counts for nothing. */
export function decideLabels(
  labels: readonly DynamicLabel[],
  before: LabelEvidence,
  report: AnsweredLabels,
  confirmNo: number,
): LabelsDecided {
  if (before.askedAt !== undefined && report.askedAt <= before.askedAt) return { kind: 'stale' };
  const answers = new Map(report.answers.map((one) => [one.labelId, one]));
  const members = new Set(before.members);
  const unknown = new Set(before.unknown);
  const leaving = new Map(before.leaving);
  const errors = new Map(before.errors);
  let labelEpoch = before.labelEpoch;

  for (const { id, epoch } of labels) {
    if (epoch > report.epoch) continue;
    labelEpoch = Math.max(labelEpoch, epoch);
    const given = answers.get(id);
    const answer = given?.answer ?? 'missing';
    const after = standingAfter(
      {
        member: before.members.has(id),
        unknown: before.unknown.has(id),
        noes: before.leaving.get(id) ?? 0,
        trusted: epoch <= before.labelEpoch,
      },
      answer,
      confirmNo,
    );
    put(members, id, after.member);
    put(unknown, id, after.unknown);
    if (after.noes > 0) leaving.set(id, after.noes);
    else leaving.delete(id);
    if (answer === 'error' || answer === 'missing') errors.set(id, given?.message ?? NO_ANSWER);
    else errors.delete(id);
  }

  const joins = [...members].filter((id) => !before.members.has(id));
  const leaves = [...before.members].filter((id) => !members.has(id));
  const gateChanged =
    joins.length + leaves.length > 0 || labelEpoch !== before.labelEpoch || !sameKeys(unknown, before.unknown);
  if (!gateChanged && sameEntries(leaving, before.leaving) && sameEntries(errors, before.errors)) {
    return { kind: 'same' };
  }
  const evidence = { labelEpoch, members, unknown, leaving, errors, askedAt: report.askedAt };
  return { kind: 'changed', evidence, joins, leaves, gateChanged };
}

const NO_ANSWER = 'the answer did not come with the report';

function put(set: Set<number>, id: number, isIn: boolean): void {
  if (isIn) set.add(id);
  else set.delete(id);
}

function sameKeys(one: ReadonlySet<number>, other: ReadonlySet<number>): boolean {
  return one.size === other.size && [...one].every((id) => other.has(id));
}

function sameEntries<T>(one: ReadonlyMap<number, T>, other: ReadonlyMap<number, T>): boolean {
  return one.size === other.size && [...one].every(([id, value]) => other.get(id) === value);
}

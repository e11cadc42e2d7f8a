import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LabelAnswer } from '../../core/effects.ts';
import { decideLabels, type LabelStanding, standingAfter } from '../../hosts/label-answers.ts';
import type { AnsweredLabels, LabelEvidence, LabelsDecided } from '../../hosts/types.ts';

const AT = new Date('2026-03-01T12:00:00Z');
const later = (seconds: number) => new Date(AT.getTime() + seconds * 1000);

function evidence(more: Partial<LabelEvidence> = {}): LabelEvidence {
  return {
    labelEpoch: 0,
    members: new Set(),
    unknown: new Set(),
    leaving: new Map(),
    errors: new Map(),
    askedAt: undefined,
    ...more,
  };
}
const report = (epoch: number, answers: readonly LabelAnswer[], askedAt = later(10)): AnsweredLabels => ({
  epoch,
  askedAt,
  answers,
});
const said = (answer: LabelAnswer['answer'], labelId = 1): LabelAnswer => ({
  labelId,
  answer,
  ...(answer === 'error' ? { message: 'no such table: apps' } : {}),
});
function changed(decided: LabelsDecided): Extract<LabelsDecided, { kind: 'changed' }> {
  if (decided.kind !== 'changed') throw new Error(`decided ${decided.kind}`);
  return decided;
}

describe('one label on one host', () => {
  const stranger = { member: false, unknown: false, noes: 0 };
  const member = { member: true, unknown: false, noes: 0 };
  const leaving = { member: true, unknown: false, noes: 1 };
  const open = { member: true, unknown: true, noes: 0 };
  const outside = { member: false, unknown: true, noes: 0 };

  it.each<[string, LabelStanding, boolean, 'yes' | 'no' | 'error' | 'missing', LabelStanding]>([
    ['a stranger says yes: joins at once', stranger, true, 'yes', member],
    ['a stranger says no', stranger, true, 'no', stranger],
    ['a stranger whose query fails is unknown', stranger, true, 'error', outside],
    ['a stranger without an answer is unknown', stranger, true, 'missing', outside],
    ['a member says yes', member, true, 'yes', member],
    ['a member says no for the first time: stays, and is asked again', member, true, 'no', leaving],
    ['a member whose query fails stays and is unknown', member, true, 'error', open],
    ['a member without an answer stays and is unknown', member, true, 'missing', open],
    ['a member says no for the second time: leaves', leaving, true, 'no', stranger],
    ['one about to leave says yes: stays, and the count begins anew', leaving, true, 'yes', member],
    ['one about to leave whose query fails: the count begins anew', leaving, true, 'error', open],
    ['an unknown member says yes', open, true, 'yes', member],
    ['an unknown member says no: unknown until that is confirmed', open, true, 'no', { ...open, noes: 1 }],
    ['an unknown member that has said no once, and says it again', { ...open, noes: 1 }, true, 'no', stranger],
    ['an unknown stranger says no', outside, true, 'no', stranger],
    ['a member by an earlier query says no: not a known member, nor gone', member, false, 'no', { ...open, noes: 1 }],
    ['noes to an earlier query do not count', leaving, false, 'no', { ...open, noes: 1 }],
    ['a member by an earlier query says yes', member, false, 'yes', member],
    ['a stranger by an earlier query says no', stranger, false, 'no', stranger],
  ])('%s', (_what, before, trusted, answer, after) => {
    expect(standingAfter({ ...before, trusted }, answer, 2)).toEqual(after);
  });

  it('with a setting of one, the first no is enough', () => {
    expect(standingAfter({ ...member, trusted: true }, 'no', 1)).toEqual(stranger);
    expect(standingAfter({ ...member, trusted: false }, 'no', 1)).toEqual(stranger);
  });

  it('whatever was said before, only yes makes a known member, and it takes so many noes in a row to end one', () => {
    const answer = fc.constantFrom('yes', 'no', 'error', 'missing');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(answer, fc.boolean()), { maxLength: 20 }),
        fc.integer({ min: 1, max: 4 }),
        (answers, confirm) => {
          let standing: LabelStanding = stranger;
          let noes = 0;
          let wasYes = false;
          for (const [one, trusted] of answers) {
            const before = standing;
            standing = standingAfter({ ...standing, trusted }, one as 'yes', confirm);
            noes = one === 'no' ? (trusted ? noes : 0) + 1 : 0;
            if (one === 'yes') wasYes = true;
            if (one === 'error' || one === 'missing') {
              expect(standing).toEqual({ member: before.member, unknown: true, noes: 0 });
            }
            if (before.member && !standing.member) expect(noes).toBeGreaterThanOrEqual(confirm);
            if (standing.member) expect(wasYes).toBe(true);
            if (!standing.member && !standing.unknown) expect(one).toBe('no');
            expect(standing.noes).toBeLessThan(confirm);
          }
        },
      ),
    );
  });
});

describe('a report about all labels', () => {
  const one = [{ id: 1, epoch: 5 }];

  it('the first answers make the labels of that list known, and a label that is missing in them unknown', () => {
    const labels = [
      { id: 1, epoch: 5 },
      { id: 2, epoch: 6 },
      { id: 3, epoch: 7 },
    ];
    const decided = changed(decideLabels(labels, evidence(), report(7, [said('yes', 1), said('no', 2)]), 2));
    expect(decided).toMatchObject({ joins: [1], leaves: [], gateChanged: true });
    expect(decided.evidence).toMatchObject({ labelEpoch: 7, members: new Set([1]), unknown: new Set([3]) });
    expect(decided.evidence.errors.get(3)).toMatch(/did not come/);
  });

  it('an answer to a query that has been edited since counts for nothing: the label stays unknown by its epoch', () => {
    expect(decideLabels([{ id: 1, epoch: 8 }], evidence(), report(7, [said('yes')]), 2)).toEqual({ kind: 'same' });
    const member = evidence({ labelEpoch: 5, members: new Set([1]) });
    expect(decideLabels([{ id: 1, epoch: 8 }], member, report(7, [said('no')]), 1)).toEqual({ kind: 'same' });
  });

  it('answers for labels that nobody asked, or that are of another kind, change nothing', () => {
    const before = evidence({ labelEpoch: 5, members: new Set([9]), unknown: new Set([8]) });
    const answers = [said('no', 1), said('no', 9), said('yes', 8), said('yes', 77)];
    expect(decideLabels(one, before, report(5, answers), 1)).toEqual({ kind: 'same' });
  });

  it('the same report twice counts once, and one that a newer has overtaken not at all', () => {
    const member = evidence({ labelEpoch: 5, members: new Set([1]) });
    const first = changed(decideLabels(one, member, report(5, [said('no')], later(1)), 2));
    expect(first).toMatchObject({ joins: [], leaves: [], gateChanged: false });
    expect(decideLabels(one, first.evidence, report(5, [said('no')], later(1)), 2)).toEqual({ kind: 'stale' });
    expect(decideLabels(one, first.evidence, report(5, [said('no')], later(0)), 2)).toEqual({ kind: 'stale' });
    expect(changed(decideLabels(one, first.evidence, report(5, [said('no')], later(2)), 2)).leaves).toEqual([1]);
  });

  it('keeps what the query failed with until it answers', () => {
    const failed = changed(decideLabels(one, evidence({ labelEpoch: 5 }), report(5, [said('error')]), 2));
    expect([...failed.evidence.errors]).toEqual([[1, 'no such table: apps']]);
    const well = changed(decideLabels(one, failed.evidence, report(5, [said('no')], later(20)), 2));
    expect([...well.evidence.errors]).toEqual([]);
    expect(well.evidence.unknown.size).toBe(0);
  });

  it('random reports: what is not of the list keeps its place; known labels are members or not; repeated ones are the same', () => {
    const ids = fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 6 });
    const labels = fc.uniqueArray(
      fc.record({ id: fc.integer({ min: 1, max: 8 }), epoch: fc.integer({ min: 1, max: 9 }) }),
      { selector: (label) => label.id, maxLength: 8 },
    );
    const answers = fc.uniqueArray(
      fc.record({
        labelId: fc.integer({ min: 1, max: 10 }),
        answer: fc.constantFrom<LabelAnswer['answer']>('yes', 'no', 'error'),
      }),
      { selector: (answer) => answer.labelId },
    );
    fc.assert(
      fc.property(
        labels,
        ids,
        ids,
        answers,
        fc.integer({ min: 0, max: 9 }),
        fc.integer({ min: 0, max: 9 }),
        (list, members, unknown, given, known, asked) => {
          const before = evidence({ labelEpoch: known, members: new Set(members), unknown: new Set(unknown) });
          const decided = decideLabels(list, before, report(asked, given), 2);
          const after = decided.kind === 'changed' ? decided.evidence : before;
          const covered = new Set(list.filter(({ epoch }) => epoch <= asked).map(({ id }) => id));
          for (let id = 1; id <= 10; id += 1) {
            if (!covered.has(id)) {
              expect([after.members.has(id), after.unknown.has(id)]).toEqual([
                before.members.has(id),
                before.unknown.has(id),
              ]);
            }
            const answer = given.find(({ labelId }) => labelId === id)?.answer;
            if (covered.has(id) && answer === 'yes') expect(after.members.has(id) && !after.unknown.has(id)).toBe(true);
            if (covered.has(id) && (answer === 'error' || answer === undefined)) {
              expect([after.unknown.has(id), after.members.has(id)]).toEqual([true, before.members.has(id)]);
            }
          }
          expect(after.labelEpoch).toBeGreaterThanOrEqual(before.labelEpoch);
          if (decided.kind === 'changed') {
            expect(decideLabels(list, after, report(asked, given), 2)).toEqual({ kind: 'stale' });
          }
        },
      ),
    );
  });
});

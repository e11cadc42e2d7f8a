import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EspalierError } from '../../core/errors.ts';
import type { HostFacts, Membership, VitalsRule } from '../../hosts/types.ts';
import { checkedCriteria, judgeVitals, missingFacts } from '../../hosts/vitals.ts';

const FACTS: HostFacts = {
  os_version: '14.2.1',
  build_version: '23C71',
  model: 'Mac15,6',
  product_name: 'MacBook Pro',
  name: 'Ada’s Mac',
  serial_number: 'C02ABC123',
};
const all = (...rules: VitalsRule[]) => ({ match: 'all' as const, rules });

describe('a rule', () => {
  it.each<[VitalsRule, Membership]>([
    [{ field: 'os_version', op: 'is', value: '14.2.1' }, 'yes'],
    [{ field: 'os_version', op: 'is', value: '14.2.1.0' }, 'yes'],
    [{ field: 'os_version', op: 'is', value: '14.2' }, 'no'],
    [{ field: 'os_version', op: 'is_not', value: '14.2' }, 'yes'],
    [{ field: 'os_version', op: 'at_least', value: '14' }, 'yes'],
    [{ field: 'os_version', op: 'at_least', value: '14.2.1' }, 'yes'],
    [{ field: 'os_version', op: 'at_least', value: '14.10' }, 'no'],
    [{ field: 'os_version', op: 'at_most', value: '14' }, 'yes'],
    [{ field: 'os_version', op: 'at_most', value: '14.2.0' }, 'no'],
    [{ field: 'os_version', op: 'at_most', value: '13' }, 'no'],
    [{ field: 'os_version', op: 'starts_with', value: '14.' }, 'yes'],
    [{ field: 'os_version', op: 'one_of', value: ['13.1', '14.2.1.0'] }, 'yes'],
    [{ field: 'model', op: 'is', value: 'mac15,6' }, 'yes'],
    [{ field: 'model', op: 'one_of', value: ['Mac14,2', 'Mac15,6'] }, 'yes'],
    [{ field: 'model', op: 'one_of', value: ['Mac14,2'] }, 'no'],
    [{ field: 'name', op: 'contains', value: 'ada' }, 'yes'],
    [{ field: 'serial_number', op: 'starts_with', value: 'c02' }, 'yes'],
    [{ field: 'serial_number', op: 'is_not', value: 'C02ABC123' }, 'no'],
    [{ field: 'build_version', op: 'contains', value: 'Z' }, 'no'],
  ])('%j: %s', (rule, verdict) => {
    expect(judgeVitals(all(rule), FACTS)).toBe(verdict);
  });

  it('a fact that has not been reported is unknown, whatever is asked of it', () => {
    for (const op of ['is', 'is_not', 'starts_with', 'contains'] as const) {
      expect(judgeVitals(all({ field: 'product_name', op, value: 'x' }), { ...FACTS, product_name: '' })).toBe(
        'unknown',
      );
    }
    expect(judgeVitals(all({ field: 'os_version', op: 'at_least', value: '1' }), { ...FACTS, os_version: '' })).toBe(
      'unknown',
    );
  });

  it('a version of another shape cannot be compared', () => {
    const rule = { field: 'os_version', op: 'at_most', value: '14' } as const;
    expect(judgeVitals(all(rule), { ...FACTS, os_version: '14.2.1 (a)' })).toBe('unknown');
  });
});

describe('criteria', () => {
  it('all and any are Kleene’s and and or over their rules', () => {
    const rule = (verdict: Membership): VitalsRule =>
      verdict === 'unknown'
        ? { field: 'product_name', op: 'is', value: 'x' }
        : { field: 'model', op: verdict === 'yes' ? 'is' : 'is_not', value: 'Mac15,6' };
    const facts = { ...FACTS, product_name: '' };
    const rank = { no: 0, unknown: 1, yes: 2 };
    const verdicts = fc.array(fc.constantFrom<Membership>('yes', 'no', 'unknown'), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(verdicts, (list) => {
        const ranks = list.map((verdict) => rank[verdict]);
        const rules = list.map(rule);
        expect(rank[judgeVitals({ match: 'all', rules }, facts)]).toBe(Math.min(...ranks));
        expect(rank[judgeVitals({ match: 'any', rules }, facts)]).toBe(Math.max(...ranks));
      }),
    );
  });

  it('names the facts that are missing, once each', () => {
    const rules: VitalsRule[] = [
      { field: 'os_version', op: 'is', value: '14' },
      { field: 'os_version', op: 'is', value: '15' },
      { field: 'model', op: 'is', value: 'x' },
    ];
    expect(missingFacts({ match: 'any', rules }, { ...FACTS, os_version: '' })).toEqual(['os_version']);
  });

  it('match is all unless said otherwise', () => {
    expect(checkedCriteria({ rules: [{ field: 'name', op: 'is', value: ' x ' }] })).toEqual({
      match: 'all',
      rules: [{ field: 'name', op: 'is', value: 'x' }],
    });
  });

  it.each<[unknown, string]>([
    [{ rules: [] }, 'criteria.rules'],
    [{}, 'criteria.rules'],
    [[], 'criteria'],
    [null, 'criteria'],
    [{ match: 'some', rules: [] }, 'criteria.match'],
    [{ rules: [{ field: 'os_version', op: 'at_least', value: 'x' }] }, 'criteria.rules.0.value'],
    [{ rules: [{ field: 'name', op: 'at_least', value: '14' }] }, 'criteria.rules.0.field'],
    [{ rules: [{ field: 'udid', op: 'is', value: 'x' }] }, 'criteria.rules.0.field'],
    [{ rules: [{ field: 'name', op: 'like', value: 'x' }] }, 'criteria.rules.0.op'],
    [{ rules: [{ field: 'name', op: 'is', value: ' ' }] }, 'criteria.rules.0.value'],
    [{ rules: [{ field: 'name', op: 'is', value: 5 }] }, 'criteria.rules.0.value'],
    [{ rules: [{ field: 'name', op: 'one_of', value: 'x' }] }, 'criteria.rules.0.value'],
    [{ rules: [{ field: 'name', op: 'one_of', value: [] }] }, 'criteria.rules.0.value'],
    [{ rules: [{ field: 'name', op: 'is', value: 'x', not: true }] }, 'criteria.rules.0'],
    [{ rules: Array(21).fill({ field: 'name', op: 'is', value: 'x' }) }, 'criteria.rules'],
  ])('%j is refused at %s', (value, path) => {
    try {
      checkedCriteria(value);
    } catch (error) {
      expect(error).toBeInstanceOf(EspalierError);
      expect(error).toMatchObject({ code: 'request_malformed', place: { path } });
      expect((error as EspalierError).message).toContain(path);
      return;
    }
    throw new Error('it passed');
  });

  it('every faulty rule is named, an unknown field before what its op says of it', () => {
    const rules = [
      { field: 'os_versoin', op: 'at_least', value: '14' },
      { field: 'name', op: 'is', value: 'x' },
      { field: 'model', op: 'at_least', value: '14' },
    ];
    expect(() => checkedCriteria({ rules })).toThrow(
      expect.objectContaining({
        place: { path: 'criteria.rules.0.field' },
        message: `criteria.rules.0.field: "os_versoin" is not a field of a host; the fields are os_version, build_version, model, product_name, name, serial_number; criteria.rules.2.field: only os_version can be compared with at_least and at_most`,
      }),
    );
  });
});

import { z } from 'zod';
import { EspalierError } from '../core/errors.ts';
import type { HostFacts, Membership, VitalsCriteria, VitalsRule } from './types.ts';

const FIELDS = ['os_version', 'build_version', 'model', 'product_name', 'name', 'serial_number'] as const;
const VERSION = /^\d{1,9}(\.\d{1,9}){0,4}$/;
const MAX_RULES = 20;
const MAX_VALUES = 1000;

const text = z.string().trim().min(1, 'is empty').max(255, 'has more than 255 characters');
const version = z.string().regex(VERSION, 'must be a version like 14 or 14.2.1');
const field = z.enum(FIELDS);

const Rule = z.discriminatedUnion('op', [
  z.strictObject({ field, op: z.enum(['is', 'is_not', 'starts_with', 'contains']), value: text }),
  z.strictObject({
    field: z.literal('os_version', { error: 'only os_version can be compared with at_least and at_most' }),
    op: z.enum(['at_least', 'at_most']),
    value: version,
  }),
  z.strictObject({ field, op: z.literal('one_of'), value: z.array(text).min(1, 'is empty').max(MAX_VALUES) }),
]);
const Criteria = z.strictObject({
  match: z.enum(['all', 'any']).default('all'),
  rules: z.array(Rule).min(1, 'at least one rule is needed').max(MAX_RULES, `at most ${MAX_RULES} rules`),
});

/** Errors: request_malformed, naming the rule and its field. */
export function checkedCriteria(value: unknown): VitalsCriteria {
  const result = Criteria.safeParse(value);
  if (result.success) return result.data;
  const faults = faultsOf(value, result.error.issues);
  const first = faults[0]?.path ?? 'criteria';
  throw new EspalierError('request_malformed', faults.map(({ path, message }) => `${path}: ${message}`).join('; '), {
    place: { path: first },
    fix: `A rule is {"field", "op", "value"}: field one of ${FIELDS.join(', ')}; op is, is_not, starts_with, contains or one_of, and for os_version at_least and at_most too.`,
  });
}

interface Fault {
  readonly path: string;
  readonly message: string;
}

/** Every faulty rule, in order. A field that nobody knows is named as that, whatever its op would say of it. */
function faultsOf(value: unknown, issues: readonly z.core.$ZodIssue[]): readonly Fault[] {
  const unknown = new Map<number, Fault>();
  const read = z.object({ rules: z.array(z.unknown()) }).safeParse(value);
  for (const [index, rule] of (read.success ? read.data.rules.slice(0, MAX_RULES) : []).entries()) {
    const named = z.object({ field: z.unknown() }).safeParse(rule);
    const name = named.success ? named.data.field : undefined;
    if (typeof name !== 'string' || field.safeParse(name).success) continue;
    const shown = JSON.stringify(name.slice(0, 100).toWellFormed());
    const message = `${shown} is not a field of a host; the fields are ${FIELDS.join(', ')}`;
    unknown.set(index, { path: `criteria.rules.${index}.field`, message });
  }
  const others = issues.flatMap(({ path, message }): (Fault & { readonly rule: number })[] => {
    const rule = path[0] === 'rules' && typeof path[1] === 'number' ? path[1] : -1;
    return unknown.has(rule) ? [] : [{ rule, path: ['criteria', ...path].join('.'), message }];
  });
  const all = [...[...unknown].map(([rule, fault]) => ({ ...fault, rule })), ...others];
  return all.sort((a, b) => a.rule - b.rule).slice(0, MAX_RULES);
}

/** Is the host meant. A rule about a fact that the host has not reported is unknown (Kleene's all and any). */
export function judgeVitals(criteria: VitalsCriteria, facts: HostFacts): Membership {
  const verdicts = criteria.rules.map((rule) => judgeRule(rule, facts[rule.field]));
  const [deciding, otherwise] = criteria.match === 'all' ? (['no', 'yes'] as const) : (['yes', 'no'] as const);
  if (verdicts.includes(deciding)) return deciding;
  return verdicts.includes('unknown') ? 'unknown' : otherwise;
}

/** The facts a host has not reported, of those that these criteria read. */
export function missingFacts(criteria: VitalsCriteria, facts: HostFacts): readonly string[] {
  return [...new Set(criteria.rules.map((rule) => rule.field))].filter((name) => facts[name] === '');
}

function judgeRule(rule: VitalsRule, fact: string): Membership {
  if (fact === '') return 'unknown';
  switch (rule.op) {
    case 'is':
      return said(same(rule.field, fact, rule.value));
    case 'is_not':
      return said(!same(rule.field, fact, rule.value));
    case 'starts_with':
      return said(folded(fact).startsWith(folded(rule.value)));
    case 'contains':
      return said(folded(fact).includes(folded(rule.value)));
    case 'one_of':
      return said(rule.value.some((value) => same(rule.field, fact, value)));
    case 'at_least':
    case 'at_most':
      return compared(rule, fact);
  }
}

/** At most 14 holds all of 14.x, as a profile's max_os does: only the components that the bound names count. */
function compared({ op, value }: Extract<VitalsRule, { op: 'at_least' | 'at_most' }>, fact: string): Membership {
  const [has, bound] = [components(fact), components(value)];
  if (has === undefined || bound === undefined) return 'unknown';
  return said(op === 'at_least' ? order(has, bound) >= 0 : order(has.slice(0, bound.length), bound) <= 0);
}

/** 14.2 is 14.2.0; a text is the same in either spelling. */
function same(name: VitalsRule['field'], fact: string, value: string): boolean {
  const [one, other] = name === 'os_version' ? [components(fact), components(value)] : [];
  return one !== undefined && other !== undefined ? order(one, other) === 0 : folded(fact) === folded(value);
}

function said(holds: boolean): Membership {
  return holds ? 'yes' : 'no';
}

function folded(value: string): string {
  return value.toLowerCase();
}

function components(value: string): readonly number[] | undefined {
  return VERSION.test(value) ? value.split('.').map(Number) : undefined;
}

function order(one: readonly number[], other: readonly number[]): number {
  for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

import { kindOf, type PlistValue, Real } from '../../../plist/types.ts';
import type { Finding, KeyType, SchemaKey } from './types.ts';

/** `<integer>` counts as a real: devices write whole reals as either. */
export function hasType(value: PlistValue, type: KeyType): boolean {
  const kind = kindOf(value);
  if (type === 'any') return true;
  if (type === 'dictionary') return kind === 'dict';
  return kind === type || (type === 'real' && kind === 'integer');
}

export function describe(value: PlistValue): string {
  const kind = kindOf(value);
  return kind === 'dict' ? 'dictionary' : kind;
}

/** What is wrong with a value of the right type: its list, its range, its format. */
export function scalarFindings(value: PlistValue, key: SchemaKey, path: string): readonly Finding[] {
  const findings: Finding[] = [];
  const error = (rule: Finding['rule'], message: string): void => {
    findings.push({ path, rule, message: `${key.key}: ${message}`, severity: 'error' });
  };
  const plain = plainOf(value);
  const listed = plain !== undefined && key.rangelist?.includes(plain) === true;
  if (key.range !== undefined && typeof plain === 'number') {
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = key.range;
    // Beside a range, a list names what is allowed outside of it. Written so that NaN is outside.
    if (!listed && !(plain >= min && plain <= max)) error('range', `${plain} is not within ${min} to ${max}`);
  } else if (key.rangelist !== undefined && plain !== undefined && !listed) {
    error('rangelist', `${JSON.stringify(plain)} is not one of ${key.rangelist.join(', ')}`);
  }
  if (key.format !== undefined && typeof plain === 'string' && !new RegExp(key.format).test(plain)) {
    error('format', `${JSON.stringify(plain)} does not match ${key.format}`);
  }
  if (key.subtype === '<url>' && typeof plain === 'string' && !URL.canParse(plain)) {
    error('format', `${JSON.stringify(plain)} is not a URL`);
  }
  if (key.subtype === '<hostname>' && typeof plain === 'string' && !/^[A-Za-z0-9.:-]+$/.test(plain)) {
    error('format', `${JSON.stringify(plain)} is not a host name`);
  }
  return findings;
}

function plainOf(value: PlistValue): string | number | boolean | undefined {
  if (value instanceof Real) return value.value;
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
}

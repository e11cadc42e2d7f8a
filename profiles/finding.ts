import { joinPath } from '../plist/limits.ts';
import { locate, type PlistPath } from '../plist/locate.ts';
import type { Finding, FindingCode, LinesOf, Mobileconfig } from './types.ts';

const TOP = 'PayloadContent';

export function error(code: FindingCode, at: PlistPath, message: string): Finding {
  return finding(code, 'error', at, message);
}

export function warning(code: FindingCode, at: PlistPath, message: string): Finding {
  return finding(code, 'warning', at, message);
}

export function pathOf(at: PlistPath): string {
  return at.reduce<string>((path, part) => joinPath(path, part), '');
}

export function hasErrors(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === 'error');
}

/** Errors first: no number of warnings may push one out of a bounded list. */
export function errorsFirst(findings: readonly Finding[]): readonly Finding[] {
  const rank = ({ severity }: Finding) => (severity === 'error' ? 0 : 1);
  return findings.toSorted((a, b) => rank(a) - rank(b));
}

export function linesOf({ format, signed }: Mobileconfig): LinesOf {
  if (format === 'binary') return 'nothing';
  return signed === undefined ? 'file' : 'signed_content';
}

/** The findings with their payload's type and identifier, and line and column in the property list. Pure. */
export function located(profile: Mobileconfig, findings: readonly Finding[]): readonly Finding[] {
  if (findings.length === 0) return findings;
  const places = locate(
    profile.plist,
    findings.map(({ at }) => at),
  );
  const payloads = new Map(profile.payloads.map(({ index, type, identifier }) => [index, { index, type, identifier }]));
  return findings.map((one, index) => {
    const place = places?.[index];
    const [top, number] = one.at;
    const payload =
      top === TOP && typeof number === 'number'
        ? (payloads.get(number) ?? { index: number, type: '', identifier: '' })
        : undefined;
    return { ...one, ...(payload === undefined ? {} : { payload }), ...(place === undefined ? {} : { place }) };
  });
}

function finding(code: FindingCode, severity: Finding['severity'], at: PlistPath, message: string): Finding {
  const key = at.findLast((part) => typeof part === 'string');
  return { code, severity, message, path: pathOf(at), at, ...(key === undefined ? {} : { key }) };
}

import type { EntryFindings, Finding } from '../profiles/types.ts';

/** `line` and `column` from 1, null where the property list is binary or the finding is not about its text. */
export function renderedFinding({ code, severity, message, path, place, payload, key }: Finding) {
  return {
    code,
    severity,
    message,
    path,
    line: place?.line ?? null,
    column: place?.column ?? null,
    payload: payload ?? null,
    key: key ?? null,
  };
}

export function renderedEntry({ index, file, identifier, linesOf, findings }: EntryFindings) {
  return {
    index,
    file: file ?? null,
    identifier: identifier ?? null,
    lines_of: linesOf,
    findings: findings.map(renderedFinding),
  };
}

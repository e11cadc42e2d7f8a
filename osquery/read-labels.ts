import type { LabelAnswer } from '../core/effects.ts';
import { readLabelQueryName } from './label-names.ts';
import { record, text } from './read-report.ts';

export interface LabelReport {
  readonly epoch: number;
  readonly askedAt: Date;
  readonly answers: readonly LabelAnswer[];
}

/** More names than this are of no list of ours. */
const MAX_NAMES = 10_000;
const MAX_REPORTS = 8;

/**
 * The answers to labels in a distributed/write body, one report for each time that labels were asked, oldest first:
 * osquery keeps what it could not deliver and sends it with the next. A row or more is yes, none is no, a status other
 * than 0 is neither.
 */
export function readLabelReports(body: Readonly<Record<string, unknown>>): readonly LabelReport[] {
  const queries = record(body['queries']);
  const statuses = record(body['statuses']);
  const messages = record(body['messages']);
  const names = new Set([...Object.keys(queries), ...Object.keys(statuses)].slice(0, MAX_NAMES));
  const reports = new Map<string, { epoch: number; askedAt: Date; answers: LabelAnswer[] }>();
  for (const name of names) {
    const asked = readLabelQueryName(name);
    const answer = asked && answerOf(asked.labelId, queries[name], statuses[name], messages[name]);
    if (asked === undefined || answer === undefined) continue;
    const key = `${asked.epoch} ${asked.askedAt.getTime()}`;
    const report = reports.get(key) ?? { epoch: asked.epoch, askedAt: asked.askedAt, answers: [] };
    report.answers.push(answer);
    reports.set(key, report);
  }
  return [...reports.values()]
    .sort((one, other) => one.askedAt.getTime() - other.askedAt.getTime())
    .slice(-MAX_REPORTS);
}

function answerOf(labelId: number, rows: unknown, status: unknown, message: unknown): LabelAnswer | undefined {
  if (status !== undefined && Number(status) !== 0) {
    return { labelId, answer: 'error', message: text(message) ?? `osquery status ${text(status) ?? '?'}` };
  }
  if (rows === undefined) return undefined;
  if (rows === '') return { labelId, answer: 'no' };
  if (!Array.isArray(rows)) return { labelId, answer: 'error', message: 'the rows are not a list' };
  return { labelId, answer: rows.length > 0 ? 'yes' : 'no' };
}

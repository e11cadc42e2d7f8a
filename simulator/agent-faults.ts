import type { Row } from './sql-scope.ts';

/** How an agent misbehaves; each is asked of a query's name or its SQL. May be changed while the agent runs. */
export interface AgentFaults {
  /** Fails with osquery's status 1 and this message. */
  failing?: { readonly query: RegExp; readonly message: string };
  /** Every second answer has no rows. */
  flapping?: RegExp;
  /** The report names an identifier twice: the first row comes again, under another PayloadUUID. */
  duplicated?: RegExp;
}

export interface Answer {
  readonly rows: readonly Row[];
  /** Undefined: status 0. */
  readonly error: string | undefined;
}

/** What becomes of an answer; `count` is how often this query was answered before. */
export function disturbed(faults: AgentFaults, query: string, sql: string, answer: Answer, count: number): Answer {
  const meant = (pattern: RegExp | undefined): boolean =>
    pattern !== undefined && (pattern.test(query) || pattern.test(sql));
  if (faults.failing !== undefined && meant(faults.failing.query)) return { rows: [], error: faults.failing.message };
  if (meant(faults.flapping) && count % 2 === 1) return { ...answer, rows: [] };
  const [first] = answer.rows;
  if (first === undefined || !meant(faults.duplicated)) return answer;
  return { ...answer, rows: [...answer.rows, { ...first, uuid: '00000000-0000-4000-8000-000000000000' }] };
}

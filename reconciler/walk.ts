import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { Catalogue } from './catalogue.ts';
import type { CountedHost, ReconcileStore } from './ports.ts';
import type { HostFacts } from './types.ts';
import { isSettled } from './wish.ts';

/** Rows read at a time without what they hold: some 2 MB. */
const SCAN_PAGE = 5000;
/** Enrolments read at a time with their ops and commands. */
const READ_PAGE = 500;

export interface Walked {
  readonly host: CountedHost;
  /** Undefined = it holds exactly what it should, by its fingerprint: no need to read what it holds. */
  readonly facts: HostFacts | undefined;
}

/** Every live enrolment from `after` on, ascending: page by page, bounded memory, and others have their turn in between. */
export async function* walk(
  store: Pick<ReconcileStore, 'batchLimit' | 'scan' | 'read'>,
  catalogue: Catalogue,
  after: EnrollmentRef = 0,
  teamIds?: readonly number[],
): AsyncGenerator<Walked> {
  const size = Math.min(SCAN_PAGE, store.batchLimit * 10);
  for (let from = after; ; ) {
    const page = await store.scan(from, size, teamIds);
    const last = page.at(-1);
    if (last === undefined) return;
    from = last.row.enrollment;
    const open = page.filter(({ row, opCount }) => opCount > 0 || !isSettled(catalogue, { row, ops: [] }));
    const unsettled = new Set(open.map(({ row }) => row.enrollment));
    const read = new Map<EnrollmentRef, HostFacts>();
    for (let start = 0; start < open.length; start += READ_PAGE) {
      const part = open.slice(start, start + READ_PAGE).map(({ row }) => row.enrollment);
      for (const facts of await store.read(part)) read.set(facts.row.enrollment, facts);
      await yieldToOthers();
    }
    for (const [index, host] of page.entries()) {
      const facts = read.get(host.row.enrollment);
      // What ended in between is no enrolment any more.
      if (facts !== undefined || !unsettled.has(host.row.enrollment)) yield { host, facts };
      if (index % READ_PAGE === 0) await yieldToOthers();
    }
  }
}

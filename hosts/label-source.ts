import { EspalierError } from '../core/errors.ts';
import { checkedQuery } from './label-query.ts';
import type { LabelKind, LabelSource } from './types.ts';
import { checkedCriteria } from './vitals.ts';

/** A new label as people write it; without a kind, what is given says it. */
export interface WrittenSource {
  readonly kind?: LabelKind | undefined;
  readonly query?: string | undefined;
  /** JSON as it came. */
  readonly criteria?: unknown;
}

/** Errors: request_malformed, saying where. */
export function sourceOf(written: WrittenSource): LabelSource {
  const kind = written.kind ?? kindOf(written);
  refuseOther(kind, written);
  if (kind === 'manual') return { kind };
  if (kind === 'dynamic') {
    if (written.query === undefined) throw malformed('query', 'a dynamic label needs a query');
    return { kind, query: checkedQuery(written.query) };
  }
  if (written.criteria === undefined) throw malformed('criteria', 'a host-vitals label needs criteria');
  return { kind, criteria: checkedCriteria(written.criteria) };
}

/** What a label of this kind has not. Errors: request_malformed. */
export function refuseOther(kind: LabelKind, { query, criteria }: Omit<WrittenSource, 'kind'>): void {
  if (query !== undefined && kind !== 'dynamic') throw malformed('query', `a ${kind} label has no query`);
  if (criteria !== undefined && kind !== 'host_vitals') throw malformed('criteria', `a ${kind} label has no criteria`);
}

function kindOf({ query, criteria }: WrittenSource): LabelKind {
  if (query !== undefined) return 'dynamic';
  return criteria === undefined ? 'manual' : 'host_vitals';
}

function malformed(path: string, detail: string): EspalierError {
  return new EspalierError('request_malformed', detail, {
    place: { path },
    fix: 'The kind of a label never changes: manual has members, dynamic a query, host_vitals criteria.',
  });
}

/** What is known of contents, beside the compact row of an enrolment. */
import { sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import type { ContentEvidence } from '../reconciler/types.ts';
import { type Executor, executorOf } from './database.ts';

/** Octets of one checksum in `checksums`. */
const CHECKSUM = 8;

export interface ContentColumns {
  readonly os_build: string | null;
  readonly version_ids: number[];
  readonly checksums: Buffer;
  readonly changed_ids: number[];
  readonly changed_at: Date | null;
  readonly policies_at: Date | null;
  readonly effective_ids: number[];
  readonly ineffective: { version: number; missing: string[]; more: number }[];
}

/** Of `recon_evidence v`, which may be joined from the left: `os_build` is null where there is no row. */
export const CONTENT = sql`
  v.os_build, v.version_ids, v.checksums, v.changed_ids, v.changed_at, v.policies_at, v.effective_ids, v.ineffective`;

export function contentOf(row: ContentColumns): ContentEvidence | undefined {
  if (row.os_build === null) return undefined;
  const { version_ids: versions, checksums } = row;
  return {
    osBuild: row.os_build,
    baselines: new Map(
      versions.map((id, at) => [id, checksums.subarray(at * CHECKSUM, (at + 1) * CHECKSUM).toString('hex')]),
    ),
    changed: row.changed_ids,
    changedAt: row.changed_at ?? undefined,
    policiesAt: row.policies_at ?? undefined,
    effective: row.effective_ids,
    ineffective: row.ineffective.map(({ version, missing, more }) => ({ versionId: version, missing, more })),
  };
}

/** The upload of a version, from which it is read what it forces. */
export async function originalOf(tx: Tx, versionId: number): Promise<Buffer | undefined> {
  const { rows } = await sql<{ original: Buffer }>`
    select original from profile_version where id = ${versionId}
  `.execute(executorOf(tx));
  return rows[0]?.original;
}

export async function readContent(
  executor: Executor,
  enrollments: readonly EnrollmentRef[],
): Promise<ReadonlyMap<EnrollmentRef, ContentEvidence>> {
  const { rows } = await sql<ContentColumns & { enrollment_id: number }>`
    select v.enrollment_id, ${CONTENT} from recon_evidence v
    where v.enrollment_id = any(${sql.val([...enrollments])}::bigint[])
  `.execute(executor);
  return new Map(
    rows.flatMap((row) => {
      const content = contentOf(row);
      return content === undefined ? [] : [[row.enrollment_id, content]];
    }),
  );
}

/** Undefined = there is none any more. */
export async function writeContent(
  executor: Executor,
  enrollment: EnrollmentRef,
  content: ContentEvidence | undefined,
): Promise<void> {
  if (content === undefined) {
    await sql`delete from recon_evidence where enrollment_id = ${enrollment}`.execute(executor);
    return;
  }
  const baselines = [...content.baselines];
  const ineffective = content.ineffective.map(({ versionId, missing, more }) => ({
    version: versionId,
    missing,
    more,
  }));
  await sql`
    insert into recon_evidence (enrollment_id, os_build, version_ids, checksums, changed_ids, changed_at, policies_at,
                                effective_ids, ineffective)
    values (${enrollment}, ${content.osBuild}, ${sql.val(baselines.map(([id]) => id))}::int[],
            ${Buffer.from(baselines.map(([, checksum]) => checksum).join(''), 'hex')}, ${sql.val([...content.changed])}::int[],
            ${content.changedAt ?? null}, ${content.policiesAt ?? null}, ${sql.val([...content.effective])}::int[],
            ${JSON.stringify(ineffective)}::jsonb)
    on conflict (enrollment_id) do update set
      os_build = excluded.os_build, version_ids = excluded.version_ids, checksums = excluded.checksums,
      changed_ids = excluded.changed_ids, changed_at = excluded.changed_at, policies_at = excluded.policies_at,
      effective_ids = excluded.effective_ids, ineffective = excluded.ineffective
  `.execute(executor);
}

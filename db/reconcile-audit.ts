/** What the audit reads: whole pages of narrow rows, with the verdict on what they copy from elsewhere. */
import { type RawBuilder, sql } from 'kysely';
import type { Channel, EnrollmentRef } from '../core/enrollment.ts';
import type { AuditPage } from '../reconciler/ports.ts';
import type { OsqueryState, Platform, ReconRow } from '../reconciler/types.ts';
import type { Executor } from './database.ts';
import { LABELS_DIFFER, labelTruth } from './label-copies.ts';
import { boolean, int4, int4Array, int8, packed, text, timestamptz } from './packed.ts';
import { idList, USER_ENROLLMENT } from './reconcile-rows.ts';

interface AuditColumns {
  readonly enrollment_id: number;
  readonly team_id: number | null;
  readonly channel: Channel;
  readonly user_enrollment: boolean;
  readonly platform: Platform;
  readonly os_version: string;
  readonly label_ids: number[];
  readonly label_epoch: number;
  readonly unknown_label_ids: number[] | null;
  readonly fp_high: number;
  readonly fp_low: number;
  readonly actual_known: boolean;
  readonly has_ops: boolean;
  readonly osquery_at: Date | null;
  readonly osquery_state: OsqueryState;
  readonly profile_list_at: Date | null;
  readonly suspect: boolean;
}

const PAGE = packed<AuditColumns>({
  enrollment_id: int8,
  team_id: int4,
  channel: text as () => Channel,
  user_enrollment: boolean,
  platform: text as () => Platform,
  os_version: text,
  label_ids: int4Array,
  label_epoch: int8,
  unknown_label_ids: int4Array,
  fp_high: int4,
  fp_low: int4,
  actual_known: boolean,
  has_ops: boolean,
  osquery_at: timestamptz,
  osquery_state: text as () => OsqueryState,
  profile_list_at: timestamptz,
  suspect: boolean,
});

/**
 * One statement, one snapshot: rows, the epoch they belong to, and whose copies of team and labels differ from their
 * source, or are missing. Each table is looked up row by row (`offset 0` keeps it so): planned as joins, every page
 * would scan all hosts there are.
 */
export async function auditPage(executor: Executor, low: EnrollmentRef, high: EnrollmentRef): Promise<AuditPage> {
  const { rows } = await sql<{ epoch: number; packed: Buffer | null }>`
    select (select epoch from catalogue) as epoch, ${PAGE.of('t')} as packed from (
      select e.id as enrollment_id, r.team_id, e.channel, ${USER_ENROLLMENT} as user_enrollment, h.platform, h.os_version,
        r.label_ids, r.label_epoch, nullif(r.unknown_label_ids, '{}') as unknown_label_ids,
        (r.applied_fp >> 32)::int as fp_high, ((r.applied_fp << 32) >> 32)::int as fp_low, r.actual_known,
        r.op_count > 0 as has_ops, r.osquery_at, r.osquery_state, r.profile_list_at,
        r.enrollment_id is null or r.team_id <> h.team_id or r.label_epoch <> coalesce(l.label_epoch, 0)
          or r.unknown_label_ids <> coalesce(l.unknown_label_ids, '{}')
          -- Both without repetition, so the same number and all of them is the same set: no sorting.
          or cardinality(r.label_ids) <> coalesce(cardinality(m.label_ids), 0)
          or not r.label_ids @> coalesce(m.label_ids, '{}') as suspect
      from enrollment e
      cross join lateral (select h.team_id, h.platform, h.os_version from host h where h.id = e.host_id offset 0) h
      left join recon r on r.enrollment_id = e.id and r.enrollment_id >= ${low} and r.enrollment_id < ${high}
      left join lateral (
        select l.label_epoch, l.unknown_label_ids from host_label l where l.host_id = e.host_id offset 0) l on true
      cross join lateral (
        select array_agg(m.label_id) as label_ids from label_member m where m.host_id = e.host_id) m
      where e.id >= ${low} and e.id < ${high} and e.state = 'enrolled'
    ) t
  `.execute(executor);
  const all = PAGE.read(rows[0]?.packed ?? null);
  return {
    epoch: rows[0]?.epoch ?? 0,
    hosts: all.length,
    rows: all.flatMap((row) => (row.team_id === null ? [] : [{ row: rowOf(row, row.team_id), hasOps: row.has_ops }])),
    suspects: all.flatMap((row) => (row.suspect ? [row.enrollment_id] : [])),
  };
}

const NO_LABELS: readonly number[] = [];

/** Of what travels only for doubtful rows, nothing is known here. */
function rowOf(row: AuditColumns, teamId: number): ReconRow {
  return {
    enrollment: row.enrollment_id,
    enrollmentGeneration: 0,
    channel: row.channel,
    teamId,
    platform: row.platform,
    userEnrollment: row.user_enrollment,
    osVersion: row.os_version,
    labelIds: row.label_ids,
    labelEpoch: row.label_epoch,
    unknownLabelIds: row.unknown_label_ids ?? NO_LABELS,
    applied: [],
    fingerprint: { high: row.fp_high, low: row.fp_low },
    actualKnown: row.actual_known,
    rev: 0,
    osqueryAt: row.osquery_at ?? undefined,
    osqueryState: row.osquery_state,
    profileListAt: row.profile_list_at ?? undefined,
    observedExtra: [],
    mayManageProfiles: true,
    pushable: true,
    enrollmentProfile: undefined,
  };
}

/** Team and labels as their sources have them, of live enrolments. */
const truth = (which: RawBuilder<unknown>) => sql`
  select t.id, h.team_id, t.label_ids, t.label_epoch, t.unknown_label_ids
  from (${labelTruth(sql`e.state = 'enrolled' and ${which}`)}) t join host h on h.id = t.host_id`;

/**
 * `recon` copies the team and the labels of its host. First the rows are locked, then read again in a statement of its
 * own: one statement would compare a row as it is with members as they were, and undo the change in between.
 */
export async function repairCopies(
  executor: Executor,
  suspects: readonly EnrollmentRef[],
): Promise<readonly EnrollmentRef[]> {
  const ids = idList(suspects);
  const locked = await sql<{ enrollment_id: number }>`
    select enrollment_id from recon where enrollment_id = any(${ids}) order by enrollment_id for update skip locked
  `.execute(executor);
  const updated = await sql<{ id: number }>`
    update recon r set team_id = t.team_id, label_ids = t.label_ids, label_epoch = t.label_epoch,
      unknown_label_ids = t.unknown_label_ids
    from (${truth(sql`e.id = any(${idList(locked.rows.map((row) => row.enrollment_id))})`)}) t
    where r.enrollment_id = t.id and (r.team_id <> t.team_id or ${LABELS_DIFFER})
    returning r.enrollment_id as id
  `.execute(executor);
  const made = await sql<{ id: number }>`
    insert into recon (enrollment_id, team_id, label_ids, label_epoch, unknown_label_ids)
    select t.id, t.team_id, t.label_ids, t.label_epoch, t.unknown_label_ids from (${truth(sql`e.id = any(${ids})`)}) t
    on conflict (enrollment_id) do nothing
    returning enrollment_id as id
  `.execute(executor);
  return [...updated.rows, ...made.rows].map((row) => row.id);
}

/** All ranges are due at once: after a start, and after a catalogue that counts backwards (a restored database). */
export async function askAudit(executor: Executor, slices: number, now: Date): Promise<void> {
  await sql`
    insert into recon_audit (slices, slice, due_at)
    select ${slices}::int, slice, ${now} from generate_series(0, ${slices}::int - 1) as slice order by slice
    on conflict (slices, slice) do update set due_at = least(recon_audit.due_at, excluded.due_at)
  `.execute(executor);
}

/** The range that has waited longest, for as long as the lease; undefined: none is due that nobody has. */
export async function leaseAudit(
  executor: Executor,
  slices: number,
  owner: string,
  now: Date,
  until: Date,
): Promise<number | undefined> {
  const { rows } = await sql<{ slice: number }>`
    update recon_audit set owner = ${owner}, lease_until = ${until}
    where slices = ${slices} and slice = (
      select slice from recon_audit
      where slices = ${slices} and due_at <= ${now} and (lease_until is null or lease_until <= ${now})
      order by due_at, slice limit 1 for update skip locked)
    returning slice
  `.execute(executor);
  return rows[0]?.slice;
}

/** Only of one's own lease: whoever was too slow leaves the range to its next owner. */
export async function endAudit(
  executor: Executor,
  slices: number,
  slice: number,
  owner: string,
  dueAt: Date,
): Promise<void> {
  await sql`
    update recon_audit set owner = null, lease_until = null, due_at = ${dueAt}
    where slices = ${slices} and slice = ${slice} and owner = ${owner}
  `.execute(executor);
}

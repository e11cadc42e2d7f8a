/** What the audit reads: whole pages of narrow rows, with the verdict on what they copy from elsewhere. */
import { type RawBuilder, sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { AuditPage, AuditRow } from '../reconciler/ports.ts';
import type { Fingerprint, Platform } from '../reconciler/types.ts';
import type { Executor } from './database.ts';
import { LABELS_DIFFER, labelTruth } from './label-copies.ts';
import { int4, int4Array, int8, packed, text, timestamptz } from './packed.ts';
import { idList, USER_ENROLLMENT } from './recon-columns.ts';

/** Yes and no of a row, in one number: each column of its own costs as much as a value. */
const USER = 1;
const USER_ENROLLED = 2;
const ACTUAL_KNOWN = 4;
/** Only whether rows came matters here. */
const ROWS_CAME = 8;
const HAS_OPS = 16;
const SUSPECT = 32;

interface PageColumns {
  readonly enrollment: number;
  /** Undefined: there is no row. */
  readonly team: number | undefined;
  readonly flags: number;
  readonly platform: Platform;
  readonly os: string;
  readonly labels: readonly number[];
  readonly epoch: number;
  readonly unknown: readonly number[] | undefined;
  readonly fingerprint: Fingerprint;
  readonly osquery_at: Date | undefined;
  readonly profile_list_at: Date | undefined;
}

const PAGE = packed<PageColumns>(
  {
    enrollment: int8,
    team: int4,
    flags: int4,
    platform: text as () => Platform,
    os: text,
    labels: int4Array,
    epoch: int8,
    unknown: int4Array,
    fingerprint: (bytes, at) => ({ high: bytes.readInt32BE(at), low: bytes.readInt32BE(at + 4) }),
    osquery_at: timestamptz,
    profile_list_at: timestamptz,
  },
  undefined,
);

const flag = (holds: RawBuilder<unknown>, bit: number) => sql`case when ${holds} then ${sql.lit(bit)} else 0 end`;

/** Both lists of labels are without repetition, so the same number and all of them is the same set: no sorting. */
const DIFFERS = sql`
  r.enrollment_id is null or r.team_id <> h.team_id or r.label_epoch <> coalesce(l.label_epoch, 0)
  or r.unknown_label_ids <> coalesce(l.unknown_label_ids, '{}')
  or cardinality(r.label_ids) <> coalesce(cardinality(m.label_ids), 0)
  or not r.label_ids @> coalesce(m.label_ids, '{}')`;

/**
 * One statement, one snapshot: rows, the epoch they belong to, and whose copies of team and labels differ from their
 * source, or are missing. Each table is looked up row by row (`offset 0` keeps it so): planned as joins, every page
 * would scan all hosts there are.
 */
export async function auditPage(executor: Executor, low: EnrollmentRef, high: EnrollmentRef): Promise<AuditPage> {
  const { rows } = await sql<{ epoch: number; packed: Buffer | null }>`
    select (select epoch from catalogue) as epoch, ${PAGE.of('t')} as packed from (
      select e.id as enrollment, r.team_id as team,
        ${flag(sql`e.channel = 'user'`, USER)} | ${flag(USER_ENROLLMENT, USER_ENROLLED)}
          | ${flag(sql`r.actual_known`, ACTUAL_KNOWN)} | ${flag(sql`r.osquery_state = 'rows'`, ROWS_CAME)}
          | ${flag(sql`r.op_count > 0`, HAS_OPS)} | ${flag(DIFFERS, SUSPECT)} as flags,
        h.platform, h.os_version as os, r.label_ids as labels, r.label_epoch as epoch,
        nullif(r.unknown_label_ids, '{}') as unknown, r.applied_fp as fingerprint, r.osquery_at, r.profile_list_at
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
  const bytes = rows[0]?.packed ?? null;
  return {
    epoch: rows[0]?.epoch ?? 0,
    *entries() {
      for (const row of PAGE.read(bytes))
        yield {
          enrollment: row.enrollment,
          suspect: (row.flags & SUSPECT) !== 0,
          row: row.team === undefined ? undefined : rowOf(row, row.team),
        };
    },
  };
}

const NO_LABELS: readonly number[] = [];

function rowOf(row: PageColumns, teamId: number): AuditRow {
  const { flags } = row;
  return {
    enrollment: row.enrollment,
    teamId,
    channel: (flags & USER) === 0 ? 'device' : 'user',
    userEnrollment: (flags & USER_ENROLLED) !== 0,
    platform: row.platform,
    osVersion: row.os,
    labelIds: row.labels,
    labelEpoch: row.epoch,
    unknownLabelIds: row.unknown ?? NO_LABELS,
    fingerprint: row.fingerprint,
    actualKnown: (flags & ACTUAL_KNOWN) !== 0,
    osqueryAt: row.osquery_at,
    osqueryState: (flags & ROWS_CAME) === 0 ? 'never' : 'rows',
    profileListAt: row.profile_list_at,
    hasOps: (flags & HAS_OPS) !== 0,
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

const ranges = (slices: number, now: Date) => sql`
  insert into recon_audit (slices, slice, due_at)
  select ${slices}::int, slice, ${now} from generate_series(0, ${slices}::int - 1) as slice order by slice`;

/** Ranges that nobody has named before are due. */
export async function layOutAudit(executor: Executor, slices: number, now: Date): Promise<void> {
  await sql`${ranges(slices, now)} on conflict (slices, slice) do nothing`.execute(executor);
}

/** All ranges are due at once: after a start, and after a catalogue that counts backwards (a restored database). */
export async function askAudit(executor: Executor, slices: number, now: Date): Promise<void> {
  await sql`
    ${ranges(slices, now)}
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

/** What holds after every event, whatever happened. */
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Digest } from '../../reconciler/catalogue.ts';
import { EMPTY_FINGERPRINT, equalFingerprints, versionFingerprint, xor } from '../../reconciler/fingerprint.ts';

/**
 * Every plan is carried out and every claim about counts is true. A parameter, whatever it is, makes it a prepared
 * statement: its plan costs more than its execution.
 */
export async function brokenRows(db: Database, digest: Digest): Promise<string[]> {
  const { rows } = await sql<Row>`
    select enrollment_id::text as what, applied, (applied_fp >> 32)::int as high, ((applied_fp << 32) >> 32)::int as low
    from recon where enrollment_id > ${0}
    union all select broken.what, null::int[], null::int, null::int from (
    select 'two live commands for slot ' || slot_id || ' of ' || enrollment_id as what from command
    where slot_id is not null group by enrollment_id, slot_id having count(*) > 1
    union all
    select 'two live ProfileLists of ' || enrollment_id from command
    where request_type = 'ProfileList' and origin = 'reconciler' group by enrollment_id having count(*) > 1
    union all
    select 'op_count of ' || r.enrollment_id from recon r
    where r.op_count <> (select count(*) from op o where o.enrollment_id = r.enrollment_id)
    union all
    select 'no live command for queued op ' || o.slot_id || ' of ' || o.enrollment_id from op o
    where o.state = 'queued' and o.command_uuid is not null and not exists (
      select from command c where c.enrollment_id = o.enrollment_id and c.command_uuid = o.command_uuid)
    union all
    select 'nothing will ever make the command of op ' || o.slot_id || ' of ' || o.enrollment_id from op o
    where o.state = 'queued' and o.command_uuid is null and o.next_at is null
      and not exists (select from recon_queue q where q.enrollment_id = o.enrollment_id)
    union all
    select 'a live command without its op: slot ' || c.slot_id || ' of ' || c.enrollment_id from command c
    where c.slot_id is not null and not exists (
      select from op o where o.enrollment_id = c.enrollment_id and o.slot_id = c.slot_id and o.command_uuid = c.command_uuid
        and o.generation = c.op_generation and o.state = 'queued')
    union all
    select 'op or command of an enrolment that is not live: ' || e.id from enrollment e
    where e.state <> 'enrolled' and (exists (select from op o where o.enrollment_id = e.id)
      or exists (select from command c where c.enrollment_id = e.id and c.slot_id is not null))
    union all
    select 'generation of an op beyond its row: ' || o.enrollment_id from op o join recon r using (enrollment_id)
    where o.generation > r.rev
    union all
    select 'applied is not ascending: ' || r.enrollment_id from recon r
    where r.applied <> (select coalesce(array_agg(distinct a order by a), '{}') from unnest(r.applied) as a)
    union all
    select 'a slot that holds two: ' || r.enrollment_id from recon r cross join unnest(r.applied) as a
    join profile_version v on v.id = a join profile p on p.id = v.profile_id
    group by r.enrollment_id, p.slot_id having count(*) > 1
    union all
    select 'labels are not ascending: ' || r.enrollment_id from recon r
    where r.label_ids <> (select coalesce(array_agg(distinct a order by a), '{}') from unnest(r.label_ids) as a)
    ) as broken
  `.execute(db.read);
  return rows.flatMap((row) => wrongSum(row, digest));
}

/** What is known to be there, and its sum: rows and columns as one text, so that one statement carries everything. */
interface Row {
  readonly what: string;
  readonly applied: number[] | null;
  readonly high: number | null;
  readonly low: number | null;
}

function wrongSum({ what, applied, high, low }: Row, digest: Digest): readonly string[] {
  if (applied === null || high === null || low === null) return [what];
  const sum = applied.map((id) => versionFingerprint(digest, id)).reduce(xor, EMPTY_FINGERPRINT);
  return equalFingerprints(sum, { high, low }) ? [] : [`the sum of ${what} is not that of ${applied}`];
}

/** What a fleet has beside settled hosts: planted on purpose, so that it is known what must be found. */
import { sql } from 'kysely';
import { type Database, executorOf } from '../../db/database.ts';
import { announce } from '../../db/recon-wave.ts';
import { fingerprintOf } from '../../reconciler/catalogue.ts';
import { fingerprintText } from '../../reconciler/fingerprint.ts';
import { loadCatalogue, newVersion } from './fleet.ts';

/** 2 % of hosts with an acknowledged, not yet verified op; 1 % with a label whose query failed. Neither asks for work. */
export async function plantUnsettled(db: Database): Promise<void> {
  await sql`
    insert into op (enrollment_id, slot_id, op, version_id, generation, enrollment_generation, state, next_at, acked_at,
      created_at, updated_at)
    select r.enrollment_id, p.slot_id, 'install', v.id, 1, 1, 'acked', now() + interval '1 day', now(), now(), now()
    from recon r join profile_version v on v.id = r.applied[1] join profile p on p.id = v.profile_id
    where r.enrollment_id % 50 = 7
  `.execute(db.read);
  await sql`update recon set op_count = 1 where enrollment_id % 50 = 7`.execute(db.read);
  await sql`
    update recon set unknown_label_ids = label_ids[1:1] where enrollment_id % 100 = 13 and cardinality(label_ids) > 0
  `.execute(db.read);
  await sql`
    update host_label l set unknown_label_ids = r.unknown_label_ids from recon r join enrollment e on e.id = r.enrollment_id
    where l.host_id = e.host_id and r.unknown_label_ids <> '{}'
  `.execute(db.read);
  await sql`vacuum analyze`.execute(db.read);
}

/** Every 200th host has lost one profile, and nothing says so. Answers how many. */
export async function plantDrift(db: Database): Promise<number> {
  const catalogue = await loadCatalogue(db);
  const { rows } = await sql<{ enrollment_id: number; applied: number[] }>`
    select enrollment_id, applied from recon where enrollment_id % 200 = 99
  `.execute(db.read);
  const left = rows.map(({ enrollment_id, applied }) => ({ enrollment_id, applied: applied.slice(1) }));
  await sql`
    update recon r set applied = t.applied::int[], applied_fp = t.fp
    from unnest(${sql.val(left.map((row) => row.enrollment_id))}::bigint[], ${sql.val(left.map((row) => `{${row.applied}}`))}::text[],
      ${sql.val(left.map((row) => fingerprintText(fingerprintOf(catalogue, row.applied))))}::bigint[]) as t (id, applied, fp)
    where r.enrollment_id = t.id
  `.execute(db.read);
  return rows.length;
}

/**
 * `count` hosts (of one team) whose membership in one label turned over, as a label answer writes it. Even and odd hosts
 * take turns.
 */
export async function turnLabel(
  db: Database,
  labelId: number,
  count: number,
  parity: 0 | 1,
  teamId?: number,
): Promise<void> {
  await db.run(async (tx) => {
    const executor = executorOf(tx);
    await sql`
      with chosen as (
        select r.enrollment_id, e.host_id from recon r join enrollment e on e.id = r.enrollment_id
        where r.op_count = 0 and cardinality(r.unknown_label_ids) = 0 and r.enrollment_id % 2 = ${parity}::int
          and (${teamId ?? null}::int is null or r.team_id = ${teamId ?? null}::int)
        order by r.enrollment_id limit ${count}
      ), gone as (
        delete from label_member m using chosen c where m.host_id = c.host_id and m.label_id = ${labelId}::int returning m.host_id
      ), come as (
        insert into label_member (label_id, host_id)
        select ${labelId}::int, host_id from chosen c
        where not exists (select from label_member m where m.host_id = c.host_id and m.label_id = ${labelId}::int)
      ), turned as (
        update recon r set label_ids = case when ${labelId}::int = any(r.label_ids) then array_remove(r.label_ids, ${labelId}::int)
          else (select array_agg(l order by l) from unnest(r.label_ids || ${labelId}::int) l) end
        from chosen c where r.enrollment_id = c.enrollment_id
      )
      insert into recon_queue (enrollment_id, reason, due_at) select enrollment_id, 'labels', now() from chosen
    `.execute(executor);
  });
}

/** One edit of a profile that the whole 45 % team has, with the team announced, in one transaction as an upload does it. */
export async function editForLargestTeam(db: Database, nth: number): Promise<void> {
  await db.run(async (tx) => {
    const executor = executorOf(tx);
    const { rows } = await sql<{ id: number }>`
      select id from profile where team_id = 1 and include_mode = 'none' and exclude_label_ids = '{}' order by id desc offset ${nth} limit 1
    `.execute(executor);
    await newVersion(executor, rows[0]?.id ?? 0, `edit ${nth}`);
    await sql`update catalogue set epoch = epoch + 1`.execute(executor);
    await announce(executor, { teamId: 1 }, 'profile', new Date());
  });
}

export async function commandsOfLastEdit(db: Database): Promise<number> {
  const { rows } = await sql<{ commands: number }>`
    select count(*) as commands from command where body_id = (select max(body_id) from command)
  `.execute(db.read);
  return rows[0]?.commands ?? 0;
}

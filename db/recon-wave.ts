/** Intents for whole teams: announced in one row, worked off page by page by any number of workers. */
import { type RawBuilder, sql } from 'kysely';
import type { EnrollmentRef } from '../core/enrollment.ts';
import type { Claim, WaveTurn } from '../reconciler/ports.ts';
import type { KeyRange } from '../reconciler/types.ts';
import { LABEL_EPOCH } from './catalogue-epoch.ts';
import type { Executor } from './database.ts';
import { gapsBetween } from './key-gaps.ts';

/** Pages cut in one go: enough that workers rarely meet over the rest, few enough that what is cut is read at once. */
const PAGES = 16;

export interface Wave {
  readonly teamId: number;
  /**
   * Only hosts for which one of these labels holds or is not known. To be given only where nobody else can be concerned:
   * a profile whose old and new targets both include by label, with all those labels. Default: the whole team.
   */
  readonly labelIds?: readonly number[];
}

/**
 * Says that a change concerns all of these hosts, in the transaction that makes it and after it raised the catalogue's
 * epoch. Writes one row however many they are, or none where the same is asked already and not begun: the lock on that
 * row keeps workers from beginning before this commits.
 */
export async function announce(executor: Executor, wave: Wave, reason: string, now: Date): Promise<void> {
  const labels = [...new Set(wave.labelIds ?? [])].sort((one, other) => one - other);
  await sql`
    insert into recon_wave (team_id, label_ids, reason, state, created_at)
    values (${wave.teamId}, ${sql.val(labels)}::int[], ${reason}, 'asked', ${now})
    on conflict (team_id, label_ids) where state = 'asked' do update set reason = excluded.reason
  `.execute(executor);
}

/** The same for every team: what changed concerns each enrolment there is. */
export async function announceEverywhere(executor: Executor, reason: string, now: Date): Promise<void> {
  await sql`
    insert into recon_wave (team_id, reason, state, created_at)
    select id, ${reason}, 'asked', ${now} from team where deleted_at is null order by id
    on conflict (team_id, label_ids) where state = 'asked' do update set reason = excluded.reason
  `.execute(executor);
}

interface WaveRow {
  readonly id: number;
  readonly team_id: number;
  readonly label_ids: number[];
  readonly reason: string;
  readonly state: 'asked' | 'rest' | 'page';
  readonly low: number;
  readonly high: number;
  readonly turn: number;
}

const COLUMNS = sql`id, team_id, label_ids, reason, state, low, high, turn`;

/**
 * The next step of the wave that has had the fewest (`oldest`: of the oldest one, so that none waits for ever): claims up
 * to `limit` enrolments of a page, or cuts pages of `pageSize` and claims nothing.
 */
export async function takeWave(
  executor: Executor,
  limit: number,
  pageSize: number,
  oldest: boolean,
): Promise<WaveTurn> {
  const order = oldest ? sql`id` : sql`turn, id`;
  const { rows } = await sql<WaveRow>`
    select ${COLUMNS} from recon_wave order by ${order} limit 1 for update skip locked
  `.execute(executor);
  const wave = rows[0];
  if (wave === undefined) return { kind: (await anyWave(executor)) ? 'busy' : 'none' };
  if (wave.state !== 'page') {
    await cut(executor, wave, pageSize);
    return { kind: 'cut' };
  }
  return { kind: 'page', page: wave.id, claim: await claimPage(executor, wave, limit) };
}

/** A page whose evaluation failed: its enrolments one by one into the queue, where one that fails stops no other (R19). */
export async function queuePage(executor: Executor, page: number, now: Date): Promise<void> {
  const { rows } = await sql<WaveRow>`
    delete from recon_wave where id = ${page} and state = 'page' returning ${COLUMNS}
  `.execute(executor);
  const wave = rows[0];
  if (wave === undefined) return;
  await sql`
    insert into recon_queue (enrollment_id, reason, due_at, lane)
    select r.enrollment_id, ${wave.reason}, ${now}, 1 from recon r where ${concerned(wave)} order by r.enrollment_id
  `.execute(executor);
}

async function anyWave(executor: Executor): Promise<boolean> {
  const { rows } = await sql<{ any: boolean }>`select exists (select from recon_wave) as any`.execute(executor);
  return rows[0]?.any === true;
}

/**
 * Members of this statement's own snapshot, with the epoch of the same: whoever announced the wave had raised it in the
 * same transaction. Who comes to the team later has a queue row of his own.
 */
async function claimPage(executor: Executor, wave: WaveRow, limit: number): Promise<Claim> {
  const { rows } = await sql<{ enrollment_id: EnrollmentRef | null; epoch: number }>`
    select t.enrollment_id, c.epoch from catalogue c left join lateral (
      select r.enrollment_id from recon r where ${concerned(wave)} order by r.enrollment_id limit ${limit + 1}
    ) t on true
  `.execute(executor);
  const members = rows.flatMap((row) => (row.enrollment_id === null ? [] : [row.enrollment_id]));
  const next = members[limit];
  if (next === undefined) await sql`delete from recon_wave where id = ${wave.id}`.execute(executor);
  else await sql`update recon_wave set low = ${next} where id = ${wave.id}`.execute(executor);
  return {
    hosts: members
      .slice(0, limit)
      .map((enrollment) => ({ enrollment, attempts: 0, reasons: [wave.reason], queueIds: [] })),
    epoch: rows[0]?.epoch,
  };
}

/** Pages off the front of a wave; with its first ones it leaves to earlier waves what those have still before them. */
async function cut(executor: Executor, wave: WaveRow, pageSize: number): Promise<void> {
  if (wave.state === 'asked' && wave.label_ids.length === 0 && (await leaveToOthers(executor, wave))) return;
  const { rows } = await sql<{ enrollment_id: number }>`
    select enrollment_id from (
      select enrollment_id, row_number() over (order by enrollment_id) as place from (
        select r.enrollment_id from recon r where ${concerned(wave)} order by r.enrollment_id limit ${PAGES * pageSize + 1}
      ) members
    ) numbered where place % ${pageSize}::int = 1 or ${pageSize}::int = 1 order by enrollment_id
  `.execute(executor);
  const starts = rows.map((row) => row.enrollment_id);
  const pages = starts.slice(0, PAGES).map((low, index) => ({
    low,
    high: starts[index + 1] ?? wave.high,
    turn: wave.turn + index,
  }));
  const column = (pick: (page: (typeof pages)[number]) => number) => sql.val(pages.map(pick));
  if (pages.length > 0)
    await sql`
      insert into recon_wave (team_id, label_ids, reason, state, low, high, turn, created_at)
      select w.team_id, w.label_ids, w.reason, 'page', p.low, p.high, p.turn, w.created_at
      from recon_wave w, unnest(${column((p) => p.low)}::bigint[], ${column((p) => p.high)}::bigint[],
        ${column((p) => p.turn)}::int[]) as p (low, high, turn)
      where w.id = ${wave.id} order by p.low
    `.execute(executor);
  const rest = starts[PAGES];
  if (rest === undefined) await sql`delete from recon_wave where id = ${wave.id}`.execute(executor);
  else
    await sql`
      update recon_wave set state = 'rest', low = ${rest}, turn = ${wave.turn + PAGES} where id = ${wave.id}
    `.execute(executor);
}

/**
 * What earlier waves of the whole team have still before them they evaluate after this one's change was committed: only
 * the rest is new. So edits that follow each other closely go round the team instead of beginning again and again.
 */
async function leaveToOthers(executor: Executor, wave: WaveRow): Promise<boolean> {
  const { rows } = await sql<KeyRange & { turn: number }>`
    select low, high, turn from recon_wave
    where team_id = ${wave.team_id} and label_ids = '{}' and state <> 'asked' order by id for update skip locked
  `.execute(executor);
  if (rows.length === 0) return false;
  const gaps = gapsBetween(wave, rows);
  const turn = Math.max(...rows.map((row) => row.turn));
  await sql`
    insert into recon_wave (team_id, reason, state, low, high, turn, created_at)
    select w.team_id, w.reason, 'rest', g.low, g.high, ${turn}::int, w.created_at
    from recon_wave w, unnest(${sql.val(gaps.map((gap) => gap.low))}::bigint[],
      ${sql.val(gaps.map((gap) => gap.high))}::bigint[]) as g (low, high)
    where w.id = ${wave.id} order by g.low
  `.execute(executor);
  await sql`delete from recon_wave where id = ${wave.id}`.execute(executor);
  return true;
}

/**
 * Rows of `recon r` that a wave means. A label that is gone is unknown everywhere; so is one whose epoch is not reached,
 * and one that is not filled yet.
 */
function concerned(wave: WaveRow): RawBuilder<unknown> {
  const labels = sql`${sql.val(wave.label_ids)}::int[]`;
  const narrowed =
    wave.label_ids.length === 0
      ? sql``
      : sql` and (r.label_ids && ${labels} or r.unknown_label_ids && ${labels} or r.label_epoch < (
          select case when count(*) < ${wave.label_ids.length}::int then 9007199254740991 else max(${LABEL_EPOCH}) end
          from label where id = any(${labels})))`;
  return sql`r.team_id = ${wave.team_id} and r.enrollment_id >= ${wave.low} and r.enrollment_id < ${wave.high}${narrowed}`;
}

import { type RawBuilder, sql } from 'kysely';
import type { PushCertificateStore, PushStore } from '../apns/ports.ts';
import type { DuePush, PushOutcome } from '../apns/types.ts';
import { SEEN_RESOLUTION_SECONDS } from '../mdm/types.ts';
import { type Database, executorOf } from './database.ts';
import { ON_WAITING_PUSH } from './push-request.ts';

interface DueRow {
  enrollment_id: number;
  topic: string;
  push_token: Buffer;
  push_magic: string;
  token_updated_at: Date;
  attempts: number;
}

export function pushStore(db: Database): PushStore {
  return {
    async request(tx, enrollments, reason, dueAt) {
      if (enrollments.length === 0) return;
      await sql`
        insert into push_outbox (enrollment_id, reason, due_at, created_at)
        select id, ${reason}, ${dueAt}, ${dueAt} from unnest(${sql.val([...enrollments])}::bigint[]) as id order by id
        ${ON_WAITING_PUSH}
      `.execute(executorOf(tx));
    },

    async lease(owner, now, leaseUntil, limit) {
      return db.run(async (tx) => {
        const { rows } = await sql<DueRow>`
          with due as (
            select enrollment_id from push_outbox
            where due_at <= ${now} and (lease_until is null or lease_until < ${now})
            order by due_at limit ${limit} for update skip locked
          ), leased as (
            update push_outbox o set lease_until = ${leaseUntil}, lease_owner = ${owner}
            from due where o.enrollment_id = due.enrollment_id
            returning o.enrollment_id, o.attempts
          )
          select l.enrollment_id, e.topic, e.push_token, e.push_magic, e.token_updated_at, l.attempts
          from leased l join enrollment e on e.id = l.enrollment_id
          left join push_state s on s.enrollment_id = l.enrollment_id
          where e.state = 'enrolled' and e.push_token is not null
            and (s.token_retired_at is null or s.token_retired_at < e.token_updated_at)
        `.execute(executorOf(tx));
        // What cannot be pushed (ended, no token, retired) would otherwise stay due for ever.
        await sql`
          delete from push_outbox o using enrollment e
          where o.lease_owner = ${owner} and o.lease_until = ${leaseUntil} and e.id = o.enrollment_id
            and (e.state <> 'enrolled' or e.push_token is null or exists (
              select from push_state s where s.enrollment_id = e.id and s.token_retired_at >= e.token_updated_at))
        `.execute(executorOf(tx));
        return rows.map(
          (row): DuePush => ({
            enrollment: row.enrollment_id,
            topic: row.topic,
            token: row.push_token,
            magic: row.push_magic,
            tokenUpdatedAt: row.token_updated_at,
            attempts: row.attempts,
          }),
        );
      });
    },

    async settle(owner, outcomes, now) {
      const done = outcomes.filter(({ verdict }) => verdict.kind !== 'retry' && verdict.kind !== 'stop_topic');
      const again = outcomes.filter(({ verdict }) => verdict.kind === 'retry' || verdict.kind === 'stop_topic');
      await db.run(async (tx) => {
        const executor = executorOf(tx);
        await sql`
          insert into push_state (enrollment_id, last_push_at, last_status, last_reason, token_retired_at, silent_pushes)
          select id, ${now}, status, reason, case when retired then ${now}::timestamptz end, accepted
          from unnest(${column(outcomes, (o) => o.enrollment)}::bigint[], ${column(outcomes, statusOf)}::int[],
                      ${column(outcomes, reasonOf)}::text[], ${column(outcomes, isRetired)}::boolean[],
                      ${column(outcomes, (o) => (o.verdict.kind === 'accepted' ? 1 : 0))}::int[])
               as t (id, status, reason, retired, accepted) order by id
          on conflict (enrollment_id) do update set
            last_push_at = excluded.last_push_at, last_status = excluded.last_status, last_reason = excluded.last_reason,
            token_retired_at = coalesce(excluded.token_retired_at, push_state.token_retired_at),
            silent_pushes = excluded.silent_pushes + case when exists (
                select from enrollment_seen n
                where n.enrollment_id = push_state.enrollment_id and ${polledSince(sql`push_state.last_push_at`)}
              ) then 0 else push_state.silent_pushes end
        `.execute(executor);
        await sql`
          delete from push_outbox
          where lease_owner = ${owner} and not again and enrollment_id = any(${column(done, (o) => o.enrollment)}::bigint[])
        `.execute(executor);
        await sql`
          update push_outbox set lease_until = null, lease_owner = null, again = false, attempts = 0
          where lease_owner = ${owner} and again and enrollment_id = any(${column(done, (o) => o.enrollment)}::bigint[])
        `.execute(executor);
        await sql`
          update push_outbox o set lease_until = null, lease_owner = null, again = false, attempts = o.attempts + 1, due_at = t.due_at
          from unnest(${column(again, (o) => o.enrollment)}::bigint[], ${column(again, dueAt(now))}::timestamptz[]) as t (id, due_at)
          where o.enrollment_id = t.id and o.lease_owner = ${owner}
        `.execute(executor);
      });
    },

    async requestForSilent(now, silentSince, limit) {
      return db.run(async (tx) => {
        const { rows } = await sql<{ enrollment_id: number }>`
          insert into push_outbox (enrollment_id, reason, due_at, created_at)
          select e.id, 'silent', ${now}, ${now}
          from enrollment e
          left join enrollment_seen n on n.enrollment_id = e.id
          left join lateral (
            select p.last_push_at, case when ${polledSince(sql`p.last_push_at`)} then 0 else p.silent_pushes end as silent_pushes
            from push_state p where p.enrollment_id = e.id
          ) s on true
          where e.state = 'enrolled' and e.push_token is not null
            and exists (select from command c where c.enrollment_id = e.id)
            and coalesce(n.seen_at, e.enrolled_at) < ${silentSince}
            -- 15 min, doubled with each push that stayed without a poll, a day at most.
            and coalesce(s.last_push_at, 'epoch') < ${now}::timestamptz
                - case when coalesce(s.silent_pushes, 0) = 0 and exists (
                    -- It came when it was called, took a command and was cut off: that it has it, nobody knows.
                    select from command c where c.enrollment_id = e.id and c.state = 'sent' and c.sent_at < ${silentSince})
                  then interval '1 minute'
                  else least(interval '15 minutes' * power(2, least(coalesce(s.silent_pushes, 0), 10)), interval '1 day') end
          order by e.id limit ${limit}
          on conflict (enrollment_id) do nothing
          returning enrollment_id
        `.execute(executorOf(tx));
        return rows.length;
      });
    },

    async requestForWaiting(now, perSecond) {
      return db.run(async (tx) => {
        const { rows } = await sql<{ enrollment_id: number }>`
          insert into push_outbox (enrollment_id, reason, due_at, created_at)
          select e.id, 'start', ${now}::timestamptz + interval '1 second' * ((row_number() over (order by e.id) - 1) / ${perSecond}::int), ${now}
          from enrollment e
          where e.state = 'enrolled' and e.push_token is not null
            and exists (select from command c where c.enrollment_id = e.id)
          order by e.id
          on conflict (enrollment_id) do nothing
          returning enrollment_id
        `.execute(executorOf(tx));
        return rows.length;
      });
    },
  };
}

/** Did the Mac `n` poll after this push? `seen_at` is written in steps, so a poll may show up to one step too early. */
function polledSince(pushedAt: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`n.seen_at > ${pushedAt} - make_interval(secs => ${SEEN_RESOLUTION_SECONDS}::int)`;
}

function column<T>(outcomes: readonly PushOutcome[], pick: (outcome: PushOutcome) => T) {
  return sql.val(outcomes.map(pick));
}

function statusOf({ answer }: PushOutcome): number | null {
  return answer.kind === 'answered' ? answer.status : null;
}

function reasonOf({ answer }: PushOutcome): string {
  return answer.kind === 'answered' ? answer.reason : answer.message.slice(0, 500);
}

function isRetired({ verdict }: PushOutcome): boolean {
  return verdict.kind === 'retire_token';
}

function dueAt(now: Date) {
  return ({ verdict }: PushOutcome): Date => new Date(now.getTime() + ('delayMs' in verdict ? verdict.delayMs : 0));
}

export function pushCertificateStore(db: Database): PushCertificateStore {
  return {
    async save(tx, certificate, sealedKey, now) {
      await sql`
        insert into push_certificate (topic, certificate, sealed_key, not_after, created_at)
        values (${certificate.topic}, ${certificate.certificate}, ${sealedKey}, ${certificate.notAfter}, ${now})
        on conflict (topic) do update set
          certificate = excluded.certificate, sealed_key = excluded.sealed_key,
          not_after = excluded.not_after, created_at = excluded.created_at
      `.execute(executorOf(tx));
    },
    async list() {
      const { rows } = await sql<{ topic: string; certificate: Buffer; sealed_key: Buffer; not_after: Date }>`
        select topic, certificate, sealed_key, not_after from push_certificate order by created_at
      `.execute(db.read);
      return rows.map((row) => ({
        topic: row.topic,
        certificate: row.certificate,
        sealedKey: row.sealed_key,
        notAfter: row.not_after,
      }));
    },
  };
}

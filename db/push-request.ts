import { sql } from 'kysely';

/**
 * What a request for a push does to the one that waits already. One that backs off after Apple's refusal is left alone:
 * it goes out in its time, for this request too. One that is under way may be answered by a poll which comes too early
 * for what this is about: it is sent once more, and at this request's time.
 */
export const ON_WAITING_PUSH = sql`
  on conflict (enrollment_id) do update
    set due_at = case when push_outbox.lease_until is null or push_outbox.again
                      then least(push_outbox.due_at, excluded.due_at) else excluded.due_at end,
        again = push_outbox.lease_until is not null
    where push_outbox.lease_until is not null or (push_outbox.due_at > excluded.due_at and push_outbox.attempts = 0)`;

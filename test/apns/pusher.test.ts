import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PushClient } from '../../apns/ports.ts';
import { createPusher } from '../../apns/pusher.ts';
import type { DuePush, PushAnswer } from '../../apns/types.ts';
import { systemRandom } from '../../core/system.ts';
import type { Database } from '../../db/database.ts';
import { pushStore } from '../../db/push-store.ts';
import { eachDatabase } from '../support/databases.ts';
import { enrolledHost, NOW, queuedCommand, TOPIC } from '../support/rows.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const later = (ms: number) => new Date(NOW.getTime() + ms);

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());
  beforeEach(() => sql`delete from push_outbox`.execute(db.read));

  function pusherWith(answer: (push: DuePush) => PushAnswer, now = NOW) {
    const sent: DuePush[] = [];
    const client: PushClient = {
      async send(push) {
        sent.push(push);
        return answer(push);
      },
      async close() {},
    };
    const deps = {
      store: pushStore(db),
      clientFor: () => client,
      clock: { now: () => now },
      random: systemRandom,
      log,
      owner: 'a',
    };
    return { sent, pusher: createPusher(deps) };
  }
  const ok: PushAnswer = { kind: 'answered', status: 200, reason: '' };
  const request = (refs: number[], dueAt = NOW) => db.run((tx) => pushStore(db).request(tx, refs, 'test', dueAt));
  const outbox = async () =>
    (
      await sql<{
        enrollment_id: number;
        attempts: number;
        due_at: Date;
      }>`select enrollment_id, attempts, due_at from push_outbox order by 1`.execute(db.read)
    ).rows;

  describe('pusher', () => {
    it('PSH-03: one push per enrolment however often it was asked for', async () => {
      const { enrollment } = await enrolledHost(db);
      await request([enrollment]);
      await request([enrollment], later(-5));
      const { sent, pusher } = pusherWith(() => ok);
      await pusher.drain();
      expect(sent.map((push) => [push.enrollment, push.topic, push.magic.startsWith('magic-')])).toEqual([
        [enrollment, TOPIC, true],
      ]);
      expect(await outbox()).toEqual([]);
    });

    it('sends nothing before it is due and nothing for an enrolment that ended', async () => {
      const waiting = await enrolledHost(db);
      const ended = await enrolledHost(db, { state: 'ended' });
      await request([waiting.enrollment], later(1000));
      await request([ended.enrollment]);
      const { sent, pusher } = pusherWith(() => ok);
      await pusher.drain();
      expect(sent).toEqual([]);
      expect((await outbox()).map((row) => row.enrollment_id)).toEqual([waiting.enrollment]);
    });

    it('PSH-06: 410 stops pushes until a TokenUpdate, and the command stays', async () => {
      const { enrollment } = await enrolledHost(db);
      await queuedCommand(db, enrollment);
      const gone = pusherWith(
        () => ({ kind: 'answered', status: 410, reason: 'Unregistered', timestamp: NOW.getTime() + 1 }),
        later(10),
      );
      await request([enrollment]);
      await gone.pusher.drain();
      await request([enrollment]);
      await gone.pusher.drain();
      expect(gone.sent).toHaveLength(1);
      expect(await outbox()).toEqual([]);
      await sql`update enrollment set token_updated_at = ${later(20)} where id = ${enrollment}`.execute(db.read);
      await request([enrollment]);
      const alive = pusherWith(() => ok, later(30));
      await alive.pusher.drain();
      expect(alive.sent).toHaveLength(1);
      const { rows } = await sql`select from command where enrollment_id = ${enrollment}`.execute(db.read);
      expect(rows).toHaveLength(1);
    });

    it('PSH-06: BadDeviceToken stops the topic, not the devices', async () => {
      const hosts = await Promise.all(Array.from({ length: 20 }, () => enrolledHost(db)));
      await request(hosts.map((host) => host.enrollment));
      const { sent, pusher } = pusherWith(() => ({ kind: 'answered', status: 400, reason: 'BadDeviceToken' }));
      await pusher.drain();
      expect(sent.length).toBeLessThanOrEqual(20);
      expect(await outbox()).toHaveLength(20);
      const { rows } =
        await sql`select from push_state where token_retired_at is not null and enrollment_id = any(${sql.val(hosts.map((h) => h.enrollment))}::bigint[])`.execute(
          db.read,
        );
      expect(rows).toEqual([]);
      const before = sent.length;
      await pusher.drain();
      expect(sent).toHaveLength(before);
    });

    it('R12: a transport fault keeps the push with a later due time', async () => {
      const { enrollment } = await enrolledHost(db);
      await request([enrollment]);
      const { pusher } = pusherWith(() => ({ kind: 'transport_error', message: 'reset' }));
      await pusher.drain();
      const [row] = await outbox();
      expect(row?.attempts).toBe(1);
      expect(row?.due_at.getTime()).toBeGreaterThanOrEqual(later(24_000).getTime());
    });

    it('R1: a lease that was never settled comes back when it runs out', async () => {
      const { enrollment } = await enrolledHost(db);
      await request([enrollment]);
      const leased = await pushStore(db).lease('crashed', NOW, later(60_000), 10);
      expect(leased).toHaveLength(1);
      const early = pusherWith(() => ok, later(59_000));
      await early.pusher.drain();
      expect(early.sent).toEqual([]);
      const late = pusherWith(() => ok, later(61_000));
      await late.pusher.drain();
      expect(late.sent).toHaveLength(1);
    });

    it('a request that comes while a push is under way is not lost with it', async () => {
      const { enrollment } = await enrolledHost(db);
      await request([enrollment]);
      const store = pushStore(db);
      await store.lease('a', NOW, later(60_000), 10);
      await request([enrollment], later(1));
      await store.settle('a', [{ enrollment, answer: ok, verdict: { kind: 'accepted' } }], NOW);
      expect(await outbox()).toHaveLength(1);
    });

    it('PSH-05: a silent Mac with a waiting command is pushed again, with growing distance', async () => {
      const { enrollment } = await enrolledHost(db);
      await queuedCommand(db, enrollment);
      const store = pushStore(db);
      const sweep = async (now: Date) => {
        await store.requestForSilent(now, new Date(now.getTime() - 60_000), 100);
        const { sent, pusher } = pusherWith(() => ok, now);
        await pusher.drain();
        return sent.some((push) => push.enrollment === enrollment);
      };
      const minutes = [16, 35, 47, 80, 108];
      const pushed: boolean[] = [];
      for (const minute of minutes) pushed.push(await sweep(later(minute * 60_000)));
      expect(pushed).toEqual([true, false, true, false, true]);
    });

    it('PSH-05: pushes that were answered by polls do not lengthen the wait for the next silent one', async () => {
      const { enrollment } = await enrolledHost(db);
      const store = pushStore(db);
      const hour = 3_600_000;
      for (let pushed = 0; pushed < 8; pushed += 1) {
        await request([enrollment], later(pushed * hour));
        await pusherWith(() => ok, later(pushed * hour)).pusher.drain();
        await sql`
          insert into enrollment_seen (enrollment_id, seen_at) values (${enrollment}, ${later(pushed * hour + 2000)})
          on conflict (enrollment_id) do update set seen_at = excluded.seen_at
        `.execute(db.read);
      }
      await queuedCommand(db, enrollment);
      const now = later(7 * hour + 20 * 60_000);
      await store.requestForSilent(now, later(7 * hour + 5 * 60_000), 100);
      expect((await outbox()).map((row) => row.enrollment_id)).toContain(enrollment);
    });

    it('PSH-05: a Mac that came, took a command and was cut off is called again after a minute, not a quarter of an hour', async () => {
      const { enrollment } = await enrolledHost(db);
      const uuid = await queuedCommand(db, enrollment);
      const store = pushStore(db);
      await request([enrollment]);
      await pusherWith(() => ok, NOW).pusher.drain();
      await sql`
        insert into enrollment_seen (enrollment_id, seen_at) values (${enrollment}, ${later(1000)})
      `.execute(db.read);
      const asked = async (minute: number) => {
        await store.requestForSilent(later(minute * 60_000), later((minute - 1) * 60_000), 100);
        return (await outbox()).some((row) => row.enrollment_id === enrollment);
      };
      expect(await asked(3)).toBe(false);
      await sql`update command set state = 'sent', sent_at = ${later(1000)} where command_uuid = ${uuid}`.execute(
        db.read,
      );
      expect(await asked(3)).toBe(true);
    });

    it('PSH-06: a wrong token among good ones is its own fault and holds up nobody', async () => {
      const good = await enrolledHost(db);
      const wrong = await enrolledHost(db);
      const { sent, pusher } = pusherWith((push) =>
        push.enrollment === wrong.enrollment ? { kind: 'answered', status: 400, reason: 'BadDeviceToken' } : ok,
      );
      for (const refs of [[good.enrollment], [wrong.enrollment], [good.enrollment]]) {
        await request(refs);
        await pusher.drain();
      }
      expect(sent.map((push) => push.enrollment)).toEqual([good.enrollment, wrong.enrollment, good.enrollment]);
      expect(await outbox()).toEqual([]);
    });

    it('R1: after a start everybody with a waiting command is pushed, paced, and nobody else', async () => {
      await sql`delete from command`.execute(db.read);
      const waiting = await Promise.all(Array.from({ length: 5 }, () => enrolledHost(db)));
      await enrolledHost(db);
      for (const { enrollment } of waiting) await queuedCommand(db, enrollment);
      expect(await pushStore(db).requestForWaiting(NOW, 2)).toBe(5);
      const rows = await outbox();
      expect(rows.map((row) => row.enrollment_id)).toEqual(
        waiting.map((host) => host.enrollment).sort((a, b) => a - b),
      );
      expect(rows.map((row) => row.due_at.getTime() - NOW.getTime())).toEqual([0, 0, 1000, 1000, 2000]);
    });

    it('a push asked for now is not put off by one asked for later', async () => {
      const { enrollment } = await enrolledHost(db);
      const store = pushStore(db);
      await request([enrollment]);
      await store.lease('a', NOW, later(60_000), 10);
      await request([enrollment], later(1));
      await request([enrollment], later(30_000));
      await store.settle('a', [{ enrollment, answer: ok, verdict: { kind: 'accepted' } }], NOW);
      expect((await outbox()).map((row) => row.due_at.getTime())).toEqual([later(1).getTime()]);
    });

    it('two pushers never send one push twice', async () => {
      const hosts = await Promise.all(Array.from({ length: 30 }, () => enrolledHost(db)));
      await request(hosts.map((host) => host.enrollment));
      const a = pusherWith(() => ok);
      const b = pusherWith(() => ok);
      await Promise.all([a.pusher.drain(), b.pusher.drain()]);
      const refs = [...a.sent, ...b.sent].map((push) => push.enrollment).sort((x, y) => x - y);
      expect(refs).toEqual(hosts.map((host) => host.enrollment).sort((x, y) => x - y));
    });
  });
});

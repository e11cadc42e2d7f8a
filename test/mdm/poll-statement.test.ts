import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CommandOutcome } from '../../core/effects.ts';
import { commandStore } from '../../db/command-store.ts';
import type { Database } from '../../db/database.ts';
import { takeTurn } from '../../mdm/command.ts';
import type { CommandStore, PollRow } from '../../mdm/ports.ts';
import type { CommandState, LiveCommand, Report } from '../../mdm/types.ts';
import { eachDatabase } from '../support/databases.ts';
import { enrolledHost, NOW } from '../support/rows.ts';

/** The statement held to the rules: whole queues in every state, whole batches of turns, both engines. */

type QueueRow = Omit<LiveCommand, 'op'> & { readonly slot_id: number | null; readonly op_generation: number | null };

interface Slot {
  readonly state: CommandState;
  readonly deferred: boolean;
  readonly requestType: string;
  readonly op: boolean;
}
const slot: fc.Arbitrary<Slot> = fc.record({
  state: fc.constantFrom('queued', 'sent', 'not_now'),
  deferred: fc.boolean(),
  requestType: fc.constantFrom('DeviceInformation', 'InstallProfile', 'ProfileList', 'DeviceConfigured'),
  op: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.boolean()),
});

/** `about`: which command of the queue, one finished before (-1), or one nobody knows (-2). */
interface Turn {
  readonly kind: Report['kind'];
  readonly about: number;
  readonly outcome: CommandOutcome;
  readonly settled: boolean;
}
const turn: fc.Arbitrary<Turn> = fc.record({
  kind: fc.constantFrom('idle', 'not_now', 'finished'),
  about: fc.integer({ min: -2, max: 4 }),
  outcome: fc.constantFrom('Acknowledged', 'Error', 'CommandFormatError', 'Unknown'),
  settled: fc.boolean(),
});
const channel = fc.record({
  queue: fc.array(slot, { maxLength: 5 }),
  turns: fc.array(turn, { minLength: 1, maxLength: 4 }),
});

eachDatabase((_kind, open) => {
  let db: Database;
  let store: CommandStore;
  beforeAll(async () => {
    db = await open();
    store = commandStore(db);
  });
  afterAll(() => db.close());

  async function liveQueue(enrollment: number): Promise<LiveCommand[]> {
    const { rows } = await sql<QueueRow>`
      select command_uuid as "commandUuid", seq, request_type as "requestType", state, deferred, deliveries,
        enrollment_generation as "enrollmentGeneration", not_now_count as "notNowCount", slot_id, op_generation
      from command where enrollment_id = ${enrollment} order by seq`.execute(db.read);
    return rows.map(({ slot_id, op_generation, ...row }) => ({
      ...row,
      op: slot_id === null || op_generation === null ? undefined : { slot: slot_id, generation: op_generation },
    }));
  }

  async function prepared(queue: readonly Slot[]) {
    const host = await enrolledHost(db);
    const certificate = Buffer.from(randomUUID());
    await sql`update enrollment set certificate_sha256 = ${certificate} where id = ${host.enrollment}`.execute(db.read);
    const uuids = queue.map(() => randomUUID());
    const finished = randomUUID();
    await sql`
      insert into command_history (enrollment_id, command_uuid, request_type, origin, outcome, enrollment_generation,
        result, finished_at)
      values (${host.enrollment}, ${finished}, 'DeviceInformation', 'api', 'Acknowledged', 1, 'first', ${NOW})
    `.execute(db.read);
    if (queue.length > 0) {
      await sql`
        with body as (insert into command_body (sha256, bytes) values (${Buffer.from(randomUUID())}, 'x') returning id)
        insert into command (enrollment_id, command_uuid, request_type, body_id, origin, state, deferred,
          enrollment_generation, slot_id, op_generation, queued_at)
        select ${host.enrollment}, t.uuid, t.request_type, body.id, 'api', t.state, t.deferred, 1, t.slot, t.slot, ${NOW}
        from body, unnest(${sql.val(uuids)}::text[], ${sql.val(queue.map((s) => s.requestType))}::text[],
          ${sql.val(queue.map((s) => s.state))}::text[], ${sql.val(queue.map((s) => s.deferred))}::boolean[],
          ${sql.val(queue.map((s) => (s.op ? 7 : null)))}::int[]) with ordinality as t (uuid, request_type, state, deferred, slot, n)
        order by n
      `.execute(db.read);
    }
    return { ...host, certificate, uuids, finished };
  }

  test('R2 CMD-01 CMD-03 CMD-05 NNW-01 the statement follows the rules of takeTurn', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(channel, { minLength: 1, maxLength: 6 }), async (channels) => {
        const hosts = await Promise.all(channels.map(({ queue }) => prepared(queue)));
        const rounds = Math.max(...channels.map(({ turns }) => turns.length));
        for (let round = 0; round < rounds; round += 1) {
          const batch = hosts.flatMap((host, index) => {
            const next = channels[index]?.turns[round];
            return next === undefined ? [] : [{ host, next, row: rowOf(host, next), uuid: uuidOf(host, next.about) }];
          });
          const before = await Promise.all(batch.map(({ host }) => liveQueue(host.enrollment)));
          const answers = await store.poll(
            batch.map(({ row }) => row),
            NOW,
          );
          for (const [index, { host, next, uuid, row }] of batch.entries()) {
            const expected = takeTurn(before[index] ?? [], reportOf(next, uuid));
            const answer = answers[index];
            const after = await liveQueue(host.enrollment);
            if (!row.settled && expected.weighty) {
              expect(answer).toEqual({ kind: 'weighty' });
              expect(after).toEqual(before[index]);
            } else {
              expect(after).toEqual(expected.queue);
              expect(answer).toMatchObject(
                expected.handOut === undefined
                  ? { kind: 'nothing', leftBehind: expected.leftBehind ? host.enrollment : undefined }
                  : { kind: 'command', commandUuid: expected.handOut },
              );
              await expectHistory(host.enrollment, uuid, next, expected);
            }
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  const uuidOf = (host: Awaited<ReturnType<typeof prepared>>, about: number): string =>
    host.uuids[about] ?? (about === -1 ? host.finished : `unknown-${about}`);

  function rowOf(host: Awaited<ReturnType<typeof prepared>>, next: Turn): PollRow {
    const finished = next.kind === 'finished';
    return {
      enrollmentId: host.udid,
      certificateSha256: host.certificate,
      turn: next.kind,
      commandUuid: next.kind === 'idle' ? undefined : uuidOf(host, next.about),
      outcome: finished ? next.outcome : undefined,
      errorChain: finished ? [{ code: 1, domain: 'D"{,\\', description: 'ü' }] : [],
      result: finished ? Buffer.from('bytes\0"\\{}') : undefined,
      truncated: false,
      settled: next.settled,
    };
  }

  function reportOf(next: Turn, commandUuid: string): Report {
    if (next.kind === 'idle') return { kind: 'idle' };
    if (next.kind === 'not_now') return { kind: 'not_now', commandUuid };
    return { kind: 'finished', commandUuid, outcome: next.outcome, status: next.outcome, errorChain: [] };
  }

  async function expectHistory(enrollment: number, uuid: string, next: Turn, expected: ReturnType<typeof takeTurn>) {
    if (expected.finished === undefined) return;
    const { rows } = await sql<{
      outcome: string;
      orphan: boolean;
      duplicate_reports: number;
      result: Buffer;
      chain: unknown;
    }>`
      select outcome, orphan, duplicate_reports, result, error_chain as chain from command_history
      where enrollment_id = ${enrollment} and command_uuid = ${uuid}`.execute(db.read);
    expect(rows).toHaveLength(1);
    const [row] = rows;
    expect(row).toMatchObject({ outcome: next.outcome, orphan: false, duplicate_reports: 0 });
    expect(row?.result.toString()).toBe('bytes\0"\\{}');
    expect(row?.chain).toEqual([{ code: 1, domain: 'D"{,\\', description: 'ü' }]);
  }

  test('R21 the statement itself refuses a certificate that is not the current one of a live enrolment', async () => {
    const host = await prepared([{ state: 'queued', deferred: false, requestType: 'DeviceInformation', op: false }]);
    const idle = rowOf(host, { kind: 'idle', about: 0, outcome: 'Acknowledged', settled: false });
    const stranger = { ...idle, certificateSha256: Buffer.from('another') };
    const unknown = { ...idle, enrollmentId: 'nobody' };
    expect(await store.poll([stranger, unknown, idle], NOW)).toMatchObject([
      { kind: 'not_live' },
      { kind: 'not_live' },
      { kind: 'command', commandUuid: host.uuids[0] },
    ]);
    await sql`update enrollment set state = 'ended' where id = ${host.enrollment}`.execute(db.read);
    expect(await store.poll([idle], NOW)).toEqual([{ kind: 'not_live' }]);
  });

  test('an Idle with nothing to hand out writes nothing while last_seen is fresh', async () => {
    const host = await prepared([]);
    const idle = rowOf(host, { kind: 'idle', about: 0, outcome: 'Acknowledged', settled: false });
    const seen = async () =>
      (
        await sql<{ seen_at: Date; xmin: string }>`
        select seen_at, xmin::text from enrollment_seen where enrollment_id = ${host.enrollment}`.execute(db.read)
      ).rows[0];
    await store.poll([idle], NOW);
    const first = await seen();
    await store.poll([idle], new Date(NOW.getTime() + 29_000));
    expect(await seen()).toEqual(first);
    await store.poll([idle], new Date(NOW.getTime() + 31_000));
    expect((await seen())?.seen_at).toEqual(new Date(NOW.getTime() + 31_000));
  });
});

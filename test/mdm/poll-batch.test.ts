import { describe, expect, test } from 'vitest';
import { createPollBatch } from '../../mdm/poll-batch.ts';
import type { PollAnswer, PollRow } from '../../mdm/ports.ts';

const row = (enrollmentId: string): PollRow => ({
  enrollmentId,
  certificateSha256: Buffer.alloc(32),
  turn: 'idle',
  commandUuid: undefined,
  outcome: undefined,
  errorChain: [],
  result: undefined,
  truncated: false,
  settled: false,
});
const answerFor = ({ enrollmentId }: PollRow): PollAnswer => ({
  kind: 'command',
  commandUuid: enrollmentId,
  bodyId: 1,
});

function harness(statementsAtOnce = 4) {
  const batches: string[][] = [];
  const release: (() => void)[] = [];
  let fault: ((rows: readonly PollRow[]) => Error | undefined) | undefined;
  const batch = createPollBatch<PollRow, PollAnswer>({
    maxBatch: 64,
    atOnce: statementsAtOnce,
    isRowFault: (error) => (error as { code?: string }).code === '23000',
    async poll(rows) {
      batches.push(rows.map((one) => one.enrollmentId));
      await new Promise<void>((resolve) => release.push(resolve));
      const error = fault?.(rows);
      if (error !== undefined) throw error;
      return rows.map(answerFor);
    },
  });
  const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
  return {
    batch,
    batches,
    turn,
    releaseAll: async () => {
      while (release.length > 0) {
        release.shift()?.();
        await turn();
      }
    },
    failWith: (make: typeof fault) => {
      fault = make;
    },
  };
}

describe('poll batch', () => {
  test('alone a poll goes out at the end of the turn; what comes in the same turn goes with it', async () => {
    const { batch, batches, turn, releaseAll } = harness();
    const answers = Promise.all(['a', 'b', 'c'].map((id) => batch.submit(row(id))));
    await turn();
    expect(batches).toEqual([['a', 'b', 'c']]);
    await releaseAll();
    expect(await answers).toEqual(['a', 'b', 'c'].map((id) => answerFor(row(id))));
    expect(batch.sizes[3]).toBe(1);
  });

  test('while statements are on their way the next batch collects, 64 at most', async () => {
    const { batch, batches, turn, releaseAll } = harness(1);
    const first = batch.submit(row('first'));
    await turn();
    const rest = Array.from({ length: 100 }, (_, n) => batch.submit(row(`d${n}`)));
    await turn();
    expect(batches).toHaveLength(1);
    await releaseAll();
    await Promise.all([first, ...rest]);
    expect(batches.map((one) => one.length)).toEqual([1, 64, 36]);
  });

  test('H-19 one enrolment is never in two statements at once, and its polls keep their order', async () => {
    const { batch, batches, turn, releaseAll } = harness();
    const all = Promise.all([batch.submit(row('a')), batch.submit(row('a')), batch.submit(row('b'))]);
    await turn();
    expect(batches).toEqual([['a', 'b']]);
    await releaseAll();
    await all;
    expect(batches).toEqual([['a', 'b'], ['a']]);
  });

  test('R19 a row the database refuses fails alone', async () => {
    const { batch, turn, releaseAll, failWith } = harness();
    failWith((rows) =>
      rows.some((one) => one.enrollmentId === 'bad')
        ? Object.assign(new Error('refused'), { code: '23000' })
        : undefined,
    );
    const all = Promise.allSettled(['a', 'bad', 'b'].map((id) => batch.submit(row(id))));
    await turn();
    const settled = all.then((results) => results.map((result) => result.status));
    const released = (async () => {
      for (let n = 0; n < 8; n += 1) {
        await releaseAll();
        await turn();
      }
    })();
    expect(await settled).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    await released;
  });

  test('R8 a database that fails as a whole fails the batch at once, and the next one is tried', async () => {
    const { batch, batches, turn, releaseAll, failWith } = harness();
    failWith(() => new Error('connection lost'));
    const all = Promise.allSettled(['a', 'b'].map((id) => batch.submit(row(id))));
    await turn();
    await releaseAll();
    expect((await all).map((result) => result.status)).toEqual(['rejected', 'rejected']);
    expect(batches).toHaveLength(1);
    failWith(undefined);
    const again = batch.submit(row('a'));
    await turn();
    await releaseAll();
    expect(await again).toEqual(answerFor(row('a')));
  });

  test('R17 more than 10,000 waiting polls are told to come back', async () => {
    const { batch, turn, releaseAll } = harness(1);
    const first = batch.submit(row('first'));
    await turn();
    const waiting = Array.from({ length: 10_000 }, (_, n) => batch.submit(row(`d${n}`)));
    await expect(batch.submit(row('one more'))).rejects.toMatchObject({ code: 'service_unavailable' });
    const done = Promise.all([first, ...waiting]);
    const released = (async () => {
      for (let n = 0; n < 200; n += 1) await releaseAll().then(turn);
    })();
    await Promise.all([done, released]);
  });
});

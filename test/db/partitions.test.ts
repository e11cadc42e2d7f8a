import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { keepPartitions, partitionPlan } from '../../db/partitions.ts';
import { eachDatabase } from '../support/databases.ts';

const KEEP_ALL = 10_000;

eachDatabase((_kind, open) => {
  // One database: each test lives in a month of its own.
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  const finish = (uuid: string, finishedAt: string) =>
    sql`
    insert into command_history (enrollment_id, command_uuid, request_type, origin, outcome, enrollment_generation, finished_at)
    values (${1}, ${uuid}, 'DeviceInformation', 'api', 'Acknowledged', 1, ${new Date(finishedAt)})`.execute(db.read);

  async function where(...uuids: string[]): Promise<(string | undefined)[]> {
    const { rows } = await sql<{ uuid: string; part: string }>`
      select command_uuid as uuid, tableoid::regclass::text as part from command_history`.execute(db.read);
    return uuids.map((uuid) => rows.find((row) => row.uuid === uuid)?.part.replace('command_history_', ''));
  }

  test('today and the days ahead get a partition each, once, with the index of the parent', async () => {
    const plan = partitionPlan(new Date('2026-03-30T15:30:00Z'), 2, KEEP_ALL);
    expect(await keepPartitions(db, plan)).toEqual({
      created: ['command_history_20260330', 'command_history_20260331', 'command_history_20260401'],
      dropped: [],
    });
    expect(await keepPartitions(db, plan)).toEqual({ created: [], dropped: [] });
    await finish('first', '2026-03-30T00:00:00Z');
    await finish('last', '2026-03-30T23:59:59.999Z');
    await finish('next', '2026-03-31T00:00:00Z');
    expect(await where('first', 'last', 'next')).toEqual(['20260330', '20260330', '20260331']);
    const { rows } = await sql`select 1 from pg_indexes where tablename = ${'command_history_20260401'}`.execute(
      db.read,
    );
    expect(rows).toHaveLength(1);
  });

  test('rows that came before their partition move into it, the others wait on', async () => {
    await finish('early', '2026-05-22T12:00:00Z');
    await finish('other', '2026-05-01T12:00:00Z');
    expect(await where('early', 'other')).toEqual(['rest', 'rest']);
    await keepPartitions(db, partitionPlan(new Date('2026-05-22T00:00:00Z'), 1, KEEP_ALL));
    expect(await where('early', 'other')).toEqual(['20260522', 'rest']);
  });

  test('replicas that do it at the same time make each partition once', async () => {
    await finish('raced', '2026-07-23T12:00:00Z');
    const plan = partitionPlan(new Date('2026-07-22T15:30:00Z'), 3, KEEP_ALL);
    const answers = await Promise.all(Array.from({ length: 4 }, () => keepPartitions(db, plan)));
    expect(answers.flatMap((answer) => answer.created)).toHaveLength(4);
    expect(await where('raced')).toEqual(['20260723']);
  });

  test('whole days beyond retention go, with what lies in the default partition', async () => {
    await keepPartitions(db, partitionPlan(new Date('2027-01-10T12:00:00Z'), 2, KEEP_ALL));
    await finish('old', '2027-01-10T12:00:00Z');
    await finish('kept', '2027-01-12T00:00:00Z');
    await finish('stray', '2026-12-01T12:00:00Z');
    const { dropped } = await keepPartitions(db, partitionPlan(new Date('2027-01-22T15:30:00Z'), 0, 10));
    expect(dropped.filter((name) => name.startsWith('command_history_2027'))).toEqual([
      'command_history_20270110',
      'command_history_20270111',
    ]);
    expect(await where('old', 'kept', 'stray')).toEqual([undefined, '20270112', undefined]);
  });
});

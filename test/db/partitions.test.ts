import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { keepPartitions, partitionPlan } from '../../db/partitions.ts';
import { eachDatabase } from '../support/databases.ts';

const NOW = new Date('2026-11-22T15:30:00Z');
const at = (day: string) => new Date(`${day}T12:00:00Z`);

eachDatabase((_kind, open) => {
  let db: Database;
  beforeEach(async () => {
    db = await open();
  });
  afterEach(() => db.close());

  const finish = (uuid: string, finishedAt: Date) =>
    sql`
    insert into command_history (enrollment_id, command_uuid, request_type, origin, outcome, enrollment_generation, finished_at)
    values (${1}, ${uuid}, 'DeviceInformation', 'api', 'Acknowledged', 1, ${finishedAt})`.execute(db.read);

  async function where(): Promise<Record<string, string>> {
    const { rows } = await sql<{ uuid: string; part: string }>`
      select command_uuid as uuid, tableoid::regclass::text as part from command_history`.execute(db.read);
    return Object.fromEntries(rows.map((row) => [row.uuid, row.part]));
  }

  test('today and the days ahead get a partition each, once', async () => {
    const plan = partitionPlan(NOW, 2, 30);
    expect(await keepPartitions(db, plan)).toEqual({
      created: ['command_history_20261122', 'command_history_20261123', 'command_history_20261124'],
      dropped: [],
    });
    expect(await keepPartitions(db, plan)).toEqual({ created: [], dropped: [] });
    await finish('first', new Date('2026-11-22T00:00:00Z'));
    await finish('last', new Date('2026-11-22T23:59:59.999Z'));
    await finish('next', new Date('2026-11-23T00:00:00Z'));
    expect(await where()).toEqual({
      first: 'command_history_20261122',
      last: 'command_history_20261122',
      next: 'command_history_20261123',
    });
  });

  test('rows that came before their partition move into it', async () => {
    await finish('early', at('2026-11-22'));
    await finish('other', at('2026-10-01'));
    expect(await where()).toEqual({ early: 'command_history_rest', other: 'command_history_rest' });
    await keepPartitions(db, partitionPlan(NOW, 1, 90));
    expect(await where()).toEqual({ early: 'command_history_20261122', other: 'command_history_rest' });
  });

  test('whole days beyond retention go, with what lies in the default partition', async () => {
    await keepPartitions(db, partitionPlan(at('2026-11-10'), 2, 30));
    await finish('old', at('2026-11-10'));
    await finish('kept', at('2026-11-12'));
    await finish('stray', at('2026-10-01'));
    expect((await keepPartitions(db, partitionPlan(NOW, 0, 10))).dropped).toEqual([
      'command_history_20261110',
      'command_history_20261111',
    ]);
    expect(await where()).toEqual({ kept: 'command_history_20261112' });
  });

  test('replicas that do it at the same time make each partition once', async () => {
    await finish('early', at('2026-11-23'));
    const plan = partitionPlan(NOW, 4, 30);
    const answers = await Promise.all(Array.from({ length: 5 }, () => keepPartitions(db, plan)));
    expect(answers.flatMap((answer) => answer.created).toSorted()).toHaveLength(5);
    expect(await where()).toEqual({ early: 'command_history_20261123' });
  });

  test('the index of the parent holds in a new partition', async () => {
    await keepPartitions(db, partitionPlan(NOW, 0, 30));
    const { rows } = await sql`select 1 from pg_indexes where tablename = ${'command_history_20261122'}`.execute(
      db.read,
    );
    expect(rows).toHaveLength(1);
  });
});

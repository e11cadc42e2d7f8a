import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { executorOf } from '../../db/database.ts';
import { eachDatabase } from '../support/databases.ts';

eachDatabase((kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  test('says which engine it is', () => {
    expect(db.kind).toBe(kind);
  });

  test('a unit of work commits together or not at all', async () => {
    await db.run(async (tx) => {
      await sql`insert into team (name) values (${'kept'})`.execute(executorOf(tx));
    });
    const thrown = db.run(async (tx) => {
      await sql`insert into team (name) values (${'lost'})`.execute(executorOf(tx));
      throw new Error('no');
    });
    await expect(thrown).rejects.toThrow('no');
    const { rows } = await sql<{ name: string }>`select name from team order by id`.execute(db.read);
    expect(rows.map((row) => row.name)).toEqual(['Default', 'kept']);
  });
});

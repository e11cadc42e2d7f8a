import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { installationStore } from '../../db/installation-store.ts';
import { eachDatabase } from '../support/databases.ts';

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  test('a fact is fixed by whoever comes first, and everybody reads that one', async () => {
    const store = installationStore(db);
    expect(await store.get('public_url')).toBeUndefined();
    const answers = await Promise.all([1, 2, 3].map((n) => store.setOnce('public_url', `https://mdm${n}.example`)));
    expect(new Set(answers).size).toBe(1);
    expect(await store.get('public_url')).toBe(answers[0]);
    expect(await store.setOnce('public_url', 'https://other.example')).toBe(answers[0]);
  });

  test('inside a unit of work it is undone with it', async () => {
    const store = installationStore(db);
    const run = db.run(async (tx) => {
      expect(await store.setOnce('demo', { macs: [1, 2] }, tx)).toEqual({ macs: [1, 2] });
      throw new Error('stop');
    });
    await expect(run).rejects.toThrow('stop');
    expect(await store.get('demo')).toBeUndefined();
  });
});

/** The audit's ranges: shared by replicas through leases, and each of them seen. */
import { expect, test } from 'vitest';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet } from './fleet.ts';
import { later, NOW } from './world.ts';

const SLICES = 4;

eachDatabase((_kind, open) => {
  test('a range is leased to one owner at a time, waits its turn, and is another’s when its owner dies', async () => {
    const db = await open();
    const store = reconcileStore(db);
    const lease = (owner: string, at: number) => store.leaseAudit(SLICES, owner, later(at), later(at + 100));
    try {
      expect(await lease('a', 0)).toBeUndefined();
      await store.askAudit(SLICES, NOW);
      expect([await lease('a', 0), await lease('b', 0), await lease('a', 1), await lease('b', 1)]).toEqual([
        0, 1, 2, 3,
      ]);
      expect(await lease('a', 2)).toBeUndefined();
      await store.endAudit(SLICES, 0, 'a', later(1000));
      expect(await lease('b', 2)).toBeUndefined();
      // b has died: what it had is taken over, and what it says afterwards ends nothing.
      expect([await lease('a', 100), await lease('a', 101)]).toEqual([1, 2]);
      await store.endAudit(SLICES, 1, 'b', later(5000));
      expect([await lease('c', 102), await lease('c', 201)]).toEqual([3, 1]);
    } finally {
      await db.close();
    }
  });

  test('asked for, a range is due before its turn; made known, it is not', async () => {
    const db = await open();
    const store = reconcileStore(db);
    const lease = (at: number) => store.leaseAudit(1, 'a', later(at), later(at + 100));
    try {
      await store.layOutAudit(1, NOW);
      expect(await lease(0)).toBe(0);
      await store.endAudit(1, 0, 'a', later(9000));
      await store.layOutAudit(1, later(10));
      expect(await lease(10)).toBeUndefined();
      await store.askAudit(1, later(10));
      expect(await lease(10)).toBe(0);
    } finally {
      await db.close();
    }
  });

  test('replicas that start together audit everybody once', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const replicas = Array.from({ length: 3 }, () => fleet.reconciler({ sweepSlices: SLICES }));
    try {
      for (let index = 0; index < 10; index += 1) await fleet.mac(replicas[0] as (typeof replicas)[number]);
      const seen: number[] = [];
      for (let turn = 0; turn < 2; turn += 1)
        for (const one of replicas) seen.push((await one.tick()).swept?.hosts ?? 0);
      expect(seen.reduce((sum, count) => sum + count, 0)).toBe(10);
    } finally {
      await db.close();
    }
  });
});

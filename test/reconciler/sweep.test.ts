/** The audit where the database fails it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { createCurrentCatalogue } from '../../reconciler/current-catalogue.ts';
import { DEFAULT_SETTINGS } from '../../reconciler/settings.ts';
import { createSweep } from '../../reconciler/sweep.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet } from './fleet.ts';
import { digest } from './world.ts';

const alone: unknown[] = [];
const note = (reason: unknown) => alone.push(reason);
process.on('unhandledRejection', note);
afterAll(() => process.off('unhandledRejection', note));

eachDatabase((_kind, open) => {
  test('a page that fails while an earlier one is read ends the audit, not the process', async () => {
    const db = await open();
    try {
      const fleet = new Fleet(db);
      for (let index = 0; index < 4; index += 1) await fleet.mac(fleet.reconciler());
      const store = reconcileStore(db);
      let page = 0;
      const sweep = createSweep({
        store: {
          ...store,
          auditPageKeys: 1,
          auditPagesAhead: 2,
          async auditPage(low, high) {
            page += 1;
            if (page === 2) throw new Error('the connection is gone');
            await sleep(50);
            return store.auditPage(low, high);
          },
        },
        unitOfWork: db,
        catalogue: createCurrentCatalogue(store, { digest }),
        clock: fleet.clock,
        settings: DEFAULT_SETTINGS,
        owner: 'one',
      });
      await expect(sweep.all()).rejects.toThrow('the connection is gone');
      expect(alone).toEqual([]);
    } finally {
      await db.close();
    }
  });
});

/** The audit where the database fails it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, expect, test } from 'vitest';
import type { Log } from '../../core/log.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { createCurrentCatalogue } from '../../reconciler/current-catalogue.ts';
import { DEFAULT_SETTINGS } from '../../reconciler/settings.ts';
import { createSweep } from '../../reconciler/sweep.ts';
import { createReconciler } from '../../reconciler/tick.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet } from './fleet.ts';
import { digest } from './world.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

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

  test('a tick whose audit fails works the queue off all the same', async () => {
    const db = await open();
    try {
      const fleet = new Fleet(db);
      await fleet.mac(fleet.reconciler());
      await fleet.upload({ identifier: 'com.example.a' });
      const store = reconcileStore(db);
      const reconciler = createReconciler({
        store: {
          ...store,
          async auditPage() {
            throw new Error('the connection is gone');
          },
        },
        unitOfWork: db,
        clock: fleet.clock,
        ids: fleet.ids,
        log: quiet,
        key: { digest },
        commandBody: fleet.commandBody,
      });
      await expect(reconciler.audit()).rejects.toThrow('the connection is gone');
      const { rows } = await sql`select from command where request_type = 'InstallProfile'`.execute(db.read);
      expect(rows).toHaveLength(1);
    } finally {
      await db.close();
    }
  });
});

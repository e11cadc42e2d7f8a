/** Two workers whose poll of the epoch stands still: no edit is missed, because a claim reads the epoch itself (design §4). */
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import type { Rooms } from '../../server/rooms.ts';
import { eachDatabase } from '../support/databases.ts';
import { mobileconfig } from './history.ts';
import { House } from './house.ts';
import { SimMac } from './sim-mac.ts';

/** Edits, each by one process and worked off by the other. */
const EDITS = Number(process.env['EPOCH_EDITS'] ?? 10);
const PROFILES = 4;
const MACS = 3;

async function wanted(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    select r.enrollment_id || ' ' || p.current_version_id as what from recon r join profile p on p.deleted_at is null order by 1
  `.execute(db.read);
  return rows.map((row) => row.what);
}

async function queued(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    select o.enrollment_id || ' ' || o.version_id as what from op o join command c using (enrollment_id, command_uuid)
    where o.op = 'install' order by 1
  `.execute(db.read);
  return rows.map((row) => row.what);
}

eachDatabase((_kind, open) => {
  test(
    'two workers, neither of which ever polls the epoch: no edit is missed',
    async () => {
      const db = await open();
      try {
        const house = await House.open(db);
        const workers: Rooms[] = [await house.replica(), await house.replica()];
        const admin = await house.replica();
        for (let index = 0; index < MACS; index += 1) await new SimMac(house, index + 1, 'none').enrol(admin);
        // Both have a catalogue in memory from here on. `drain` is all they do: no audit, which would read the epoch.
        for (const rooms of workers) await rooms.reconciler.drain();
        const stale = await reconcileStore(db).epoch();

        const seed = Number(process.env['SOAK_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
        const turns = fc.sample(fc.record({ name: fc.nat(PROFILES - 1), worker: fc.nat(1), content: fc.nat(1000) }), {
          seed,
          numRuns: EDITS,
        });
        let missed = 0;
        for (const [index, { name, worker, content }] of turns.entries()) {
          await admin.profiles.upload(mobileconfig(`com.example.${name}`, 'device', content * EDITS + index), {
            teamId: 1,
            includeMode: 'none',
            includeLabels: [],
            excludeLabels: [],
          });
          await workers[worker]?.reconciler.drain();
          const [should, does] = [await wanted(db), await queued(db)];
          missed += should.filter((one) => !does.includes(one)).length;
        }
        expect(missed, `seed ${seed}`).toBe(0);
        expect(await reconcileStore(db).epoch()).toBe(stale + EDITS);
        if (process.env['EPOCH_EDITS'] !== undefined) console.log(JSON.stringify({ edits: EDITS, missed, seed }));
      } finally {
        await db.close();
      }
    },
    60_000 + 200 * EDITS,
  );
});

/** An intent for a whole team: one row, worked off page by page, and nobody forgotten. */
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { UnitOfWork } from '../../core/tx.ts';
import { type Database, executorOf } from '../../db/database.ts';
import { announce, type Wave } from '../../db/recon-wave.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet, type Mac } from './fleet.ts';

const PAGE = 3;

/** A fleet whose changes of the catalogue are announced as waves, as the product does it. */
class Waves extends Fleet {
  wave: Wave = { teamId: 1 };
  override async change<T>(work: Parameters<Fleet['change']>[0]): Promise<T> {
    return this.db.run(async (tx) => {
      const result = await work(tx);
      await sql`update catalogue set epoch = epoch + 1`.execute(executorOf(tx));
      await announce(executorOf(tx), this.wave, 'profile', this.clock.now());
      return result as T;
    });
  }
}

async function waves(db: Database): Promise<{ state: string; low: number; high: number }[]> {
  const { rows } = await sql<{ state: string; low: number; high: number }>`
    select state, low, high from recon_wave order by low, id
  `.execute(db.read);
  return rows;
}

async function queued(db: Database): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count from recon_queue`.execute(db.read);
  return rows[0]?.count ?? 0;
}

eachDatabase((kind, open) => {
  async function world<T>(macs: number, work: (fleet: Waves, macs: Mac[]) => Promise<T>): Promise<T> {
    const db = await open();
    const fleet = new Waves(db);
    const first = fleet.reconciler();
    try {
      const made: Mac[] = [];
      for (let index = 0; index < macs; index += 1) made.push(await fleet.mac(first));
      await first.drain();
      return await work(fleet, made);
    } finally {
      await db.close();
    }
  }

  test('a change for a team is one row, asked for once until somebody begins; then everybody has it', () =>
    world(11, async (fleet) => {
      const profile = await fleet.upload({ identifier: 'com.example.a' });
      await fleet.edit(profile);
      await fleet.edit(profile);
      expect(await waves(fleet.db)).toEqual([{ state: 'asked', low: 0, high: Number.MAX_SAFE_INTEGER }]);
      expect(await queued(fleet.db)).toBe(0);
      expect(await fleet.reconciler({ batchSize: PAGE }).drain()).toMatchObject({ hosts: 11, commands: 11 });
      expect(await waves(fleet.db)).toEqual([]);
      await fleet.invariants();
    }));

  test('only the team is concerned, and a team without hosts leaves nothing behind', () =>
    world(4, async (fleet, macs) => {
      const reconciler = fleet.reconciler();
      const [other, empty] = [50, 51];
      await sql`insert into team (id, name) values (${other}, 'Other'), (${empty}, 'Empty')`.execute(fleet.db.read);
      await fleet.moveTeam(macs[0] as Mac, other);
      await reconciler.drain();
      await fleet.upload({ identifier: 'com.example.a' });
      expect(await reconciler.drain()).toMatchObject({ hosts: 3, commands: 3 });
      fleet.wave = { teamId: empty };
      await fleet.change(async () => undefined);
      expect(await reconciler.drain()).toMatchObject({ hosts: 0, commands: 0 });
      expect(await waves(fleet.db)).toEqual([]);
    }));

  test('a page ends with the transaction that evaluated it: whatever dies, the rest is still there', () =>
    world(14, async (fleet, macs) => {
      let turn = 0;
      const mortal: UnitOfWork = {
        run: (work) =>
          fleet.db.run(async (tx) => {
            const result = await work(tx);
            turn += 1;
            if (turn % 2 === 0) throw new Error('killed');
            return result;
          }),
      };
      await fleet.upload({ identifier: 'com.example.a' });
      for (
        let attempt = 0;
        attempt < 40 && (await waves(fleet.db)).length + (await queued(fleet.db)) > 0;
        attempt += 1
      ) {
        await fleet
          .reconciler({ batchSize: PAGE, quarantineBackoffMs: 1 }, undefined, mortal)
          .drain()
          .catch(() => undefined);
        await fleet.invariants();
        fleet.clock.forward(1000);
      }
      expect(turn).toBeGreaterThan(10);
      await fleet.reconciler().drain();
      for (const mac of macs) expect(await fleet.ops(mac)).toHaveLength(1);
    }));

  test('a host that cannot be evaluated leaves its page for the queue and stops nobody', () =>
    world(7, async (fleet, macs) => {
      const bad = (macs[2] as Mac).enrollment;
      await sql.raw(`alter table op add constraint poison check (enrollment_id <> ${bad})`).execute(fleet.db.read);
      await fleet.upload({ identifier: 'com.example.a' });
      const reconciler = fleet.reconciler({ batchSize: PAGE });
      expect(await reconciler.drain()).toMatchObject({ commands: 6, failed: 1 });
      expect(await waves(fleet.db)).toEqual([]);
      expect(await queued(fleet.db)).toBe(1);
      await sql.raw('alter table op drop constraint poison').execute(fleet.db.read);
      fleet.clock.forward(60_000);
      expect(await reconciler.drain()).toMatchObject({ commands: 1, failed: 0 });
    }));

  test('an edit during a wave goes on from where the wave is, round to where it began', () =>
    world(60, async (fleet, macs) => {
      const store = reconcileStore(fleet.db);
      const profile = await fleet.upload({ identifier: 'com.example.a' });
      const take = (limit: number) => fleet.db.run((tx) => store.takeWave(tx, limit, 1, false));
      expect(await take(1)).toEqual({ kind: 'cut' });
      expect((await waves(fleet.db)).at(-1)).toMatchObject({ state: 'rest', low: macs[16]?.enrollment });
      await fleet.edit(profile);
      expect(await take(1)).toMatchObject({ kind: 'page' });
      expect(await take(1)).toEqual({ kind: 'cut' });
      const left = await waves(fleet.db);
      expect(left.map((one) => one.state)).toEqual(['rest', ...Array(15).fill('page'), 'rest']);
      expect(left[0]).toMatchObject({ low: 0, high: macs[1]?.enrollment });
      const { hosts } = await fleet.reconciler({ batchSize: 5 }).drain();
      expect(hosts).toBe(60);
      const { rows } = await sql<{ count: number }>`
        select count(*) as count from op where version_id = (select current_version_id from profile where id = ${profile})
      `.execute(fleet.db.read);
      expect(rows).toEqual([{ count: 60 }]);
    }));

  test('a new wave has its turn after the pages that are cut, and the oldest one never waits for ever', () =>
    world(3, async (fleet) => {
      const store = reconcileStore(fleet.db);
      const { db } = fleet;
      await sql`
        insert into recon_wave (team_id, reason, state, low, high, turn, created_at)
        values (1, 'old', 'page', 1, 2, 40, now()), (1, 'new', 'page', 2, 3, 0, now()), (1, 'new', 'page', 3, 4, 1, now())
      `.execute(db.read);
      const reason = async (oldest: boolean) => {
        const turn = await db.run((tx) => store.takeWave(tx, 5, 5, oldest));
        return turn.kind === 'page' ? turn.claim.hosts[0]?.reasons[0] : turn.kind;
      };
      expect([await reason(false), await reason(true), await reason(false), await reason(false)]).toEqual([
        'new',
        'old',
        'new',
        'none',
      ]);
    }));

  test('a page larger than a batch is taken in parts', () =>
    world(5, async (fleet) => {
      const store = reconcileStore(fleet.db);
      await fleet.change(async () => undefined);
      await fleet.db.run((tx) => store.takeWave(tx, 2, 10, false));
      const sizes: number[] = [];
      for (let part = 0; part < 3; part += 1) {
        const turn = await fleet.db.run((tx) => store.takeWave(tx, 2, 10, false));
        sizes.push(turn.kind === 'page' ? turn.claim.hosts.length : -1);
      }
      expect(sizes).toEqual([2, 2, 1]);
      expect(await fleet.db.run((tx) => store.takeWave(tx, 2, 10, false))).toEqual({ kind: 'none' });
    }));

  test('narrowed to labels it plans what the whole team would', async () => {
    const db = await open();
    const fleet = new Waves(db);
    const reconciler = fleet.reconciler();
    const labels = [await fleet.label('A'), await fleet.label('B'), await fleet.label('C', 'manual')];
    const macs: Mac[] = [];
    for (let index = 0; index < 8; index += 1) macs.push(await fleet.mac(reconciler));
    const some = fc.subarray([0, 1, 2]);
    const targets = fc.record({
      mode: fc.constantFrom('any' as const, 'all' as const),
      include: fc.subarray([0, 1, 2], { minLength: 1 }),
      exclude: fc.constantFrom<number[]>([], [1]),
    });
    const ids = (places: readonly number[]) => places.map((place) => labels[place] as number);
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ members: some, failed: some, asked: fc.boolean(), held: fc.boolean() }), {
            minLength: macs.length,
            maxLength: macs.length,
          }),
          fc.record({ before: targets, after: fc.option(targets), lost: fc.boolean() }),
          async (hosts, { before, after, lost }) => {
            await sql`delete from command`.execute(db.read);
            await sql`delete from op`.execute(db.read);
            await sql`update recon set op_count = 0`.execute(db.read);
            await sql`update profile set deleted_at = now()`.execute(db.read);
            await sql`delete from label where id <> all(${sql.val(labels)}::int[])`.execute(db.read);
            fleet.wave = { teamId: 1 };
            const gone = lost ? [9999] : [];
            const profile = await fleet.upload({
              identifier: 'com.example.a',
              includeMode: before.mode,
              include: [...ids(before.include), ...gone],
              exclude: ids(before.exclude),
            });
            const version = sql`(select current_version_id from profile where id = ${profile})`;
            for (const [index, host] of hosts.entries()) {
              const mac = macs[index] as Mac;
              await fleet.answerLabels(mac, ids(host.members), ids(host.failed));
              await sql`
                update recon set label_epoch = case when ${host.asked}::boolean then label_epoch else 0 end, actual_known = true,
                  osquery_state = 'rows', osquery_at = ${fleet.clock.now()}, applied_fp = 1,
                  applied = case when ${host.held}::boolean then array[${version}] else '{}'::int[] end
                where enrollment_id = ${mac.enrollment}
              `.execute(db.read);
            }
            // Whatever is due without the change is done before it.
            await fleet.change(async () => undefined);
            await reconciler.drain();
            const planned = async () => {
              const { rows } = await sql<{ what: string }>`
                select enrollment_id || ' ' || op || ' ' || version_id || ' ' || state as what from op order by 1
              `.execute(db.read);
              return rows.map((row) => row.what);
            };
            const named = [...before.include, ...(after?.include ?? [])];
            fleet.wave = { teamId: 1, labelIds: [...ids(named), ...gone] };
            await fleet.change(async (tx) => {
              if (after === null)
                await sql`update profile set deleted_at = now() where id = ${profile}`.execute(executorOf(tx));
              else {
                await fleet.newVersion(tx, profile);
                await sql`
                  update profile set include_mode = ${after.mode}, exclude_label_ids = ${sql.val(ids(after.exclude))}::int[],
                    include_label_ids = ${sql.val([...ids(after.include), ...gone])}::int[] where id = ${profile}
                `.execute(executorOf(tx));
              }
            });
            await reconciler.drain();
            const narrowed = await planned();
            fleet.wave = { teamId: 1 };
            await fleet.change(async () => undefined);
            await reconciler.drain();
            expect(await planned()).toEqual(narrowed);
          },
        ),
        { numRuns: 25 },
      );
    } finally {
      await db.close();
    }
  });

  if (kind === 'postgres') {
    test('who announces keeps workers from beginning before he commits, and nothing is lost to one that has begun', () =>
      world(40, async (fleet, macs) => {
        const profile = await fleet.upload({ identifier: 'com.example.a' });
        const replicas = Array.from({ length: 3 }, () => fleet.reconciler({ batchSize: PAGE }));
        let edits = 0;
        const editing = (async () => {
          for (; edits < 15; edits += 1) {
            await fleet.db.run(async (tx) => {
              await fleet.newVersion(tx, profile);
              await sql`update catalogue set epoch = epoch + 1`.execute(executorOf(tx));
              await announce(executorOf(tx), { teamId: 1 }, 'profile', fleet.clock.now());
              await new Promise((resolve) => setTimeout(resolve, edits % 8));
            });
          }
        })();
        while (edits < 15) await Promise.all(replicas.map((one) => one.drain()));
        await editing;
        await Promise.all(replicas.map((one) => one.drain()));
        const { rows } = await sql<{ stale: number }>`
          select count(*) as stale from op o where o.version_id <> (select current_version_id from profile where id = ${profile})
        `.execute(fleet.db.read);
        expect(rows).toEqual([{ stale: 0 }]);
        for (const mac of macs) expect(await fleet.ops(mac)).toHaveLength(1);
        await fleet.invariants();
        expect(await waves(fleet.db)).toEqual([]);
      }));
  }
});

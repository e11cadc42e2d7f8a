import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../db/database.ts';
import { driftStore } from '../../db/drift-read.ts';
import { createDriftReads, type DriftReads } from '../../reconciler/drift-reads.ts';
import type { ExtraProfile } from '../../reconciler/types.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet, type Mac } from './fleet.ts';

eachDatabase((_kind, open) => {
  let db: Database;
  let fleet: Fleet;
  let reads: DriftReads;
  const macs: Mac[] = [];
  let other = 0;

  const extra = (why: ExtraProfile['why'], identifier: string): ExtraProfile => ({
    identifier,
    uuid: `U-${identifier}`,
    displayName: `Name of ${identifier}`,
    why,
  });
  const page = (more: Partial<Parameters<DriftReads['page']>[0]> = {}) =>
    reads.page({ teamId: undefined, kind: undefined, after: undefined, limit: 100, ...more });
  const named = async (more: Partial<Parameters<DriftReads['page']>[0]> = {}) =>
    (await page(more)).items.map(({ at, kind, identifier }) => `${at.enrollment} ${kind} ${identifier}`);

  beforeAll(async () => {
    db = await open();
    fleet = new Fleet(db);
    reads = createDriftReads({ store: driftStore(db), clock: fleet.clock });
    const reconciler = fleet.reconciler();
    other = await fleet.team('Other');
    for (const team of [1, 1, other, 1]) macs.push(await fleet.mac(reconciler, { team }));
    await fleet.upload({ identifier: 'ours' });
    const versions = await sql<{ id: number }>`select id from profile_version`.execute(db.read);
    const slots = await sql<{ id: number }>`select id from slot`.execute(db.read);
    const put = async (mac: Mac | undefined, ...found: ExtraProfile[]) =>
      sql`update recon set observed_extra = ${JSON.stringify(found)}::jsonb, osquery_at = ${fleet.clock.now()}
        where enrollment_id = ${mac?.enrollment ?? 0}`.execute(db.read);
    await put(macs[0], extra('left_over', 'a'), extra('foreign', 'b'), extra('foreign', 'c'));
    await put(macs[2], extra('not_ours', 'a'));
    await sql`
      insert into op (enrollment_id, slot_id, op, version_id, generation, enrollment_generation, state, reason, created_at, updated_at)
      values (${macs[0]?.enrollment ?? 0}, ${slots.rows[0]?.id ?? 0}, 'install', 1, 0, 1, 'queued', 'removed_by_hand', now(), now())
    `.execute(db.read);
    await sql`
      insert into recon_evidence (enrollment_id, changed_ids, changed_at)
      values (${macs[1]?.enrollment ?? 0}, ${sql.val([versions.rows[0]?.id ?? 0])}::int[], ${fleet.clock.now()})
    `.execute(db.read);
  });
  afterAll(() => db.close());

  const at = (index: number) => macs[index]?.enrollment ?? 0;
  const all = () => [
    `${at(0)} left_over a`,
    `${at(0)} foreign b`,
    `${at(0)} foreign c`,
    `${at(0)} removed_by_hand ours`,
    `${at(1)} content_changed ours`,
    `${at(2)} not_ours a`,
  ];

  it('lists what each device shows, in order, with whose it is', async () => {
    expect(await named()).toEqual(all());
    const [first] = (await page()).items;
    expect(first).toMatchObject({
      hostId: macs[0]?.hostId,
      team: 'Default',
      channel: 'device',
      uuid: 'U-a',
      displayName: 'Name of a',
      seenAt: fleet.clock.now(),
    });
  });

  it('pages of any size are the same list, and only the first has the counts', async () => {
    for (const limit of [1, 2, 3, 5]) {
      const seen: string[] = [];
      for (let after: Awaited<ReturnType<typeof page>>['next'], first = true; ; first = false) {
        const { items, next, counts } = await page({ limit, after });
        expect(items.length).toBeLessThanOrEqual(limit);
        expect(counts !== undefined).toBe(first);
        seen.push(...items.map((item) => `${item.at.enrollment} ${item.kind} ${item.identifier}`));
        if (next === undefined) break;
        after = next;
      }
      expect(seen).toEqual(all());
    }
  });

  it('by kind and by team, and the counts are of the team', async () => {
    expect(await named({ kind: 'foreign' })).toEqual([`${at(0)} foreign b`, `${at(0)} foreign c`]);
    expect(await named({ kind: 'removed_by_hand' })).toEqual([`${at(0)} removed_by_hand ours`]);
    expect(await named({ kind: 'replaced_by_hand' })).toEqual([]);
    expect(await named({ kind: 'content_changed' })).toEqual([`${at(1)} content_changed ours`]);
    expect(await named({ teamId: other })).toEqual([`${at(2)} not_ours a`]);
    expect((await page({ teamId: other })).counts).toMatchObject({ not_ours: 1, foreign: 0 });
    expect((await page()).counts).toEqual({
      not_ours: 1,
      left_over: 1,
      duplicate: 0,
      foreign: 2,
      removed_by_hand: 1,
      replaced_by_hand: 0,
      content_changed: 1,
    });
  });
});

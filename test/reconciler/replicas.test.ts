/** Several server processes on one database, stopped and killed at any moment: never two live commands for one slot (R6, R7). */
import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../db/database.ts';
import type { Rooms } from '../../server/rooms.ts';
import { hasPostgres, openPostgresUrl } from '../support/databases.ts';
import { mobileconfig } from './history.ts';
import { House, TIMES } from './house.ts';
import { VERDICT } from './oracle.ts';
import { Replica, type TickEnd } from './replica.ts';
import { SimMac } from './sim-mac.ts';

/** Ticks of every replica, per number of replicas. */
const TICKS = Number(process.env['REPLICA_TICKS'] ?? 4);
const COUNTS = process.env['REPLICA_TICKS'] === undefined ? [3] : [2, 3, 4, 5];
const MACS = 30;
const PROFILES = 5;

interface Deeds {
  ticks: number;
  failed: number;
  kills: number;
  pauses: number;
  terminated: number;
  commands: number;
  polls: number;
  looks: number;
  duplicates: number;
  lateness: number;
}

/** Looks all the time, on a connection of its own: a duplicate that lives for a moment is one too. */
function watch(db: Database, deeds: Deeds): () => Promise<void> {
  let over = false;
  const watching = (async () => {
    while (!over) {
      const { rows } = await sql<{ n: number }>`
        select count(*)::int as n from (select from command where slot_id is not null group by enrollment_id, slot_id having count(*) > 1) d
      `.execute(db.read);
      deeds.duplicates += rows[0]?.n ?? 0;
      deeds.looks += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  return async () => {
    over = true;
    await watching;
  };
}

/** Wanted and neither there nor under way, or there and not wanted and not under way. */
async function unplanned(db: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    with ${VERDICT}, due as (
      (select enrollment_id, slot_id from (select * from ideal except select * from current) m)
      union (select enrollment_id, slot_id from current except select enrollment_id, slot_id from ideal)
    ) select count(*)::int as n from due d
    where not exists (select from op o where o.enrollment_id = d.enrollment_id and o.slot_id = d.slot_id)
  `.execute(db.read);
  return rows[0]?.n ?? 0;
}

async function run(replicas: number, seed: number): Promise<Deeds> {
  const { url, drop } = await openPostgresUrl();
  const db = await openDatabase({ databaseUrl: url, guard: true, poolSize: 10 });
  const eye = await openDatabase({ databaseUrl: url, poolSize: 1 });
  const random = randomOf(seed);
  const deeds: Deeds = {
    ticks: 0,
    failed: 0,
    kills: 0,
    pauses: 0,
    terminated: 0,
    commands: 0,
    polls: 0,
    looks: 0,
    duplicates: 0,
    lateness: 0,
  };
  const processes: Replica[] = [];
  const stopWatching = watch(eye, deeds);
  try {
    const house = await House.openShared(db);
    const rooms = await house.replica();
    const macs: SimMac[] = [];
    for (let index = 0; index < MACS; index += 1) {
      const mac = new SimMac(house, index + 1, 'none');
      await mac.enrol(rooms);
      macs.push(mac);
    }
    const { name: label } = await rooms.labels.create({ name: 'Some', kind: 'manual' });
    for (let index = 0; index < replicas; index += 1) processes.push(await Replica.start(url));

    for (let turn = 0; turn < TICKS; turn += 1) {
      await change(rooms, macs, label, turn, random);
      house.forward(TIMES.intervalMs);
      // Every fourth turn nothing is broken: what the ones before have left is then planned in one tick.
      const calm = turn % 4 === 3;
      const trouble = calm ? [] : [strike(processes, db, deeds, random), devices(rooms, macs, deeds, random)];
      const ends = await Promise.all([...processes.map((one) => one.tick(house.clock.now())), ...trouble]);
      for (const end of ends) if (end !== undefined) count(deeds, end);
      await revive(processes, ends, url);
      if (calm) {
        const late = await unplanned(db);
        if (late > 0) {
          deeds.lateness += 1;
          // What two processes wanted at once is looked at again after a second.
          house.forward(TIMES.intervalMs);
          for (const one of processes) count(deeds, await one.tick(house.clock.now()));
          expect(await unplanned(db)).toBe(0);
        }
      }
    }

    for (let round = 0; round < 3; round += 1) {
      house.forward(TIMES.profileListDelayMs);
      await rooms.reconciler.audit();
      for (const mac of macs) while (await mac.poll(rooms, 'device', 'obeys'));
    }
    expect(await unplanned(db)).toBe(0);
    const { rows } = await sql`select enrollment_id, slot_id, state, reason from op`.execute(db.read);
    expect(rows).toEqual([]);
    expect(await rooms.reconciler.audit()).toMatchObject({ commands: 0, failed: 0 });
    return deeds;
  } finally {
    await stopWatching();
    for (const one of processes) one.kill();
    await Promise.all([db.close(), eye.close()]);
    await drop();
  }
}

function count(deeds: Deeds, end: TickEnd): void {
  deeds.ticks += 1;
  if (end.kind === 'ticked') deeds.commands += end.ticked.commands;
  else deeds.failed += 1;
}

/** Something to do for everybody. */
async function change(rooms: Rooms, macs: SimMac[], label: string, turn: number, random: () => number): Promise<void> {
  const which = Math.floor(random() * PROFILES);
  await rooms.profiles.upload(mobileconfig(`com.example.${which}`, 'device', turn), {
    teamId: 1,
    includeMode: which === 0 ? 'any' : 'none',
    includeLabels: which === 0 ? [label] : [],
    excludeLabels: which === 1 ? [label] : [],
  });
  const members = macs.filter(() => random() < 0.5).map(({ serialNumber }) => serialNumber);
  await rooms.labels.setHosts(label, members);
}

/** One of: a process stands still with what it holds, a process is killed, a connection is cut. */
async function strike(
  processes: readonly Replica[],
  db: Database,
  deeds: Deeds,
  random: () => number,
): Promise<undefined> {
  await new Promise((resolve) => setTimeout(resolve, random() * 40));
  const victim = processes[Math.floor(random() * processes.length)] as Replica;
  const kind = random();
  if (kind < 0.3) {
    deeds.kills += 1;
    victim.kill();
  } else if (kind < 0.65) {
    deeds.pauses += 1;
    await victim.pause(random() * 150);
  } else {
    const { rows } = await sql<{ done: boolean }>`
      select pg_terminate_backend(pid) as done from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and application_name = 'replica' order by random() limit 1
    `.execute(db.read);
    deeds.terminated += rows.length;
  }
}

/** Macs answer at the same time, each in an order of its own. */
async function devices(rooms: Rooms, macs: readonly SimMac[], deeds: Deeds, random: () => number): Promise<undefined> {
  const awake = macs.filter(() => random() < 0.4);
  await Promise.all(
    awake.map(async (mac) => {
      for (let left = Math.ceil(random() * 4); left > 0; left -= 1)
        if (await mac.poll(rooms, 'device', random() < 0.1 ? 'is busy' : 'obeys')) deeds.polls += 1;
    }),
  );
}

async function revive(processes: Replica[], ends: readonly (TickEnd | undefined)[], url: string): Promise<void> {
  for (let index = 0; index < processes.length; index += 1)
    if (ends[index]?.kind === 'gone') processes[index] = await Replica.start(url);
}

/** Evenly spread over [0, 1), unlike what fast-check draws. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe.skipIf(!hasPostgres)('postgres', () => {
  test.each(COUNTS)(
    '%i replicas, paused, cut off and killed: no second live command for a slot, nothing left unplanned',
    async (replicas) => {
      const seed = Number(process.env['SOAK_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
      const deeds = await run(replicas, seed).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      });
      console.log(JSON.stringify({ replicas, seed, ...deeds }));
      expect(deeds.looks).toBeGreaterThan(TICKS);
      expect(deeds.duplicates, `seed ${seed}`).toBe(0);
    },
    120_000 + 5000 * TICKS,
  );
});

test.skipIf(hasPostgres)('an embedded database has one process: nothing to run several of', () => {
  console.log('No PostgreSQL found: several server processes on one database are not tested.');
});

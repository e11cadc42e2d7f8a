import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { UnitOfWork } from '../../core/tx.ts';
import type { Database } from '../../db/database.ts';
import type { CommandBody } from '../../reconciler/ports.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet, type Mac } from './fleet.ts';
import { MINUTE } from './world.ts';

async function queue(db: Database): Promise<{ enrollment_id: number; attempts: number; reason: string }[]> {
  const { rows } = await sql<{ enrollment_id: number; attempts: number; reason: string }>`
    select enrollment_id, attempts, reason from recon_queue order by enrollment_id
  `.execute(db.read);
  return rows;
}

eachDatabase((kind, open) => {
  async function world<T>(work: (fleet: Fleet) => Promise<T>): Promise<T> {
    const db = await open();
    try {
      return await work(new Fleet(db));
    } finally {
      await db.close();
    }
  }

  test('upload, install, acknowledgement, report: pending, verifying, verified; the second tick is empty', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const state = async (mac: Mac) => (await reconciler.reads.why(mac.hostId, 'com.example.a'))[0]?.state;
      const mac = await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.a' });
      expect(await state(mac)).toBe('pending');
      await reconciler.tick();
      expect(await state(mac)).toBe('pending');
      await fleet.pollAll(reconciler, mac);
      expect(await state(mac)).toBe('verifying');
      fleet.clock.forward(MINUTE);
      await fleet.report(reconciler, mac);
      expect(await state(mac)).toBe('verified');
      expect(await reconciler.tick()).toMatchObject({ commands: 0 });
      expect(await reconciler.audit()).toMatchObject({
        hosts: 0,
        commands: 0,
        swept: { hosts: 1, repaired: 0, queued: 0 },
      });
    }));

  test('a Mac that lies is asked three times and then shown as failed, with the reason', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler({ verifyBackoffMs: MINUTE });
      const mac = await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.a' });
      let sent = 0;
      for (let round = 0; round < 8; round += 1) {
        await reconciler.tick();
        for (let command = await fleet.fetch(mac); command !== undefined; command = await fleet.fetch(mac)) {
          if (command.says.startsWith('install')) sent += 1;
          await fleet.answer(reconciler, mac, command.uuid);
        }
        fleet.clock.forward(5 * MINUTE);
        await fleet.report(reconciler, mac);
      }
      expect(sent).toBe(3);
      const [pair] = await reconciler.reads.why(mac.hostId, 'com.example.a');
      expect(pair).toMatchObject({ state: 'failed' });
      expect(pair?.reason).toMatch(/^Acknowledged 3 times, but osquery does not show it\./);
    }));

  test('a Mac that reports an old version gets the new one again and ends verified', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const mac = await fleet.mac(reconciler);
      const profile = await fleet.upload({ identifier: 'com.example.a' });
      await reconciler.tick();
      await fleet.pollAll(reconciler, mac);
      const old = new Map(mac.holds);
      await fleet.edit(profile);
      await reconciler.tick();
      await fleet.pollAll(reconciler, mac);
      fleet.clock.forward(MINUTE);
      await fleet.report(reconciler, { ...mac, holds: old });
      expect(await fleet.ops(mac)).toMatchObject([
        { state: 'queued', reason: 'other_version_observed', verify_misses: 1 },
      ]);
      fleet.clock.forward(2 * MINUTE);
      await reconciler.tick();
      expect(await fleet.pollAll(reconciler, mac)).toBe(1);
      fleet.clock.forward(MINUTE);
      await fleet.report(reconciler, mac);
      expect((await reconciler.reads.why(mac.hostId, 'com.example.a'))[0]).toMatchObject({ state: 'verified' });
    }));

  test('a lost acknowledgement heals by the report, and the command that still travels is ended', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const mac = await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.a' });
      await reconciler.tick();
      await fleet.learnVersions();
      const list = await fleet.fetch(mac);
      await fleet.answer(reconciler, mac, list?.uuid ?? '');
      const command = await fleet.fetch(mac);
      fleet.obey(mac, command?.says ?? '');
      await fleet.report(reconciler, mac);
      expect(await fleet.ops(mac)).toEqual([]);
      expect(await fleet.liveCommands()).toEqual([]);
      await fleet.answer(reconciler, mac, command?.uuid ?? '');
      expect((await reconciler.reads.why(mac.hostId, 'com.example.a'))[0]).toMatchObject({ state: 'verified' });
    }));

  test('without an agent ProfileList is asked two minutes after the acknowledgement, on the user channel too', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const mac = await fleet.mac(reconciler);
      const user = await fleet.user(reconciler, mac);
      await fleet.upload({ identifier: 'com.example.a' });
      await fleet.upload({ identifier: 'com.example.b', channel: 'user' });
      await reconciler.tick();
      for (const one of [mac, user]) expect(await fleet.pollAll(reconciler, one)).toBe(2);
      fleet.clock.forward(2 * MINUTE - 1);
      expect(await reconciler.tick()).toMatchObject({ commands: 0 });
      fleet.clock.forward(1);
      expect(await reconciler.tick()).toMatchObject({ commands: 2 });
      expect((await fleet.liveCommands()).map((one) => one.request_type)).toEqual(['ProfileList', 'ProfileList']);
      for (const one of [mac, user]) await fleet.pollAll(reconciler, one);
      const { profiles } = await reconciler.reads.hostProfiles(mac.hostId);
      expect(profiles.map((pair) => [pair.identifier, pair.channel, pair.state])).toEqual([
        ['com.example.a', 'device', 'verified'],
        ['com.example.b', 'user', 'verified'],
      ]);
      fleet.clock.forward(23 * 60 * MINUTE);
      expect(await reconciler.audit()).toMatchObject({ commands: 0 });
      fleet.clock.forward(60 * MINUTE);
      expect(await reconciler.audit()).toMatchObject({ commands: 2 });
    }));

  test('re-enrolled in place: nothing is taken for granted, what is there is recognised, leftovers of ours go', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const mac = await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.a' });
      const gone = await fleet.upload({ identifier: 'com.example.b' });
      await reconciler.tick();
      await fleet.pollAll(reconciler, mac);
      await fleet.reenrol(reconciler, mac);
      await fleet.remove(gone);
      mac.holds.set('com.vendor.left', 'FOREIGN');
      await reconciler.tick();
      const asked = (await fleet.liveCommands()).map((one) => one.request_type);
      expect(asked.sort()).toEqual(['InstallProfile', 'ProfileList']);
      const list = await fleet.fetch(mac);
      expect(list?.says).toBe('list');
      await fleet.answer(reconciler, mac, list?.uuid ?? '');
      // The install that was queued at once is ended, because the Mac has it; the leftover is removed.
      await reconciler.tick();
      const live = await fleet.liveCommands();
      expect(live.map((one) => one.request_type)).toEqual(['RemoveProfile']);
      await fleet.pollAll(reconciler, mac);
      fleet.clock.forward(MINUTE);
      await fleet.report(reconciler, mac);
      const { profiles } = await reconciler.reads.hostProfiles(mac.hostId);
      expect(profiles.map((pair) => [pair.identifier, pair.state])).toEqual([
        ['com.example.a', 'verified'],
        ['com.vendor.left', 'unmanaged'],
      ]);
    }));

  test('an answer of the life before the re-enrolment changes nothing', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const mac = await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.a' });
      await reconciler.tick();
      const [before] = await fleet.ops(mac);
      await fleet.reenrol(reconciler, mac);
      await reconciler.tick();
      const settled = {
        kind: 'op_settled' as const,
        enrollment: mac.enrollment,
        outcome: 'Acknowledged' as const,
        errorChain: [],
      };
      const op = { slot: before?.slot_id ?? 0, generation: before?.generation ?? 0 };
      const now = await fleet.ops(mac);
      await fleet.db.run((tx) => reconciler.handlers.onOpSettled(tx, { ...settled, op, enrollmentGeneration: 1 }));
      await fleet.db.run((tx) => reconciler.handlers.onOpSettled(tx, { ...settled, op, enrollmentGeneration: 2 }));
      expect(await fleet.ops(mac)).toEqual(now);
    }));

  test('an ended enrolment leaves nothing behind and contributes nothing', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const mac = await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.a' });
      await reconciler.tick();
      await fleet.db.run((tx) =>
        reconciler.handlers.onEnrollmentEnded(tx, { kind: 'enrollment_ended', enrollment: mac.enrollment }),
      );
      await sql`update enrollment set state = 'ended' where id = ${mac.enrollment}`.execute(fleet.db.read);
      await sql`delete from command`.execute(fleet.db.read);
      await fleet.change(async () => undefined);
      expect(await reconciler.audit()).toMatchObject({ hosts: 0, commands: 0 });
      expect(await fleet.ops(mac)).toEqual([]);
      expect(await reconciler.reads.hostProfiles(mac.hostId)).toMatchObject({
        enrolled: false,
        profiles: [{ state: 'not_in_scope', reason: 'The host is not enrolled.' }],
      });
    }));

  test('one poisoned enrolment does not stop the others: its evaluation fails, it waits, it comes back', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const macs: Mac[] = [];
      for (let index = 0; index < 5; index += 1) macs.push(await fleet.mac(reconciler));
      await fleet.upload({ identifier: 'com.example.a' });
      const bad = macs[2] as Mac;
      await sql`update recon set applied = '{424242}' where enrollment_id = ${bad.enrollment}`.execute(fleet.db.read);
      expect(await reconciler.drain()).toMatchObject({ commands: 8, failed: 1 });
      expect(await queue(fleet.db)).toEqual([{ enrollment_id: bad.enrollment, attempts: 1, reason: 'failed' }]);
      expect(await reconciler.drain()).toMatchObject({ hosts: 0 });
      fleet.clock.forward(MINUTE);
      expect(await reconciler.drain()).toMatchObject({ failed: 1 });
      await sql`update recon set applied = '{}' where enrollment_id = ${bad.enrollment}`.execute(fleet.db.read);
      fleet.clock.forward(2 * MINUTE);
      expect(await reconciler.drain()).toMatchObject({ commands: 2, failed: 0 });
      expect(await queue(fleet.db)).toEqual([]);
    }));

  test('nor does one whose rows the database refuses', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const macs: Mac[] = [];
      for (let index = 0; index < 5; index += 1) macs.push(await fleet.mac(reconciler));
      const bad = (macs[2] as Mac).enrollment;
      await fleet.upload({ identifier: 'com.example.a' });
      await sql.raw(`alter table op add constraint poison check (enrollment_id <> ${bad})`).execute(fleet.db.read);
      expect(await reconciler.drain()).toMatchObject({ commands: 8, failed: 1 });
      const waiting = await queue(fleet.db);
      expect(waiting.every((row) => row.enrollment_id === bad && row.attempts === 1)).toBe(true);
      await sql.raw('alter table op drop constraint poison').execute(fleet.db.read);
      fleet.clock.forward(MINUTE);
      expect(await reconciler.drain()).toMatchObject({ commands: 2, failed: 0 });
      await fleet.invariants();
    }));

  test('a body that cannot be made holds up its own profile only', () =>
    world(async (fleet) => {
      let broken = true;
      const commandBody: CommandBody = async (tx, request) => {
        if (broken && request.kind === 'install' && request.versionId === 1) throw new Error('no such version');
        return fleet.commandBody(tx, request);
      };
      const reconciler = fleet.reconciler({}, commandBody);
      const mac = await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.a' });
      await fleet.upload({ identifier: 'com.example.b' });
      expect(await reconciler.drain()).toMatchObject({ commands: 2, failed: 1 });
      expect(await fleet.ops(mac)).toHaveLength(1);
      broken = false;
      fleet.clock.forward(MINUTE);
      expect(await reconciler.drain()).toMatchObject({ commands: 1, failed: 0 });
    }));

  test('the audit finds what nobody announced, repairs it and counts it', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const label = await fleet.label('Manual', 'manual');
      await fleet.upload({ identifier: 'com.example.a', includeMode: 'any', include: [label] });
      const macs: Mac[] = [];
      for (let index = 0; index < 4; index += 1) macs.push(await fleet.mac(reconciler));
      const [copy, row, lost, sum] = macs as [Mac, Mac, Mac, Mac];
      await reconciler.tick();
      for (const mac of macs) await fleet.pollAll(reconciler, mac);
      await reconciler.tick();
      // A member nobody copied, a row that is missing, a command that vanished, a sum that is wrong.
      for (const mac of [copy, lost])
        await sql`insert into label_member (label_id, host_id) values (${label}, ${mac.hostId})`.execute(fleet.db.read);
      await sql`delete from recon where enrollment_id = ${row.enrollment}`.execute(fleet.db.read);
      await sql`update recon set applied_fp = 99 where enrollment_id = ${sum.enrollment}`.execute(fleet.db.read);
      const found = await reconciler.audit();
      expect(found.swept).toMatchObject({ hosts: 4, repaired: 3 });
      expect(found).toMatchObject({ commands: 3, repaired: 4 });
      await sql`delete from command where enrollment_id = ${lost.enrollment}`.execute(fleet.db.read);
      expect(await reconciler.audit()).toMatchObject({ commands: 1, repaired: 1 });
      await fleet.invariants();
      expect(await reconciler.audit()).toMatchObject({ commands: 0, repaired: 0, swept: { repaired: 0, queued: 0 } });
    }));

  test('one slice of the audit per tick sees everybody in the promised number of ticks', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler({ sweepSlices: 4 });
      for (let index = 0; index < 10; index += 1) await fleet.mac(reconciler);
      const seen: number[] = [];
      for (let index = 0; index < 4; index += 1) seen.push((await reconciler.tick()).swept?.hosts ?? 0);
      expect(seen.reduce((sum, count) => sum + count, 0)).toBe(10);
      expect(Math.max(...seen)).toBeLessThanOrEqual(3);
    }));

  test('a stale catalogue is never used: another process uploads, the next drain sees it', () =>
    world(async (fleet) => {
      const [one, two] = [fleet.reconciler(), fleet.reconciler()];
      const mac = await fleet.mac(one);
      await one.drain();
      await two.drain();
      for (let index = 0; index < 6; index += 1) {
        await fleet.upload({ identifier: `com.example.${index}` });
        expect(await (index % 2 === 0 ? two : one).drain()).toMatchObject({ commands: 1 });
      }
      expect(await fleet.ops(mac)).toHaveLength(6);
    }));

  test('counters add up, with their time; a user profile waits where there is no user channel', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const macs: Mac[] = [];
      for (let index = 0; index < 4; index += 1)
        macs.push(await fleet.mac(reconciler, { os: index === 0 ? '13.1' : '15.1' }));
      await fleet.user(reconciler, macs[1] as Mac);
      const open = await fleet.label('Open');
      const all = await fleet.upload({ identifier: 'com.example.all', minOs: '14' });
      const unknown = await fleet.upload({ identifier: 'com.example.unknown', includeMode: 'any', include: [open] });
      const forUsers = await fleet.upload({ identifier: 'com.example.users', channel: 'user' });
      await reconciler.tick();
      await fleet.pollAll(reconciler, macs[2] as Mac);
      const { asOf, profiles } = await reconciler.reads.counters();
      expect(asOf).toEqual(fleet.clock.now());
      const of = (id: number) => profiles.find((one) => one.profileId === id);
      expect(of(all)).toMatchObject({ inScope: 4, states: { waiting: 1, pending: 2, verifying: 1 } });
      expect(of(unknown)).toMatchObject({ inScope: 4, states: { waiting: 4 } });
      expect(of(forUsers)).toMatchObject({ inScope: 4, states: { waiting: 3, pending: 1 } });
      const pairs = await Promise.all(macs.map((mac) => reconciler.reads.hostProfiles(mac.hostId)));
      for (const { profileId, states, inScope } of profiles) {
        const shown = pairs.flatMap((one) =>
          one.profiles.filter((pair) => pair.profileId === profileId).map((pair) => pair.state),
        );
        expect(Object.values(states).reduce((sum, count) => sum + count, 0)).toBe(inScope);
        for (const [state, count] of Object.entries(states))
          expect(shown.filter((one) => one === state).length).toBe(count);
      }
    }));

  test('why answers by id, UDID, serial number and name, and refuses what it does not know', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler();
      const mac = await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.a' });
      const { rows } = await sql<{ udid: string; serial_number: string }>`
        update host set name = 'Ada''s Mac' where id = ${mac.hostId} returning udid, serial_number
      `.execute(fleet.db.read);
      for (const ref of [mac.hostId, rows[0]?.udid ?? '', rows[0]?.serial_number ?? '', "Ada's Mac"])
        expect(await reconciler.reads.why(ref, 'com.example.a')).toHaveLength(1);
      await expect(reconciler.reads.why('nobody', 'com.example.a')).rejects.toMatchObject({ code: 'host_not_found' });
      await expect(reconciler.reads.why(mac.hostId, 'com.example.z')).rejects.toMatchObject({
        code: 'profile_not_found',
      });
      await expect(reconciler.reads.hostProfiles('nobody')).rejects.toMatchObject({ code: 'host_not_found' });
    }));

  test('a wake drains soon, an interval drains by itself, a stop ends both', () =>
    world(async (fleet) => {
      const reconciler = fleet.reconciler({ wakeDebounceMs: 1, wakeEchoMs: 5, intervalMs: 60_000 });
      const mac = await fleet.mac(reconciler);
      const until = async (done: () => Promise<boolean>) => {
        for (let turn = 0; turn < 1000 && !(await done()); turn += 1)
          await new Promise((resolve) => setTimeout(resolve, 10));
        expect(await done()).toBe(true);
      };
      reconciler.start();
      await until(async () => (await fleet.liveCommands()).length === 1);
      await fleet.upload({ identifier: 'com.example.a' });
      reconciler.wake();
      await until(async () => (await fleet.ops(mac)).length === 1);
      await reconciler.stop();
      await fleet.upload({ identifier: 'com.example.b' });
      reconciler.wake();
      expect(await reconciler.drain()).toMatchObject({ hosts: 0 });
    }));

  if (kind === 'postgres') {
    test('processes that stall and die in the middle: no second live command, no pair forgotten', () =>
      world(async (fleet) => {
        let faults = 0;
        let draws = 0;
        // Every third unit of work dies after its writes and before its commit, every other one dawdles there.
        const mortal: UnitOfWork = {
          run: (work) =>
            fleet.db.run(async (tx) => {
              const result = await work(tx);
              draws += 1;
              if (draws % 3 === 0) {
                faults += 1;
                throw new Error('killed');
              }
              if (draws % 2 === 0) await new Promise((resolve) => setTimeout(resolve, draws % 20));
              return result;
            }),
        };
        const replicas = Array.from({ length: 3 }, () =>
          fleet.reconciler({ batchSize: 5, quarantineBackoffMs: 1000 }, undefined, mortal),
        );
        const survivor = fleet.reconciler();
        const macs: Mac[] = [];
        for (let index = 0; index < 12; index += 1) macs.push(await fleet.mac(survivor));
        const profile = await fleet.upload({ identifier: 'com.example.a' });
        for (let turn = 0; turn < 12; turn += 1) {
          if (turn % 2 === 0) await fleet.edit(profile);
          await Promise.allSettled(replicas.map((one) => one.drain()));
          await fleet.invariants();
          fleet.clock.forward(500);
        }
        expect(faults).toBeGreaterThan(10);
        fleet.clock.forward(2 * 60 * MINUTE);
        await survivor.audit();
        expect(await fleet.liveCommands()).toHaveLength(24);
        for (const mac of macs) await fleet.pollAll(survivor, mac);
        fleet.clock.forward(MINUTE);
        for (const mac of macs) await fleet.report(survivor, mac);
        expect((await survivor.reads.counters()).profiles).toMatchObject([{ inScope: 12, states: { verified: 12 } }]);
        expect(await survivor.audit()).toMatchObject({ commands: 0, failed: 0 });
      }));

    test('several processes at once: never two live commands for a slot, nothing missed', () =>
      world(async (fleet) => {
        const replicas = Array.from({ length: 3 }, () => fleet.reconciler({ batchSize: 7 }));
        const [first] = replicas as [(typeof replicas)[number]];
        const macs: Mac[] = [];
        for (let index = 0; index < 30; index += 1) macs.push(await fleet.mac(first));
        const profiles = [
          await fleet.upload({ identifier: 'com.example.a' }),
          await fleet.upload({ identifier: 'com.example.b' }),
        ];
        for (let turn = 0; turn < 12; turn += 1) {
          await fleet.edit(profiles[turn % 2] as number);
          const polls = macs.filter((_, index) => index % 5 === turn % 5).map((mac) => fleet.pollAll(first, mac));
          await Promise.all([...replicas.map((one) => one.drain()), ...polls]);
          await fleet.invariants();
        }
        fleet.clock.forward(5 * MINUTE);
        await Promise.all(replicas.map((one) => one.tick()));
        for (const mac of macs) await fleet.pollAll(first, mac);
        fleet.clock.forward(MINUTE);
        for (const mac of macs) await fleet.report(first, mac);
        const { profiles: counts } = await first.reads.counters();
        expect(counts.map((one) => one.states.verified)).toEqual([30, 30]);
        expect(await first.audit()).toMatchObject({ commands: 0, failed: 0 });
      }));
  }
});

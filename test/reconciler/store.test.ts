import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { executorOf } from '../../db/database.ts';
import { pushStore } from '../../db/push-store.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet } from './fleet.ts';
import { MINUTE } from './world.ts';

eachDatabase((kind, open) => {
  test('a claim takes each enrolment once, names why, and reads the epoch of its own snapshot', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const store = reconcileStore(db);
    const now = fleet.clock.now();
    try {
      await db.run(async (tx) => {
        await store.enqueue(tx, [5, 6], 'labels', now);
        await store.enqueue(tx, [5], 'catalogue', now, 2);
        await store.enqueue(tx, [7], 'later', new Date(now.getTime() + 1));
        await sql`update catalogue set epoch = 42`.execute(executorOf(tx));
      });
      const claim = await db.run((tx) => store.claim(tx, 10, now));
      expect(claim.epoch).toBe(42);
      expect(claim.hosts.map((host) => [host.enrollment, host.attempts, [...host.reasons].sort()])).toEqual([
        [5, 2, ['catalogue', 'labels']],
        [6, 0, ['labels']],
      ]);
      expect(await db.run((tx) => store.claim(tx, 10, now))).toEqual({ hosts: [], epoch: undefined });
    } finally {
      await db.close();
    }
  });

  test('a claim whose unit of work fails is there again', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const store = reconcileStore(db);
    const now = fleet.clock.now();
    try {
      await db.run((tx) => store.enqueue(tx, [5], 'labels', now));
      await expect(
        db.run(async (tx) => {
          await store.claim(tx, 10, now);
          throw new Error('crash');
        }),
      ).rejects.toThrow('crash');
      expect((await db.run((tx) => store.claim(tx, 10, now))).hosts).toMatchObject([{ enrollment: 5 }]);
    } finally {
      await db.close();
    }
  });

  test('plan, command, body and push commit together; an edit replaces, cancels and keeps the old in the history', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const reconciler = fleet.reconciler();
    try {
      const mac = await fleet.mac(reconciler);
      const profile = await fleet.upload({ identifier: 'com.example.a' });
      await reconciler.drain();
      const commands = await sql<{ request_type: string; bytes: Buffer; op_generation: number | null; origin: string }>`
        select request_type, bytes, op_generation, origin from command c join command_body b on b.id = c.body_id order by seq
      `.execute(db.read);
      expect(commands.rows).toMatchObject([
        { request_type: 'ProfileList', op_generation: null, origin: 'reconciler' },
        { request_type: 'InstallProfile', op_generation: 1, origin: 'reconciler' },
      ]);
      expect(commands.rows[1]?.bytes.toString()).toBe('install 1');
      const pushes = await sql<{
        enrollment_id: number;
        reason: string;
      }>`select enrollment_id, reason from push_outbox`.execute(db.read);
      expect(pushes.rows).toEqual([{ enrollment_id: mac.enrollment, reason: 'reconcile' }]);

      await fleet.edit(profile);
      await reconciler.drain();
      await fleet.invariants();
      expect(await fleet.ops(mac)).toMatchObject([{ op: 'install', state: 'queued', generation: 2 }]);
      const history = await sql<{
        outcome: string;
        op_generation: number;
      }>`select outcome, op_generation from command_history`.execute(db.read);
      expect(history.rows).toEqual([{ outcome: 'cancelled', op_generation: 1 }]);

      await fleet.remove(profile);
      await reconciler.drain();
      expect(await fleet.ops(mac)).toEqual([]);
      expect(await fleet.liveCommands()).toMatchObject([{ request_type: 'ProfileList' }]);
    } finally {
      await db.close();
    }
  });

  test('a plan that commits while a push is under way has it sent once more', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const reconciler = fleet.reconciler();
    const pushes = pushStore(db);
    const now = fleet.clock.now();
    try {
      const { enrollment } = await fleet.mac(reconciler);
      await reconciler.drain();
      await pushes.lease('a', now, new Date(now.getTime() + MINUTE), 10);
      await fleet.upload({ identifier: 'com.example.a' });
      await reconciler.drain();
      const answer = { kind: 'answered', status: 200, reason: '' } as const;
      await pushes.settle('a', [{ enrollment, answer, verdict: { kind: 'accepted' } }], now);
      expect(await pushes.lease('a', now, new Date(now.getTime() + MINUTE), 10)).toMatchObject([{ enrollment }]);
    } finally {
      await db.close();
    }
  });

  test('what is left in a queue after a command was taken back is announced', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const reconciler = fleet.reconciler();
    try {
      const { enrollment } = await fleet.mac(reconciler);
      const profile = await fleet.upload({ identifier: 'com.example.a' });
      await reconciler.drain();
      await sql`delete from push_outbox`.execute(db.read);
      await fleet.remove(profile);
      await reconciler.drain();
      expect(await fleet.liveCommands()).toMatchObject([{ request_type: 'ProfileList' }]);
      const { rows } = await sql`select enrollment_id from push_outbox`.execute(db.read);
      expect(rows).toEqual([{ enrollment_id: enrollment }]);
    } finally {
      await db.close();
    }
  });

  test('a body is stored once for all who get it', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const reconciler = fleet.reconciler();
    try {
      for (let index = 0; index < 3; index += 1) await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.a' });
      await reconciler.drain();
      const { rows } = await sql<{ commands: number; bodies: number }>`
        select (select count(*) from command where slot_id is not null) as commands, (select count(*) from command_body) as bodies
      `.execute(db.read);
      expect(rows).toEqual([{ commands: 3, bodies: 2 }]);
    } finally {
      await db.close();
    }
  });

  test('a push that waits is brought forward, one that backs off is left alone', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const reconciler = fleet.reconciler();
    const later = new Date(fleet.clock.now().getTime() + MINUTE);
    try {
      const waiting = await fleet.mac(reconciler);
      const backing = await fleet.mac(reconciler);
      for (const [mac, attempts] of [
        [waiting, 0],
        [backing, 2],
      ] as const)
        await sql`
          insert into push_outbox (enrollment_id, reason, due_at, attempts, created_at)
          values (${mac.enrollment}, 'x', ${later}, ${attempts}, ${later})
        `.execute(db.read);
      await reconciler.drain();
      const { rows } = await sql<{ due_at: Date }>`select due_at from push_outbox order by enrollment_id`.execute(
        db.read,
      );
      expect(rows.map((row) => row.due_at)).toEqual([fleet.clock.now(), later]);
    } finally {
      await db.close();
    }
  });

  test('a fingerprint travels through the database unchanged', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const reconciler = fleet.reconciler();
    const store = reconcileStore(db);
    try {
      const mac = await fleet.mac(reconciler);
      for (const fingerprint of [
        { high: 0, low: 0 },
        { high: -1, low: -1 },
        { high: 1, low: -2 },
        { high: -2147483648, low: 2147483647 },
        { high: 2147483647, low: -2147483648 },
      ]) {
        const write = await db.run(async (tx) => {
          const read = await store.lockOne(tx, mac.enrollment);
          if (read === undefined) throw new Error('no row');
          await store.writeFacts(
            tx,
            {
              row: read.facts.row,
              upserts: [],
              drops: [],
              cancels: [],
              opCount: 0,
              applied: [],
              fingerprint,
              observedExtra: [],
              actualKnown: true,
            },
            fleet.clock.now(),
          );
          return store.lockOne(tx, mac.enrollment);
        });
        expect(write?.facts.row.fingerprint).toEqual(fingerprint);
      }
    } finally {
      await db.close();
    }
  });

  test('the rows that go in are the rows that come out', async () => {
    const db = await open();
    const fleet = new Fleet(db);
    const reconciler = fleet.reconciler();
    const store = reconcileStore(db);
    const now = fleet.clock.now();
    try {
      await fleet.upload({ identifier: 'com.example.a' });
      const mac = await fleet.mac(reconciler);
      const op = {
        slotId: 1,
        op: 'remove' as const,
        versionId: 1,
        generation: 9,
        enrollmentGeneration: 1,
        state: 'failed' as const,
        reason: `quotes " and 'single', {braces}, NULL`,
        errorChain: [{ domain: 'D"\\', code: -5, description: 'é\n{}' }],
        deliveryAttempts: 2,
        verifyMisses: 1,
        nextAt: now,
        commandUuid: 'u',
        ackedAt: now,
        observedUuid: 'NULL',
        observedAt: now,
        createdAt: now,
      };
      const read = await db.run(async (tx) => {
        const one = await store.lockOne(tx, mac.enrollment);
        if (one === undefined) throw new Error('no row');
        const common = {
          row: one.facts.row,
          drops: [],
          cancels: [],
          opCount: 1,
          applied: [1],
          fingerprint: { high: 0, low: 0 },
        };
        const observedExtra = [{ identifier: 'a', uuid: 'b', displayName: 'ü', why: 'foreign' as const }];
        await store.writeFacts(tx, { ...common, upserts: [op], observedExtra, actualKnown: false }, now);
        return store.lockOne(tx, mac.enrollment);
      });
      expect(read?.facts.ops).toEqual([op]);
      expect(read?.facts.row).toMatchObject({
        applied: [1],
        actualKnown: false,
        enrollmentProfile: 'com.example.enrolment',
      });
    } finally {
      await db.close();
    }
  });

  if (kind === 'postgres') {
    test('what another transaction holds makes its enrolment busy and nobody waits', async () => {
      const db = await open();
      const fleet = new Fleet(db);
      const reconciler = fleet.reconciler();
      try {
        const [one, two, three] = [
          await fleet.mac(reconciler),
          await fleet.mac(reconciler),
          await fleet.mac(reconciler),
        ];
        await fleet.upload({ identifier: 'com.example.a' });
        await reconciler.drain();
        await fleet.upload({ identifier: 'com.example.b' });
        let held = () => {};
        // Started outside the unit of work that holds the rows, as another process would be.
        const drained = new Promise<void>((resolve) => {
          held = resolve;
        }).then(() => reconciler.drain());
        await db.run(async (tx) => {
          await sql`select from recon where enrollment_id = ${one?.enrollment} for update`.execute(executorOf(tx));
          await sql`select from command where enrollment_id = ${two?.enrollment} for update`.execute(executorOf(tx));
          held();
          expect(await drained).toMatchObject({ hosts: 1, commands: 1 });
        });
        fleet.clock.forward(1000);
        expect(await reconciler.drain()).toMatchObject({ hosts: 2, commands: 2 });
        await fleet.invariants();
        expect(await fleet.ops(three as never)).toHaveLength(2);
      } finally {
        await db.close();
      }
    });
  }
});

/** Pages, counters and lists of one fleet say the same; what holds a pair back comes and goes; sending again. */
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { EspalierError } from '../../core/errors.ts';
import { type Database, executorOf } from '../../db/database.ts';
import { IN_SCOPE_STATES } from '../../reconciler/count.ts';
import type { PairView } from '../../reconciler/page.ts';
import type { Reconciler } from '../../reconciler/tick.ts';
import type { WaitingReason } from '../../reconciler/types.ts';
import { HOST_STATES, type HostState, hostStateOf, worseOf } from '../../reconciler/worst-state.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet, type Mac } from './fleet.ts';

const HOSTS = 8;
const ALL = { state: undefined, waiting: undefined, error: undefined };

async function inWorld(db: Database, work: (fleet: Fleet, reconciler: Reconciler) => Promise<void>): Promise<void> {
  try {
    const fleet = new Fleet(db);
    await work(fleet, fleet.reconciler({ countersMaxAgeMs: 0 }));
  } finally {
    await db.close();
  }
}

async function pair(reconciler: Reconciler, mac: Mac, identifier: string): Promise<PairView> {
  const found = (await reconciler.reads.hostProfiles(mac.hostId)).profiles.filter(
    (one) => one.identifier === identifier,
  );
  expect(found).toHaveLength(1);
  return found[0] as PairView;
}

async function waitsFor(reconciler: Reconciler, mac: Mac, identifier: string, reason: WaitingReason): Promise<void> {
  await reconciler.drain();
  const { state, waiting } = await pair(reconciler, mac, identifier);
  expect({ state, waiting }).toEqual({ state: 'waiting', waiting: reason });
}

const life = fc.record({
  os: fc.constantFrom('14.6', '15.1', ''),
  labels: fc.subarray([0, 1]),
  asked: fc.boolean(),
  rights: fc.constantFrom(8191, 8191, 8191, 1),
  product: fc.constantFrom('Mac15,3', 'iPhone14,2', ''),
  answers: fc.constantFrom('all', 'one', 'error', 'not now', 'none'),
});

eachDatabase((_kind, open) => {
  test('pages, counters and lists agree on every pair and every host', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const labels = [await fleet.label('One'), await fleet.label('Two')];
      const macs: Mac[] = [];
      for (let index = 0; index < HOSTS; index += 1) macs.push(await fleet.mac(reconciler));
      const users = [macs[0], macs[3]].map((mac) => mac as Mac);
      const channels = [...macs];
      for (const mac of users) channels.push(await fleet.user(reconciler, mac));
      const upload = (identifier: string, more: object = {}) => fleet.upload({ identifier, ...more });
      const [first = 0, second = 0] = labels;
      const gone = await upload('all.gone');
      await upload('all');
      await upload('one', { includeMode: 'any', include: [first] });
      await upload('not.two', { exclude: [second] });
      await upload('new', { minOs: '15' });
      const phones = await upload('phones');
      await sql`update profile_version set target_device_type = 1 where profile_id = ${phones}`.execute(fleet.db.read);
      await upload('user', { channel: 'user' });
      await reconciler.drain();

      await fc.assert(
        fc.asyncProperty(fc.array(life, { minLength: HOSTS, maxLength: HOSTS }), fc.boolean(), async (lives, edits) => {
          for (const [index, one] of lives.entries()) {
            const mac = macs[index] as Mac;
            await sql`
              update host set os_version = ${one.os}, product_name = ${one.product} where id = ${mac.hostId}
            `.execute(fleet.db.read);
            await sql`
              update enrollment set frozen = frozen || jsonb_build_object('AccessRights', ${one.rights}::int)
              where id = ${mac.enrollment}
            `.execute(fleet.db.read);
            const ids = one.labels.map((place) => labels[place] as number);
            if (one.asked) await fleet.answerLabels(mac, ids);
            else await fleet.answerLabels(mac, ids, [first]);
          }
          if (edits) await fleet.edit(gone);
          await reconciler.drain();
          await fleet.learnVersions();
          for (const [index, mac] of channels.entries()) {
            const answers = lives[index % HOSTS]?.answers;
            if (answers === 'all') {
              await fleet.pollAll(reconciler, mac);
              await fleet.report(reconciler, mac);
            }
            if (answers === 'none' || answers === 'all') continue;
            const command = await fleet.fetch(mac);
            if (command === undefined) continue;
            if (answers === 'not now')
              await sql`
                update command set state = 'not_now', not_now_count = 1 where enrollment_id = ${mac.enrollment} and command_uuid = ${command.uuid}
              `.execute(fleet.db.read);
            else await fleet.answer(reconciler, mac, command.uuid, answers === 'one' ? 'Acknowledged' : 'Error');
          }
          await reconciler.drain();
          fleet.clock.forward(60_000);

          const counters = await reconciler.reads.counters();
          const shown = new Map<string, PairView[]>();
          for (const mac of macs)
            shown.set(mac.hostId, [...(await reconciler.reads.hostProfiles(mac.hostId)).profiles]);
          const all = [...shown.values()]
            .flat()
            .filter(({ state }) => state !== 'not_in_scope' && state !== 'unmanaged');

          const states = Object.fromEntries(
            IN_SCOPE_STATES.map((state) => [state, all.filter((one) => one.state === state).length]),
          );
          expect(counters.pairs.states).toEqual(states);
          expect(counters.pairs.inScope).toBe(all.length);
          const held = all.flatMap(({ waiting }) => (waiting === undefined ? [] : [waiting]));
          expect(Object.values(counters.pairs.waiting).reduce((sum, count) => sum + count, 0)).toBe(held.length);
          for (const reason of new Set(held))
            expect([reason, counters.pairs.waiting[reason]]).toEqual([
              reason,
              held.filter((one) => one === reason).length,
            ]);

          for (const { profileId, inScope, states: counted } of counters.profiles) {
            const own = all.filter((one) => one.profileId === profileId);
            expect([profileId, inScope]).toEqual([profileId, own.length]);
            expect(IN_SCOPE_STATES.reduce((sum, state) => sum + counted[state], 0)).toBe(inScope);
            for (const state of IN_SCOPE_STATES) {
              const { items } = await reconciler.reads.lists.profileHosts(profileId, { ...ALL, state }, 0, 500);
              expect([profileId, state, items.length]).toEqual([profileId, state, counted[state]]);
              expect(items.map(({ hostId }) => hostId).sort()).toEqual(
                [...shown]
                  .flatMap(([hostId, pairs]) =>
                    pairs.filter((one) => one.profileId === profileId && one.state === state).map(() => hostId),
                  )
                  .sort(),
              );
            }
          }

          for (const state of HOST_STATES) {
            const expected = [...shown].filter(([, pairs]) => worst(pairs) === state).map(([hostId]) => hostId);
            expect([state, counters.hosts[state]]).toEqual([state, expected.length]);
            const found: string[] = [];
            for (let after = 0; ; ) {
              const page = await reconciler.reads.lists.hostsInState(state, undefined, after, 2);
              found.push(...page.items);
              if (page.next === undefined) break;
              after = page.next;
            }
            expect(found.sort()).toEqual(expected.sort());
          }
          await fleet.invariants();
        }),
        { numRuns: 6 },
      );
    });
  });

  test('a pair that is held back goes once that is over, and no sooner', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      await fleet.pollAll(reconciler, mac);
      await reconciler.drain();
      await fleet.report(reconciler, mac);
      const set = (what: ReturnType<typeof sql>) => what.execute(fleet.db.read);
      const dirty = () => fleet.db.run((tx) => fleet.dirty(tx, mac));

      await set(sql`update push_certificate set not_after = '2020-01-01'`);
      await fleet.upload({ identifier: 'a' });
      await waitsFor(reconciler, mac, 'a', 'no_push_certificate');
      await set(sql`update push_certificate set not_after = '2100-01-01'`);
      await set(sql`update enrollment set frozen = frozen || '{"AccessRights": 4097}' where id = ${mac.enrollment}`);
      await dirty();
      await waitsFor(reconciler, mac, 'a', 'access_right_missing');
      await expect(reconciler.actions.resend(mac.hostId, 'a', undefined)).rejects.toMatchObject({ code: 'conflict' });
      await set(sql`update enrollment set frozen = frozen || '{"AccessRights": 8191}' where id = ${mac.enrollment}`);
      await dirty();
      await reconciler.drain();
      expect((await pair(reconciler, mac, 'a')).state).toBe('pending');

      const phones = await fleet.upload({ identifier: 'phones' });
      await set(sql`update profile_version set target_device_type = 1 where profile_id = ${phones}`);
      await set(sql`update host set product_name = 'Mac15,3' where id = ${mac.hostId}`);
      await fleet.change(async () => undefined);
      await reconciler.drain();
      const { reason } = await pair(reconciler, mac, 'phones');
      expect(reason).toBe(
        'It is not for this kind of device: the profile (TargetDeviceType) is not for a Mac; aim it at hosts that can have it.',
      );
    });
  });

  test('a user who puts a command off is sent no more, and all of it once they are back', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      const user = await fleet.user(reconciler, mac);
      await reconciler.drain();
      await fleet.pollAll(reconciler, user);
      await fleet.upload({ identifier: 'first', channel: 'user' });
      await reconciler.drain();
      const command = await fleet.fetch(user);
      await sql`update command set state = 'not_now', not_now_count = 1 where command_uuid = ${command?.uuid}`.execute(
        fleet.db.read,
      );
      await fleet.upload({ identifier: 'second', channel: 'user' });
      await waitsFor(reconciler, user, 'second', 'user_not_logged_in');
      expect((await pair(reconciler, user, 'first')).reason).toMatch(/NotNow once/);
      await fleet.fetch(user);
      await fleet.upload({ identifier: 'third', channel: 'user' });
      await waitsFor(reconciler, user, 'second', 'user_not_logged_in');
      expect((await fleet.ops(user)).length).toBe(1);
      await fleet.answer(reconciler, user, command?.uuid ?? '');
      await reconciler.drain();
      expect((await pair(reconciler, user, 'second')).state).toBe('pending');
      await fleet.invariants();
    });
  });

  test('a profile that moves to the user channel is removed from the device first, and proven gone', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      const user = await fleet.user(reconciler, mac);
      const old = await fleet.upload({ identifier: 'wifi' });
      for (const one of [mac, user]) {
        await reconciler.drain();
        await fleet.pollAll(reconciler, one);
        fleet.clock.forward(2 * 60_000);
        await fleet.report(reconciler, one);
      }
      await fleet.change(async (tx) => {
        const executor = executorOf(tx);
        await sql`update profile set deleted_at = now() where id = ${old}`.execute(executor);
        const id = await fleet.insertProfile(tx, { identifier: 'wifi', channel: 'user' });
        await sql`
          update profile set moved_from_slot_id = (select slot_id from profile where id = ${old}) where id = ${id}
        `.execute(executor);
      });
      const states = async () =>
        (await reconciler.reads.why(mac.hostId, 'wifi')).map((one) => [one.channel, one.state, one.waiting]);
      await reconciler.drain();
      expect(await states()).toEqual([
        ['device', 'removing', undefined],
        ['user', 'waiting', 'dependency_not_verified'],
      ]);
      expect((await reconciler.reads.why(mac.hostId, 'wifi'))[0]?.evidence[0]?.says).toBe(
        "the team's profile of this identifier is on the user channel now",
      );
      expect(await fleet.pollAll(reconciler, user)).toBe(0);
      await fleet.pollAll(reconciler, mac);
      await reconciler.drain();
      // Acknowledged, and nobody has seen it yet.
      expect(await states()).toContainEqual(['user', 'waiting', 'dependency_not_verified']);
      fleet.clock.forward(2 * 60_000);
      await fleet.report(reconciler, mac);
      await reconciler.drain();
      expect(await states()).toEqual([['user', 'pending', undefined]]);
      await fleet.pollAll(reconciler, user);
      expect(user.holds.has('wifi') && !mac.holds.has('wifi')).toBe(true);
      await fleet.invariants();
    });
  });

  test('a profile that moves before its command was seen, or whose old channel ends, waits for nobody', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      const user = await fleet.user(reconciler, mac);
      await reconciler.drain();
      await fleet.pollAll(reconciler, mac);
      await fleet.pollAll(reconciler, user);
      const move = (old: number, identifier: string, channel: 'device' | 'user') =>
        fleet.change(async (tx) => {
          await sql`update profile set deleted_at = now() where id = ${old}`.execute(executorOf(tx));
          const id = await fleet.insertProfile(tx, { identifier, channel });
          await sql`
            update profile set moved_from_slot_id = (select slot_id from profile where id = ${old}) where id = ${id}
          `.execute(executorOf(tx));
        });
      const unseen = await fleet.upload({ identifier: 'unseen' });
      await reconciler.drain();
      await move(unseen, 'unseen', 'user');
      await reconciler.drain();
      expect(await fleet.ops(mac)).toEqual([]);
      expect(await fleet.ops(user)).toMatchObject([{ op: 'install', state: 'queued' }]);

      await fleet.pollAll(reconciler, user);
      const held = await fleet.upload({ identifier: 'held', channel: 'user' });
      await reconciler.drain();
      await fleet.pollAll(reconciler, user);
      await move(held, 'held', 'device');
      await reconciler.drain();
      expect(await fleet.ops(mac)).toEqual([]);
      await fleet.db.run(async (tx) => {
        await sql`update enrollment set state = 'ended' where id = ${user.enrollment}`.execute(executorOf(tx));
        await sql`delete from command where enrollment_id = ${user.enrollment}`.execute(executorOf(tx));
        await reconciler.handlers.onEnrollmentEnded(tx, { kind: 'enrollment_ended', enrollment: user.enrollment });
      });
      await reconciler.drain();
      expect(await fleet.ops(mac)).toMatchObject([{ op: 'install', state: 'queued' }]);
      await fleet.invariants();
    });
  });

  test('a removal that was acknowledged by a user who never came back is not waited for without end', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      const user = await fleet.user(reconciler, mac);
      const old = await fleet.upload({ identifier: 'wifi', channel: 'user' });
      await reconciler.drain();
      for (const one of [mac, user]) await fleet.pollAll(reconciler, one);
      await fleet.change(async (tx) => {
        await sql`update profile set deleted_at = now() where id = ${old}`.execute(executorOf(tx));
        const id = await fleet.insertProfile(tx, { identifier: 'wifi' });
        await sql`
          update profile set moved_from_slot_id = (select slot_id from profile where id = ${old}) where id = ${id}
        `.execute(executorOf(tx));
      });
      await reconciler.drain();
      await fleet.pollAll(reconciler, user);
      await reconciler.drain();
      expect(await fleet.ops(mac)).toEqual([]);
      for (let day = 0; day < 3; day += 1) {
        fleet.clock.forward(86_400_000);
        await reconciler.tick();
      }
      expect(await fleet.ops(user)).toMatchObject([{ op: 'remove', state: 'acked', reason: 'no_observer' }]);
      expect(await fleet.ops(mac)).toMatchObject([{ op: 'install', state: 'queued' }]);
    });
  });

  test('somebody who claims to be a host that never went live is quarantined, and the page says so', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      const aimed = await fleet.label('Aimed', 'manual');
      await fleet.upload({ identifier: 'all' });
      await fleet.upload({ identifier: 'aimed', includeMode: 'any', include: [aimed] });
      await fleet.db.run((tx) =>
        reconciler.handlers.onEnrollmentEnded(tx, { kind: 'enrollment_ended', enrollment: mac.enrollment }),
      );
      await sql`update enrollment set state = 'authenticated' where id = ${mac.enrollment}`.execute(fleet.db.read);
      expect(await pair(reconciler, mac, 'all')).toMatchObject({
        state: 'not_in_scope',
        reason: 'The host is not enrolled.',
      });
      await sql`
        with challenge as (
          insert into scep_challenge (id, hash, team_id, frozen, expires_at, created_at)
          values (gen_random_uuid(), 'h', 1, '{}', now(), now()) returning id)
        insert into certificate (serial, state, tbs, challenge_id, transaction_id, public_key_sha256, subject, not_before,
          not_after, intended_at, enrollment_id, standing, pinned_at)
        select 's', 'issued', 't', id, 'x', 'k', 'CN=x', now(), now(), now(), ${mac.enrollment}, 'quarantined', ${fleet.clock.now()}
        from challenge
      `.execute(fleet.db.read);
      expect(await pair(reconciler, mac, 'all')).toMatchObject({ state: 'waiting', waiting: 'quarantined_identity' });
      expect(await pair(reconciler, mac, 'aimed')).toMatchObject({
        state: 'not_in_scope',
        reason: 'The host is not enrolled; it is not meant for this host: it is not in label Aimed.',
      });
    });
  });

  test('sent again in any state: counters start again, what was under way is ended and its late answer is nothing', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      const profile = await fleet.upload({ identifier: 'a' });
      await reconciler.drain();
      const again = async () => {
        const [resent] = await reconciler.actions.resend(mac.hostId, 'a', undefined);
        await reconciler.drain();
        await fleet.invariants();
        return resent;
      };
      expect(await again()).toMatchObject({ op: 'install', was: 'pending', superseded: expect.any(String) });
      await fleet.learnVersions();
      // ProfileList comes first.
      await fleet.answer(reconciler, mac, (await fleet.fetch(mac))?.uuid ?? '');
      const command = await fleet.fetch(mac);
      expect(await again()).toMatchObject({ was: 'pending', superseded: command?.uuid });
      await fleet.answer(reconciler, mac, command?.uuid ?? '');
      expect((await fleet.ops(mac))[0]).toMatchObject({ state: 'queued' });

      await fleet.answer(reconciler, mac, (await fleet.fetch(mac))?.uuid ?? '', 'Error', [
        { domain: 'MCProfileErrorDomain', code: 1000, description: 'no' },
      ]);
      const failed = { ...ALL, state: 'failed' as const };
      expect((await reconciler.reads.lists.profileHosts(profile, failed, 0, 10)).items).toMatchObject([
        { hostId: mac.hostId, state: 'failed' },
      ]);
      expect(await reconciler.actions.resendFailed(profile)).toEqual({ resent: 1, left: 0 });
      await reconciler.drain();
      expect((await fleet.ops(mac))[0]).toMatchObject({ state: 'queued', reason: '' });
      expect(await reconciler.actions.resendFailed(profile)).toEqual({ resent: 0, left: 0 });

      await fleet.pollAll(reconciler, mac);
      expect(await again()).toMatchObject({ was: 'verifying', superseded: undefined });
      await fleet.pollAll(reconciler, mac);
      fleet.clock.forward(2 * 60_000);
      await fleet.report(reconciler, mac);
      expect((await pair(reconciler, mac, 'a')).state).toBe('verified');
      expect(await again()).toMatchObject({ was: 'verified', op: 'install' });
      expect((await pair(reconciler, mac, 'a')).state).toBe('pending');
      await fleet.pollAll(reconciler, mac);

      await fleet.remove(profile);
      await reconciler.drain();
      expect(await again()).toMatchObject({ was: 'removing', op: 'remove' });
      await expect(reconciler.actions.resend(mac.hostId, 'unknown', undefined)).rejects.toMatchObject({
        code: 'profile_not_found',
      });
    });
  });

  test('what cannot be sent again says whose it is, where it is, or what may have been meant', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      await fleet.upload({ identifier: 'com.example.wifi' });
      await fleet.upload({ identifier: 'com.example.dock', channel: 'user' });
      const other = await fleet.team('Other');
      await fleet.upload({ identifier: 'theirs', team: other });
      await reconciler.drain();
      const refusal = async (identifier: string, channel: 'device' | 'user' | undefined) => {
        const error: unknown = await reconciler.actions.resend(mac.hostId, identifier, channel).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (!(error instanceof EspalierError)) return undefined;
        expect(`${error.message} ${error.fix}`).not.toMatch(/[{}]|GET|POST/);
        return [error.code, error.message, error.fix];
      };
      expect(await refusal('com.example.wifi', 'user')).toEqual([
        'conflict',
        'com.example.wifi is on the device channel: nothing could be sent on another.',
        'Name the device channel, or none.',
      ]);
      expect(await refusal('wifi', undefined)).toEqual([
        'profile_not_found',
        'No team has a profile wifi, and it was not seen on this host.',
        'Did you mean com.example.wifi?',
      ]);
      expect((await refusal('com.example.dock', undefined))?.[1]).toMatch(/^The host has no user channel/);
      expect((await refusal('theirs', undefined))?.[1]).toBe(
        'Nothing of theirs could be sent. It belongs to team Other; this host is in team Default.',
      );
    });
  });

  test('a page of failed pairs with one error goes on past those with another', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const macs: Mac[] = [];
      for (let index = 0; index < 3; index += 1) macs.push(await fleet.mac(reconciler));
      const profile = await fleet.upload({ identifier: 'a' });
      await reconciler.drain();
      await sql`
        update op set state = 'failed', reason = case when enrollment_id = ${macs[2]?.enrollment} then 'rare' else 'common' end
      `.execute(fleet.db.read);
      const filter = { ...ALL, state: 'failed' as const, error: 'rare' };
      const page = await reconciler.reads.lists.profileHosts(profile, filter, 0, 2);
      expect(page.items.map(({ hostId }) => hostId)).toEqual([macs[2]?.hostId]);
    });
  });

  test('sent again after it was handed out, then not wanted any more: it is removed, for it may be there', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      await reconciler.drain();
      await fleet.pollAll(reconciler, mac);
      const profile = await fleet.upload({ identifier: 'a' });
      await reconciler.drain();
      await fleet.fetch(mac);
      for (let times = 0; times < 2; times += 1) {
        await reconciler.actions.resend(mac.hostId, 'a', undefined);
        await reconciler.drain();
      }
      await fleet.remove(profile);
      await reconciler.drain();
      expect(await fleet.ops(mac)).toMatchObject([{ op: 'remove', state: 'queued' }]);
      await fleet.invariants();
    });
  });

  test('whose profile it is where it is not for this host', async () => {
    await inWorld(await open(), async (fleet, reconciler) => {
      const mac = await fleet.mac(reconciler);
      const second = await fleet.team('Second');
      await fleet.upload({ identifier: 'com.example.wifi' });
      await fleet.upload({ identifier: 'com.example.theirs', team: second });
      const gone = await fleet.upload({ identifier: 'com.example.gone' });
      await fleet.remove(gone);
      const says = async (identifier: string) =>
        (await reconciler.reads.why(mac.hostId, identifier)).map(({ state, reason }) => [state, reason]);
      expect(await says('com.example.theirs')).toEqual([
        ['not_in_scope', 'It belongs to team Second; this host is in team Default.'],
      ]);
      expect(await says('com.example.gone')).toEqual([
        ['not_in_scope', 'It was deleted, and this host does not hold it.'],
      ]);
      await expect(reconciler.reads.why(mac.hostId, 'com.Example.WiFi')).rejects.toMatchObject({
        code: 'profile_not_found',
        fix: 'Did you mean com.example.wifi?',
      });
      await expect(reconciler.reads.why(mac.hostId, 'zzz')).rejects.toMatchObject({ code: 'profile_not_found' });
    });
  });
});

function worst(pairs: readonly PairView[]): HostState {
  return pairs.reduce<HostState>((state, one) => worseOf(state, hostStateOf(one.state)), 'verified');
}

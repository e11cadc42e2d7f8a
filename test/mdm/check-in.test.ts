import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Effect } from '../../core/effects.ts';
import type { Database } from '../../db/database.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { eachDatabase } from '../support/databases.ts';
import { COMMAND, command, createWorld, dictOf, ecKey, leaf, TOPIC, type World } from './world.ts';

const kinds = (effects: readonly Effect[]): string[] => effects.map((effect) => effect.kind);

eachDatabase((_kind, open) => {
  let db: Database;
  let world: World;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());
  beforeEach(() => {
    world = createWorld(db);
  });

  const enrolled = async (options: Parameters<World['device']>[0] = {}) => {
    const device = await world.device(options);
    await device.enrol();
    world.effects.length = 0;
    return device;
  };
  const view = async (enrollmentId: string) => {
    const found = await world.store.enrollment(enrollmentId);
    if (found === undefined) throw new Error(`no enrolment ${enrollmentId}`);
    return found;
  };

  describe('enrolment', () => {
    test('AUT-01 Authenticate is not enrolled; the first TokenUpdate is, and pushes (TOK-05)', async () => {
      const device = await world.device();
      expect((await device.authenticate()).status).toBe(200);
      expect((await view(device.udid)).state).toBe('authenticated');
      expect(kinds(world.effects)).toEqual(['host_facts_changed', 'enrollment_started']);
      await expect(world.enqueue.raw(command('DeviceInformation'), [device.udid])).rejects.toMatchObject({
        code: 'command_invalid',
      });
      const answer = await device.tokenUpdate();
      expect([answer.status, answer.body.length]).toEqual([200, 0]);
      const { ref, state, generation, binding } = await view(device.udid);
      expect({ state, generation, binding }).toEqual({ state: 'enrolled', generation: 1, binding: 'link_only' });
      expect(world.effects.slice(2)).toEqual([
        { kind: 'enrollment_live', enrollment: ref, first: true },
        { kind: 'push', enrollment: ref, reason: 'enrolled' },
      ]);
      world.effects.length = 0;
      await device.tokenUpdate();
      expect(world.effects).toEqual([{ kind: 'enrollment_live', enrollment: ref, first: false }]);
    });

    test('ENR-05 the as-enrolled frozen keys are the ones of the challenge', async () => {
      const device = await enrolled();
      const { rows } = await sql<{ frozen: unknown; hardware_uuid: string; team_id: number; name: string }>`
        select e.frozen, h.hardware_uuid, h.team_id, h.name from enrollment e join host h on h.id = e.host_id
        where e.enrollment_id = ${device.udid}`.execute(db.read);
      expect(rows[0]).toEqual({
        frozen: { PayloadIdentifier: 'org.espalier.enrollment', Topic: TOPIC },
        hardware_uuid: device.udid,
        team_id: 1,
        name: 'Mac of a test',
      });
    });

    test('AUT-02 a Topic without a push certificate is refused, and nothing is half applied', async () => {
      const device = await world.device();
      const before = await world.count('enrollment');
      expect((await device.authenticate({ Topic: 'com.apple.mgmt.Other' })).status).toBe(400);
      expect(await world.count('enrollment')).toBe(before);
    });

    test('TOK-06 CHK-09 TokenUpdate: another Topic, or an identity never seen, is refused', async () => {
      const device = await enrolled();
      expect(await device.tokenUpdate({ Topic: 'com.apple.mgmt.Other' })).toMatchObject({ code: 'mdm_topic_mismatch' });
      const stranger = await world.device();
      expect(await stranger.tokenUpdate()).toMatchObject({ status: 403, code: 'mdm_enrollment_unknown' });
    });

    test('CHK-09 a TokenUpdate without a new Authenticate from a known identity is taken', async () => {
      const device = await enrolled();
      expect((await device.tokenUpdate({ PushMagic: 'restored' })).status).toBe(200);
    });

    test('TOK-02 TOK-03 TOK-07 what a TokenUpdate leaves out stays', async () => {
      const device = await world.device();
      await device.authenticate();
      await device.tokenUpdate({ UnlockToken: Buffer.from('unlock'), AwaitingConfiguration: true });
      await device.tokenUpdate({ Token: Buffer.from('second'), PushMagic: 'second' });
      const { rows } = await sql<{ push_token: Buffer; push_magic: string; unlock: Buffer; awaiting: boolean }>`
        select push_token, push_magic, unlock_token_sealed as unlock, awaiting_configuration as awaiting
        from enrollment where enrollment_id = ${device.udid}`.execute(db.read);
      expect(rows[0]).toMatchObject({ push_magic: 'second', awaiting: true });
      expect(rows[0]?.push_token.toString()).toBe('second');
      expect(rows[0]?.unlock.includes('unlock')).toBe(false);
    });

    test('AUT-04 the same certificate repeating Authenticate keeps queue and state', async () => {
      const device = await enrolled();
      await world.enqueue.raw(command('DeviceInformation'), [device.udid]);
      expect((await device.authenticate({ OSVersion: '15.2' })).status).toBe(200);
      expect(await view(device.udid)).toMatchObject({ state: 'enrolled', generation: 1 });
      expect((await device.idle()).command).toBeDefined();
    });

    test('H-18 two parallel first messages of one Mac: one enrolment, both answered', async () => {
      const device = await world.device();
      const answers = await Promise.all([device.authenticate(), device.authenticate(), device.authenticate()]);
      expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
      expect(await view(device.udid)).toMatchObject({ generation: 1 });
    });

    test('H-18 H-19 two certificates for one new UDID at once: one is pinned, the other serialised behind it', async () => {
      const first = await world.device();
      const second = await world.device({ udid: first.udid, serial: first.serial });
      await Promise.all([first.authenticate(), second.authenticate()]);
      const { rows } = await sql<{ standing: string; n: number }>`
        select c.standing, count(*)::int as n from certificate c join enrollment e on e.id = c.enrollment_id
        where e.enrollment_id = ${first.udid} group by c.standing order by c.standing`.execute(db.read);
      expect(rows).toEqual([
        { standing: 'current', n: 1 },
        { standing: 'superseded', n: 1 },
      ]);
    });
  });

  describe('identity', () => {
    test('SIG-03 H-10 R21 a certificate pinned to A speaking for B: 403, no code body, nothing changes', async () => {
      const a = await enrolled();
      const b = await enrolled();
      for (const message of [
        { MessageType: 'Authenticate', Topic: TOPIC },
        { MessageType: 'TokenUpdate', Topic: TOPIC, Token: Buffer.from('stolen'), PushMagic: 'stolen' },
        { MessageType: 'CheckOut' },
        { MessageType: 'GetBootstrapToken' },
      ]) {
        const answer = await a.checkIn({ ...message, UDID: b.udid });
        expect(answer).toMatchObject({ status: 403, code: 'mdm_identity_mismatch' });
        expect(answer.body.length).toBe(0);
      }
      await world.enqueue.raw(command('DeviceInformation'), [b.udid]);
      expect(await a.idle({ UDID: b.udid })).toMatchObject({ status: 403, command: undefined });
      expect((await view(b.udid)).state).toBe('enrolled');
      expect(world.effects.filter((effect) => effect.kind !== 'push')).toEqual([]);
    });

    test('H-11 a certificate of ours that is not on record is refused', async () => {
      const device = await world.device();
      device.identity = leaf(world.authority);
      expect(await device.authenticate()).toMatchObject({ status: 400, code: 'mdm_identity_untrusted' });
    });

    test('S6 a revoked certificate gets nothing, at once', async () => {
      const device = await enrolled();
      await world.enqueue.raw(command('DeviceInformation'), [device.udid]);
      await sql`update certificate set revoked_at = now() where sha256 = ${device.identity.sha256}`.execute(db.read);
      expect(await device.idle()).toMatchObject({ status: 400, code: 'mdm_identity_untrusted', command: undefined });
      expect(await device.tokenUpdate()).toMatchObject({ status: 400 });
    });

    test('SIG-07 an expired identity lives on where it is pinned and is not let in anew', async () => {
      const validity = { notBefore: new Date('2025-01-01'), notAfter: new Date('2026-03-02') };
      const device = await enrolled(validity);
      const late = await world.device(validity);
      world.clock.advance(10 * 86_400_000);
      await world.enqueue.raw(command('DeviceInformation'), [device.udid]);
      expect((await device.idle()).command).toBeDefined();
      expect(await late.authenticate()).toMatchObject({ status: 400, code: 'mdm_identity_untrusted' });
    });
  });

  describe('quarantine and re-enrolment', () => {
    test('AUT-03 a link-only certificate claiming a live UDID is answered, and gets and changes nothing', async () => {
      const victim = await enrolled();
      await world.enqueue.raw(command('DeviceInformation'), [victim.udid]);
      await victim.checkIn({ MessageType: 'SetBootstrapToken', BootstrapToken: Buffer.from('secret') });
      const thief = await world.device({ udid: victim.udid, serial: victim.serial });
      world.effects.length = 0;
      const answers = [
        await thief.authenticate(),
        await thief.tokenUpdate({ PushMagic: 'thief' }),
        await thief.idle(),
        await thief.checkIn({ MessageType: 'GetBootstrapToken' }),
        await thief.checkIn({ MessageType: 'UserAuthenticate', UserID: 'U' }),
        await thief.checkIn({ MessageType: 'CheckOut' }),
        await thief.authenticate(),
        await thief.report({ Status: 'Acknowledged', CommandUUID: 'x' }),
        await thief.send({ body: Buffer.from('junk'), contentType: COMMAND }),
      ];
      const { ref } = await view(victim.udid);
      expect(await world.commands.list([ref], 10)).toMatchObject([{ state: 'queued', orphan: false }]);
      expect(answers.map(({ status, body }) => [status, body.length])).toEqual(answers.map(() => [200, 0]));
      expect(world.effects).toEqual([]);
      expect(await view(victim.udid)).toMatchObject({ state: 'enrolled', generation: 1, quarantinedCertificates: 1 });
      expect((await victim.idle()).command).toBeDefined();
    });

    test('AUT-03 a quarantined certificate stays quarantined when the Mac re-enrols', async () => {
      const victim = await enrolled();
      const thief = await world.device({ udid: victim.udid, serial: victim.serial });
      await thief.authenticate();
      const again = await world.device({ udid: victim.udid, serial: victim.serial, intent: victim.serial });
      await again.enrol();
      expect(await thief.tokenUpdate({ PushMagic: 'thief' })).toMatchObject({ status: 200 });
      expect(await view(victim.udid)).toMatchObject({ generation: 2, quarantinedCertificates: 1 });
    });

    test('AUT-03 a link-only certificate with a live serial number under a fresh UDID is quarantined too', async () => {
      const victim = await enrolled();
      const thief = await world.device({ serial: victim.serial });
      expect((await thief.authenticate()).status).toBe(200);
      expect(await world.store.enrollment(thief.udid)).toBeUndefined();
      expect(await view(victim.udid)).toMatchObject({ quarantinedCertificates: 1 });
    });

    test('AUT-03 an intent for my own serial number does not open another Mac’s UDID', async () => {
      const victim = await enrolled();
      const thief = await world.device({ udid: victim.udid, serial: 'MINE', intent: 'MINE' });
      expect((await thief.authenticate()).status).toBe(200);
      expect(await view(victim.udid)).toMatchObject({ state: 'enrolled', generation: 1, quarantinedCertificates: 1 });
    });

    test('AUT-03 a link made for another serial number is refused', async () => {
      const device = await world.device({ intent: 'OTHER' });
      expect(await device.authenticate()).toMatchObject({ status: 403, code: 'mdm_identity_mismatch' });
      expect(await world.store.enrollment(device.udid)).toBeUndefined();
    });

    test('AUT-05 R22 intent re-enrols: new generation, queue cancelled, user channels ended, token kept as history', async () => {
      const old = await enrolled();
      const user = { UserID: 'U1', UserShortName: 'ana', UserLongName: 'Ana' };
      await old.tokenUpdate(user);
      const { commandUuid } = await world.enqueue.raw(command('DeviceInformation'), [old.udid]);
      await world.enqueue.raw(command('DeviceInformation'), [`${old.udid}:U1`]);
      world.effects.length = 0;
      const again = await world.device({ udid: old.udid, serial: old.serial, intent: old.serial });
      expect((await again.authenticate()).status).toBe(200);
      const { ref, hostId, ...rest } = await view(old.udid);
      expect(rest).toMatchObject({ state: 'authenticated', generation: 2, binding: 'intent' });
      const channel = await view(`${old.udid}:U1`);
      expect(channel).toMatchObject({ state: 'ended', hostId });
      expect(world.effects).toEqual([
        { kind: 'enrollment_ended', enrollment: channel.ref },
        { kind: 'enrollment_started', enrollment: ref, generation: 2 },
      ]);
      expect(await world.commands.get(ref, commandUuid)).toMatchObject({ state: 'cancelled', enrollmentGeneration: 1 });
      expect((await again.idle()).command).toBeUndefined();
      await again.tokenUpdate();
      expect((await again.idle()).command).toBeUndefined();
      expect(await old.idle()).toMatchObject({ status: 403, code: 'mdm_identity_mismatch' });
      expect(await old.checkIn({ MessageType: 'CheckOut' })).toMatchObject({ status: 403 });
      expect((await view(old.udid)).state).toBe('enrolled');
      await again.tokenUpdate(user);
      expect(await view(`${old.udid}:U1`)).toMatchObject({ state: 'enrolled', generation: 2 });
      // A result of the earlier life changes nothing.
      const late = await again.report({ Status: 'Acknowledged', CommandUUID: commandUuid });
      expect([late.status, late.command]).toEqual([200, undefined]);
      const cancelled = await world.commands.get(ref, commandUuid);
      expect(cancelled).toMatchObject({ state: 'cancelled', duplicateReports: 1 });
      expect(dictOf(cancelled?.result ?? Buffer.alloc(0)).get('Status')).toBe('Acknowledged');
    });

    test('AUT-05 intent with a new UDID takes over the host and ends the old enrolment', async () => {
      const old = await enrolled();
      const { hostId, ref } = await view(old.udid);
      const board = await world.device({ serial: old.serial, intent: old.serial });
      await board.authenticate();
      expect(await view(board.udid)).toMatchObject({ hostId, state: 'authenticated', generation: 1 });
      expect((await view(old.udid)).state).toBe('ended');
      expect(world.effects).toContainEqual({ kind: 'enrollment_ended', enrollment: ref });
    });

    test('AUT-04 ENR-06 a renewal keeps everything; the old certificate holds until the new one has spoken', async () => {
      const device = await enrolled();
      const { ref } = await view(device.udid);
      const { commandUuid } = await world.enqueue.raw(command('DeviceInformation'), [device.udid]);
      const oldIdentity = device.identity;
      const newIdentity = await world.issue({ renews: ref, key: ecKey() });
      world.effects.length = 0;
      device.identity = newIdentity;
      expect((await device.authenticate()).status).toBe(200);
      expect((await device.authenticate()).status).toBe(200);
      device.identity = oldIdentity;
      expect((await device.idle()).command).toBe(commandUuid);
      device.identity = newIdentity;
      expect((await device.tokenUpdate()).status).toBe(200);
      expect((await device.idle()).command).toBe(commandUuid);
      expect(await view(device.udid)).toMatchObject({
        generation: 1,
        state: 'enrolled',
        certificateSha256: newIdentity.sha256.toString('hex'),
      });
      device.identity = oldIdentity;
      expect((await device.idle()).status).toBe(403);
      expect(kinds(world.effects)).toEqual(['enrollment_live']);
    });

    test('ENR-06 the first request of a renewed certificate may be a result with effects: they happen once', async () => {
      const device = await enrolled();
      const { ref } = await view(device.udid);
      const { commandUuid } = await world.enqueue.raw(command('ProfileList'), [device.udid]);
      await device.idle();
      world.effects.length = 0;
      const newIdentity = await world.issue({ renews: ref });
      device.identity = newIdentity;
      await device.authenticate();
      await device.report({ Status: 'Acknowledged', CommandUUID: commandUuid, ProfileList: [] });
      expect(kinds(world.effects)).toEqual(['profiles_observed']);
    });

    test('a renewal for A does not open B', async () => {
      const a = await enrolled();
      const b = await enrolled();
      b.identity = await world.issue({ renews: (await view(a.udid)).ref });
      expect(await b.authenticate()).toMatchObject({ status: 403, code: 'mdm_identity_mismatch' });
    });
  });

  describe('at the same moment', () => {
    test('R22 a re-enrolment and commands being queued: none of the earlier life is left', async () => {
      for (let round = 0; round < 12; round += 1) {
        const old = await enrolled();
        const again = await world.device({ udid: old.udid, serial: old.serial, intent: old.serial });
        await Promise.allSettled([
          world.enqueue.raw(command('SecurityInfo'), [old.udid]),
          again.authenticate(),
          world.enqueue.raw(command('SecurityInfo'), [old.udid]),
        ]);
        expect(await view(old.udid)).toMatchObject({ state: 'authenticated', generation: 2 });
      }
      const { rows } = await sql<{ n: number }>`
        select count(*)::int as n from command c join enrollment e on e.id = c.enrollment_id
        where e.state <> 'enrolled' or c.enrollment_generation <> e.generation`.execute(db.read);
      expect(rows[0]?.n).toBe(0);
    });

    test('R2 one result at two replicas takes effect once', async () => {
      for (let round = 0; round < 12; round += 1) {
        const device = await enrolled();
        const { commandUuid } = await world.enqueue.raw(command('ProfileList'), [device.udid]);
        await device.idle();
        world.effects.length = 0;
        const other = createWorld(db, { authority: world.authority });
        const body = writePlistBytes({
          UDID: device.udid,
          Status: 'Acknowledged',
          CommandUUID: commandUuid,
          ProfileList: [],
        });
        const request = {
          method: 'PUT',
          contentType: COMMAND,
          mdmSignature: undefined,
          peerCertificate: device.identity.der,
          body,
        };
        const answers = await Promise.all([world.service.handle(request), other.service.handle(request)]);
        expect(answers.map((answer) => answer.status)).toEqual([200, 200]);
        expect([...world.effects, ...other.effects].map((effect) => effect.kind)).toEqual(['profiles_observed']);
      }
    });
  });

  describe('CheckOut', () => {
    test('OUT-01 ends device and user channels, cancels the queue, keeps the host; Idle after it gets nothing (H-18)', async () => {
      const device = await enrolled();
      await device.tokenUpdate({ UserID: 'U', UserShortName: 'u', UserLongName: 'U' });
      const { commandUuid } = await world.enqueue.raw(command('DeviceInformation'), [device.udid]);
      const { ref } = await view(device.udid);
      world.effects.length = 0;
      expect((await device.checkIn({ MessageType: 'CheckOut', Topic: TOPIC })).status).toBe(200);
      expect(kinds(world.effects)).toEqual(['enrollment_ended', 'enrollment_ended']);
      expect((await view(device.udid)).state).toBe('ended');
      expect((await view(`${device.udid}:U`)).state).toBe('ended');
      expect(await device.idle()).toMatchObject({ status: 200, command: undefined });
      expect(await device.report({ Status: 'Acknowledged', CommandUUID: commandUuid })).toMatchObject({ status: 200 });
      expect(await world.commands.get(ref, commandUuid)).toMatchObject({ state: 'cancelled', duplicateReports: 1 });
      world.effects.length = 0;
      expect((await device.checkIn({ MessageType: 'CheckOut' })).status).toBe(200);
      expect(world.effects).toEqual([]);
      expect(await device.tokenUpdate()).toMatchObject({ status: 403, code: 'mdm_enrollment_unknown' });
    });

    test('R22 the same certificate may begin a new life after CheckOut', async () => {
      const device = await enrolled();
      await device.checkIn({ MessageType: 'CheckOut' });
      await device.enrol();
      expect(await view(device.udid)).toMatchObject({ state: 'enrolled', generation: 2 });
    });
  });

  describe('user channel', () => {
    test('IDN-02 a TokenUpdate of a user before the device’s waits, and goes live with it', async () => {
      const device = await world.device();
      await device.authenticate();
      world.effects.length = 0;
      expect((await device.tokenUpdate({ UserID: 'U', UserShortName: 'u', UserLongName: 'U' })).status).toBe(200);
      expect((await view(`${device.udid}:U`)).state).toBe('waiting_for_device');
      expect(world.effects).toEqual([]);
      await device.tokenUpdate();
      expect((await view(`${device.udid}:U`)).state).toBe('enrolled');
      expect(kinds(world.effects)).toEqual(['enrollment_live', 'push', 'enrollment_live', 'push']);
    });

    test('TOK-08 IDN-05 its own token and queue under the device’s certificate', async () => {
      const device = await enrolled();
      const user = { UserID: 'U', UserShortName: 'u', UserLongName: 'U' };
      await device.tokenUpdate({ ...user, PushMagic: 'user-magic', Token: Buffer.from('user') });
      const forUser = await world.enqueue.raw(command('ProfileList'), [`${device.udid}:U`]);
      const forDevice = await world.enqueue.raw(command('ProfileList'), [device.udid]);
      expect((await device.idle()).command).toBe(forDevice.commandUuid);
      expect((await device.idle(user)).command).toBe(forUser.commandUuid);
      const { rows } = await sql<{ push_magic: string }>`
        select push_magic from enrollment where enrollment_id in (${device.udid}, ${`${device.udid}:U`}) order by id
      `.execute(db.read);
      expect(rows.map((row) => row.push_magic)).toEqual([`magic-${device.udid}`, 'user-magic']);
    });

    test('IDN-02 two Shared iPad users share a UserID and not a channel', async () => {
      const device = await enrolled();
      for (const UserShortName of ['ana', 'ben']) {
        await device.tokenUpdate({ UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName, UserLongName: 'x' });
      }
      expect((await world.store.enrollmentsOfHost((await view(device.udid)).hostId)).map((e) => e.type)).toEqual([
        'Device',
        'Shared iPad',
        'Shared iPad',
      ]);
    });

    test('H-18 a user of an unknown device is refused; a user that never checked in gets nothing, and keeps nothing', async () => {
      const stranger = await world.device();
      const user = { UserID: 'U', UserShortName: 'u', UserLongName: 'U' };
      expect(await stranger.tokenUpdate(user)).toMatchObject({ status: 403, code: 'mdm_enrollment_unknown' });
      const device = await enrolled();
      expect(await device.idle(user)).toMatchObject({ status: 200, command: undefined });
    });

    test('OUT-01 CheckOut of a user ends that user only', async () => {
      const device = await enrolled();
      await device.tokenUpdate({ UserID: 'U', UserShortName: 'u', UserLongName: 'U' });
      await device.checkIn({ MessageType: 'CheckOut', UserID: 'U' });
      expect((await view(`${device.udid}:U`)).state).toBe('ended');
      expect((await view(device.udid)).state).toBe('enrolled');
    });

    test('UAU-01 UserAuthenticate is declined with 410; a user-channel Authenticate is malformed', async () => {
      const device = await enrolled();
      expect(await device.checkIn({ MessageType: 'UserAuthenticate', UserID: 'N' })).toMatchObject({ status: 410 });
      expect(await device.authenticate({ UserID: 'N' })).toMatchObject({ status: 400, code: 'mdm_message_malformed' });
    });
  });

  describe('bootstrap token', () => {
    test('BST-01 BST-02 BST-03 set, get, delete; sealed to its row', async () => {
      const device = await enrolled();
      const other = await enrolled();
      const get = async (from: typeof device) =>
        dictOf((await from.checkIn({ MessageType: 'GetBootstrapToken' })).body).get('BootstrapToken');
      expect(await get(device)).toEqual(Buffer.alloc(0));
      const token = Buffer.from('bootstrap-token-of-this-mac');
      await device.checkIn({ MessageType: 'SetBootstrapToken', BootstrapToken: token });
      expect(await get(device)).toEqual(token);
      expect(await get(other)).toEqual(Buffer.alloc(0));
      const { rows } = await sql<{ sealed: Buffer }>`
        select bootstrap_token_sealed as sealed from enrollment where enrollment_id = ${device.udid}`.execute(db.read);
      expect(rows[0]?.sealed.includes(token)).toBe(false);
      await sql`update enrollment set bootstrap_token_sealed = ${rows[0]?.sealed ?? null}, bootstrap_token_generation = 1
        where enrollment_id = ${other.udid}`.execute(db.read);
      expect(await other.checkIn({ MessageType: 'GetBootstrapToken' })).toMatchObject({ status: 500 });
      await device.checkIn({ MessageType: 'SetBootstrapToken', BootstrapToken: Buffer.alloc(0) });
      expect(await get(device)).toEqual(Buffer.alloc(0));
      expect(await view(device.udid)).toMatchObject({ hasBootstrapToken: false });
    });

    test('BST-03 a token of an earlier life is not handed to the next one, however that came about', async () => {
      const old = await enrolled();
      await old.checkIn({ MessageType: 'SetBootstrapToken', BootstrapToken: Buffer.from('old token') });
      await old.checkIn({ MessageType: 'CheckOut' });
      const again = await world.device({ udid: old.udid, serial: old.serial });
      await again.enrol();
      expect(await view(old.udid)).toMatchObject({ generation: 2, binding: 'link_only', hasBootstrapToken: false });
      const answer = await again.checkIn({ MessageType: 'GetBootstrapToken' });
      expect(dictOf(answer.body).get('BootstrapToken')).toEqual(Buffer.alloc(0));
    });

    test('TOK-07 SetBootstrapToken without AwaitingConfiguration leaves it', async () => {
      const device = await world.device();
      await device.authenticate();
      await device.tokenUpdate({ AwaitingConfiguration: true });
      await device.checkIn({ MessageType: 'SetBootstrapToken', BootstrapToken: Buffer.from('t') });
      expect((await view(device.udid)).awaitingConfiguration).toBe(true);
      await device.checkIn({ MessageType: 'SetBootstrapToken', AwaitingConfiguration: false });
      expect((await view(device.udid)).awaitingConfiguration).toBe(false);
    });
  });

  test('CHK-10 GTK-01 messages without a service behind them: 400 by a stated code, nothing changes', async () => {
    const device = await enrolled();
    expect(await device.checkIn({ MessageType: 'ReturnToService' })).toMatchObject({
      code: 'mdm_message_type_unknown',
    });
    expect(await device.checkIn({ MessageType: 'GetToken', TokenServiceType: 'com.apple.maid' })).toMatchObject({
      status: 400,
      code: 'mdm_endpoint_unknown',
    });
    expect(await device.checkIn({ MessageType: 'DeclarativeManagement', Endpoint: '../../x' })).toMatchObject({
      code: 'mdm_endpoint_unknown',
    });
    expect(world.effects).toEqual([]);
  });
});

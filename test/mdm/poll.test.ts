import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { PUSH_FOR_DEFERRED } from '../../mdm/command.ts';
import { commandBody } from '../../mdm/hand-out.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { assertEmitted } from '../conformance/apple-schema/index.ts';
import { eachDatabase } from '../support/databases.ts';
import { COMMAND, command, createWorld, type Device, dictOf, type World } from './world.ts';

eachDatabase((_kind, open) => {
  let db: Database;
  let world: World;
  let device: Device;
  let ref: number;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());
  beforeEach(async () => {
    world = createWorld(db);
    device = await world.device();
    await device.enrol();
    ref = (await world.store.enrollment(device.udid))?.ref ?? -1;
    world.effects.length = 0;
  });

  const enqueue = async (requestType = 'SecurityInfo', to = device.udid): Promise<string> => {
    const { commandUuid } = await world.enqueue.raw(command(requestType), [to]);
    world.effects.length = 0;
    return commandUuid;
  };
  const acknowledge = (CommandUUID: string, more: Parameters<Device['report']>[0] = {}) =>
    device.report({ Status: 'Acknowledged', CommandUUID, ...more });

  test('CMD-01 CMD-06 Idle, command, result, and zero bytes at the end', async () => {
    const first = await enqueue();
    const second = await enqueue('DeviceInformation');
    const answer = await device.idle();
    expect(answer).toMatchObject({
      status: 200,
      command: first,
      headers: { 'content-type': 'application/xml; charset=UTF-8' },
    });
    assertEmitted(answer.body, 'command');
    expect((await acknowledge(first)).command).toBe(second);
    const end = await acknowledge(second);
    expect([end.status, end.body.length, end.headers]).toEqual([200, 0, {}]);
    expect(await world.commands.get(ref, first)).toMatchObject({ state: 'Acknowledged', deliveries: 1 });
    expect(world.effects).toEqual([]);
  });

  test('CMD-05 Idle again with a command outstanding: the same UUID, the same bytes', async () => {
    await enqueue();
    expect((await device.idle()).body.equals((await device.idle()).body)).toBe(true);
  });

  test('CMD-02 H-13 a duplicate result has no effect and is counted', async () => {
    const uuid = await enqueue();
    await device.idle();
    await acknowledge(uuid);
    const again = await device.report({ Status: 'Error', CommandUUID: uuid });
    expect([again.status, again.command]).toEqual([200, undefined]);
    expect(await world.commands.get(ref, uuid)).toMatchObject({ state: 'Acknowledged', duplicateReports: 1 });
  });

  test('CMD-03 R4 a result nobody asked for is kept, and answered with the next command', async () => {
    const waiting = await enqueue();
    const answer = await acknowledge('never-sent', { Answer: 42 });
    expect(answer).toMatchObject({ status: 200, command: waiting });
    const orphan = await world.commands.get(ref, 'never-sent');
    expect(orphan).toMatchObject({ orphan: true, state: 'Acknowledged', deliveries: 0 });
    expect(dictOf(orphan?.result ?? Buffer.alloc(0)).get('Answer')).toBe(42);
    await acknowledge('never-sent');
    expect(await world.commands.get(ref, 'never-sent')).toMatchObject({ orphan: true, duplicateReports: 1 });
  });

  test('CMD-04 a result for another device’s command does not touch it', async () => {
    const other = await world.device();
    await other.enrol();
    const uuid = await enqueue('SecurityInfo', other.udid);
    expect((await acknowledge(uuid)).status).toBe(200);
    expect((await other.idle()).command).toBe(uuid);
  });

  test('CMD-07 CMD-08 an unknown Status finishes the command as Unknown and keeps the bytes', async () => {
    const uuid = await enqueue();
    await device.idle();
    const body = writePlistBytes({ UDID: device.udid, Status: 'Teleported', CommandUUID: uuid });
    expect((await device.send({ body, contentType: COMMAND })).status).toBe(200);
    const found = await world.commands.get(ref, uuid);
    expect(found).toMatchObject({ state: 'Unknown' });
    expect(found?.result?.equals(body)).toBe(true);
  });

  test('CHK-08 an authenticated result that cannot be parsed: stored raw, finished as Unknown, 200 and the next', async () => {
    const uuid = await enqueue();
    const next = await enqueue('DeviceInformation');
    await device.idle();
    const whole = writePlistBytes({
      UDID: device.udid,
      CommandUUID: uuid,
      Status: 'Acknowledged',
      Rest: 'x'.repeat(500),
    });
    const body = whole.subarray(0, whole.length - 200);
    expect(await device.send({ body, contentType: COMMAND })).toMatchObject({ status: 200, command: next });
    const found = await world.commands.get(ref, uuid);
    expect(found).toMatchObject({ state: 'Unknown' });
    expect(found?.result?.equals(body)).toBe(true);
  });

  test('CHK-08 with not even a name in it: stored, 200, and no command that would come round for ever', async () => {
    const uuid = await enqueue();
    await device.idle();
    for (const body of [Buffer.from('bplist00junk'), Buffer.from('junk'), Buffer.alloc(0)]) {
      expect(await device.send({ body, contentType: COMMAND })).toMatchObject({ status: 200, command: undefined });
    }
    const { rows } = await sql<{ n: number }>`
      select count(*)::int as n from command_history where enrollment_id = ${ref} and orphan`.execute(db.read);
    expect(rows[0]?.n).toBe(3);
    expect((await device.idle()).command).toBe(uuid);
  });

  test('CMD-08 a result of several megabytes is kept whole', async () => {
    const uuid = await enqueue('InstalledApplicationList');
    await device.idle();
    const list = Array.from({ length: 20_000 }, (_, n) => ({
      Identifier: `com.example.${n % 7}`,
      Name: `App ${n}`,
      Version: 1,
    }));
    expect((await acknowledge(uuid, { InstalledApplicationList: list })).status).toBe(200);
    const found = await world.commands.get(ref, uuid);
    expect(found).toMatchObject({ state: 'Acknowledged', truncated: false });
    expect(found?.result?.length).toBeGreaterThan(1_000_000);
  });

  test('CMD-08 beyond 16 MiB the head is kept, the command finished, the answer 200', async () => {
    const uuid = await enqueue();
    await device.idle();
    const head = writePlistBytes({ UDID: device.udid, CommandUUID: uuid, Status: 'Acknowledged' });
    const body = Buffer.concat([head.subarray(0, head.length - 18), Buffer.alloc(17 * 1024 * 1024, ' ')]);
    expect((await device.send({ body, contentType: COMMAND })).status).toBe(200);
    const found = await world.commands.get(ref, uuid);
    expect(found).toMatchObject({ state: 'Unknown', truncated: true });
    expect(found?.result?.equals(body.subarray(0, 16 * 1024 * 1024))).toBe(true);
  });

  describe('NotNow', () => {
    test('NNW-01 R5 deferred in this exchange, offered again at the next Idle, oldest first', async () => {
      const [a, b] = [await enqueue(), await enqueue('DeviceInformation')];
      expect((await device.idle()).command).toBe(a);
      expect((await device.report({ Status: 'NotNow', CommandUUID: a })).command).toBe(b);
      const end = await device.report({ Status: 'NotNow', CommandUUID: b });
      expect(end.body.length).toBe(0);
      expect(world.effects).toEqual([]);
      expect(await world.commands.get(ref, a)).toMatchObject({ state: 'not_now', notNowCount: 1 });
      expect((await device.idle()).command).toBe(a);
    });

    test('NNW-02 ended on another word: a push brings the device back', async () => {
      const [a, b] = [await enqueue(), await enqueue('DeviceInformation')];
      await device.idle();
      await device.report({ Status: 'NotNow', CommandUUID: a });
      expect((await acknowledge(b)).body.length).toBe(0);
      expect(world.effects).toEqual([{ kind: 'push', enrollment: ref, reason: PUSH_FOR_DEFERRED, later: true }]);
      expect(await world.commands.get(ref, b)).toMatchObject({ state: 'Acknowledged' });
    });
  });

  describe('results with effects', () => {
    const within = (requestType: string, generation = 1) =>
      db.run((tx) =>
        world.enqueue.within(tx, [
          {
            enrollment: ref,
            commandUuid: `op-${generation}-${ref}`,
            requestType,
            body: commandBody({ RequestType: requestType, Identifier: 'x' }),
            origin: 'reconciler',
            op: { slot: 1, generation },
          },
        ]),
      );

    test('an op is settled in the transaction of its report, once; a duplicate settles nothing', async () => {
      expect([...(await within('RemoveProfile'))]).toEqual([ref]);
      expect(world.effects).toEqual([{ kind: 'push', enrollment: ref, reason: 'command' }]);
      world.effects.length = 0;
      const { command: uuid = '' } = await device.idle();
      const error = { ErrorCode: 89, ErrorDomain: 'MDMClientError', LocalizedDescription: 'gone' };
      const report = { Status: 'Error', CommandUUID: uuid, ErrorChain: [error] };
      expect((await device.report(report)).status).toBe(200);
      expect(world.effects).toEqual([
        {
          kind: 'op_settled',
          enrollment: ref,
          enrollmentGeneration: 1,
          op: { slot: 1, generation: 1 },
          outcome: 'Error',
          errorChain: [{ code: 89, domain: 'MDMClientError', description: 'gone' }],
        },
      ]);
      await device.report(report);
      expect(world.effects).toHaveLength(1);
    });

    test('the next command is chosen after the effects: what they queue is in the same answer', async () => {
      await within('RemoveProfile');
      const { command: uuid = '' } = await device.idle();
      const next = {
        commandUuid: `chained-${ref}`,
        requestType: 'ProfileList',
        body: commandBody({ RequestType: 'ProfileList' }),
        origin: 'reconciler',
        op: undefined,
      } as const;
      const chained = createWorld(db, {
        authority: world.authority,
        applyEffects: async (tx, effects) => {
          if (effects[0]?.kind !== 'op_settled') return;
          await world.commands.enqueue(tx, [{ ...next, enrollment: ref }], world.clock.now());
        },
      });
      const answer = await chained.service.handle({
        method: 'PUT',
        contentType: COMMAND,
        mdmSignature: undefined,
        peerCertificate: device.identity.der,
        body: writePlistBytes({ UDID: device.udid, Status: 'Acknowledged', CommandUUID: uuid }),
      });
      expect(dictOf(answer.body).get('CommandUUID')).toBe(next.commandUuid);
    });

    test('R4 an effect that fails: 503 or 500 with Retry-After, the command stays, the repeat succeeds', async () => {
      await within('RemoveProfile', 2);
      const { command: uuid = '' } = await device.idle();
      let failing = true;
      const faulty = createWorld(db, {
        authority: world.authority,
        applyEffects: async () => {
          if (failing) throw Object.assign(new Error('no space left'), { code: '53100' });
        },
      });
      const send = () =>
        faulty.service.handle({
          method: 'PUT',
          contentType: COMMAND,
          mdmSignature: undefined,
          peerCertificate: device.identity.der,
          body: writePlistBytes({ UDID: device.udid, Status: 'Acknowledged', CommandUUID: uuid }),
        });
      expect(await send()).toMatchObject({ status: 503, headers: { 'retry-after': '15' } });
      expect(await world.commands.get(ref, uuid)).toMatchObject({ state: 'sent' });
      failing = false;
      expect((await send()).status).toBe(200);
      expect(faulty.effects).toHaveLength(1);
    });

    test('R19 one Mac whose effect fails does not hold up the others of its batch', async () => {
      const devices = await Promise.all(Array.from({ length: 6 }, () => world.device()));
      for (const one of devices) await one.enrol();
      const ids = devices.map((one) => one.udid);
      const { commandUuid } = await world.enqueue.raw(command('ProfileList'), ids);
      for (const one of devices) await one.idle();
      const poisoned = (await world.store.enrollment(ids[2] ?? ''))?.ref;
      const faulty = createWorld(db, {
        authority: world.authority,
        applyEffects: async (_tx, effects) => {
          if (effects.some((effect) => 'enrollment' in effect && effect.enrollment === poisoned))
            throw new TypeError('a bug in a handler');
        },
      });
      const answers = await Promise.all(
        devices.map((one) =>
          faulty.service.handle({
            method: 'PUT',
            contentType: COMMAND,
            mdmSignature: undefined,
            peerCertificate: one.identity.der,
            body: writePlistBytes({
              UDID: one.udid,
              Status: 'Acknowledged',
              CommandUUID: commandUuid,
              ProfileList: [],
            }),
          }),
        ),
      );
      expect(answers.map((answer) => answer.status)).toEqual([200, 200, 500, 200, 200, 200]);
      expect(faulty.effects).toHaveLength(5);
    });

    test('a ProfileList answer is an observation of its channel', async () => {
      const uuid = await enqueue('ProfileList');
      await device.idle();
      await acknowledge(uuid, { ProfileList: [{ PayloadIdentifier: 'com.example', PayloadUUID: 'U' }] });
      expect(world.effects).toEqual([
        {
          kind: 'profiles_observed',
          enrollment: ref,
          source: 'profile_list',
          observation: {
            state: 'rows',
            profiles: [{ identifier: 'com.example', uuid: 'U', displayName: undefined, installedAt: undefined }],
          },
        },
      ]);
    });

    test('TOK-07 DeviceConfigured acknowledged ends the wait', async () => {
      await device.tokenUpdate({ AwaitingConfiguration: true });
      const uuid = await enqueue('DeviceConfigured');
      await device.idle();
      await acknowledge(uuid);
      expect((await world.store.enrollment(device.udid))?.awaitingConfiguration).toBe(false);
    });

    test('a settled op whose result cannot be read is settled as Unknown', async () => {
      await within('RemoveProfile', 3);
      const { command: uuid = '' } = await device.idle();
      const whole = writePlistBytes({
        UDID: device.udid,
        CommandUUID: uuid,
        Status: 'Acknowledged',
        Rest: 'x'.repeat(99),
      });
      await device.send({ body: whole.subarray(0, whole.length - 60), contentType: COMMAND });
      expect(world.effects.at(-1)).toMatchObject({ kind: 'op_settled', outcome: 'Unknown' });
    });
  });

  test('R8 a database that is gone: 503 with Retry-After, never 200, and the process lives', async () => {
    const gone = createWorld(db, {
      authority: world.authority,
      wrapCommands: (commands) => ({
        ...commands,
        poll: () => Promise.reject(Object.assign(new Error('terminating connection'), { code: '57P01' })),
      }),
    });
    const answer = await gone.service.handle({
      method: 'PUT',
      contentType: COMMAND,
      mdmSignature: undefined,
      peerCertificate: device.identity.der,
      body: writePlistBytes({ UDID: device.udid, Status: 'Idle' }),
    });
    expect(answer).toMatchObject({ status: 503, code: 'store_unavailable', headers: { 'retry-after': '15' } });
  });

  test('§2.1 200 Macs poll at once: everyone gets its own command, in few statements', async () => {
    const devices = await Promise.all(Array.from({ length: 200 }, () => world.device()));
    for (const one of devices) await one.enrol();
    const uuids = await Promise.all(
      devices.map(async (one) => (await world.enqueue.raw(command('SecurityInfo'), [one.udid])).commandUuid),
    );
    const before = world.service.batchSizes.reduce((sum, n) => sum + n, 0);
    const answers = await Promise.all(devices.map((one) => one.idle()));
    expect(answers.map((answer) => answer.command)).toEqual(uuids);
    const statements = world.service.batchSizes.reduce((sum, n) => sum + n, 0) - before;
    expect(statements).toBeLessThan(20);
  });
});

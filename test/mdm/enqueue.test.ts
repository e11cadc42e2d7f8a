import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { REQUEST_TYPES } from '../../mdm/request-types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { loadSchema } from '../conformance/apple-schema/index.ts';
import { eachDatabase } from '../support/databases.ts';
import { command, createWorld, type Device, dictOf, type World } from './world.ts';

eachDatabase((_kind, open) => {
  let db: Database;
  let world: World;
  let device: Device;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());
  beforeEach(async () => {
    world = createWorld(db);
    device = await world.device();
    await device.enrol();
    world.effects.length = 0;
  });

  const refused = (plist: Buffer, ids = [device.udid]) =>
    world.enqueue.raw(plist, ids).then(
      () => undefined,
      (error: { code?: string }) => error.code,
    );

  test('R1 the command and its push commit together; bytes go out as they were meant', async () => {
    const { commandUuid, requestType } = await world.enqueue.raw(
      command('DeviceInformation', { Queries: ['OSVersion'] }),
      [device.udid],
    );
    expect(requestType).toBe('DeviceInformation');
    const ref = (await world.store.enrollment(device.udid))?.ref;
    expect(world.effects).toEqual([{ kind: 'push', enrollment: ref, reason: 'command' }]);
    const answer = await device.idle();
    expect(answer.command).toBe(commandUuid);
    expect(dictOf(answer.body).get('Command')).toEqual(
      new Map<string, unknown>([
        ['RequestType', 'DeviceInformation'],
        ['Queries', ['OSVersion']],
      ]),
    );
  });

  test('the Command dictionary alone is taken as well', async () => {
    const { commandUuid } = await world.enqueue.raw(writePlistBytes({ RequestType: 'SecurityInfo' }), [device.udid]);
    expect((await device.idle()).command).toBe(commandUuid);
  });

  test('CMD-09 a CommandUUID is unique per enrolment for ever, queued or finished', async () => {
    const mine = writePlistBytes({ CommandUUID: 'mine', Command: { RequestType: 'SecurityInfo' } });
    await world.enqueue.raw(mine, [device.udid]);
    expect(await refused(mine)).toBe('conflict');
    await device.report({ Status: 'Acknowledged', CommandUUID: 'mine' });
    expect(await refused(mine)).toBe('conflict');
    const other = await world.device();
    await other.enrol();
    expect(await refused(mine, [other.udid])).toBeUndefined();
  });

  test('to all of the enrolments or to none', async () => {
    const other = await world.device();
    await other.enrol();
    const mine = writePlistBytes({ CommandUUID: 'both', Command: { RequestType: 'SecurityInfo' } });
    await world.enqueue.raw(mine, [other.udid]);
    world.effects.length = 0;
    expect(await refused(mine, [device.udid, other.udid])).toBe('conflict');
    expect((await device.idle()).command).toBeUndefined();
    expect(await refused(command('SecurityInfo'), [device.udid, 'nobody'])).toBe('command_invalid');
    expect(await refused(command('SecurityInfo'), [])).toBe('command_invalid');
  });

  test('CMD-12 what this channel cannot take, what Apple has not, what is no command', async () => {
    await device.tokenUpdate({ UserID: 'U', UserShortName: 'u', UserLongName: 'U' });
    const user = `${device.udid}:U`;
    expect(await refused(command('EraseDevice'), [user])).toBe('command_invalid');
    expect(await refused(command('InviteToProgram'))).toBe('command_invalid');
    expect(await refused(command('ProfileList'), [user])).toBeUndefined();
    expect(await refused(command('Teleport'))).toBe('command_invalid');
    expect(await refused(writePlistBytes({ Command: 'x' }))).toBe('command_invalid');
    expect(await refused(writePlistBytes({ CommandUUID: 'a b', Command: { RequestType: 'SecurityInfo' } }))).toBe(
      'command_invalid',
    );
    expect(
      await refused(writePlistBytes({ CommandUUID: 'x'.repeat(200), Command: { RequestType: 'SecurityInfo' } })),
    ).toBe('command_invalid');
    expect(await refused(Buffer.from('junk'))).toBe('plist_malformed');
  });

  test('§2.4 the enrolment profile is removed only by lifecycle', async () => {
    const remove = (Identifier: string) => command('RemoveProfile', { Identifier });
    expect(await refused(remove('org.espalier.enrollment'))).toBe('command_invalid');
    expect(await refused(remove('com.example.other'))).toBeUndefined();
  });

  test('AUT-01 commands of the reconciler reach enrolled channels only, and say which', async () => {
    const waiting = await world.device();
    await waiting.authenticate();
    const refs = await Promise.all(
      [device, waiting].map(async ({ udid }) => (await world.store.enrollment(udid))?.ref ?? -1),
    );
    const body = Buffer.from('<dict><key>RequestType</key><string>ProfileList</string></dict>');
    const taken = await db.run((tx) =>
      world.enqueue.within(
        tx,
        refs.map((enrollment) => ({
          enrollment,
          commandUuid: 'list',
          requestType: 'ProfileList',
          body,
          origin: 'reconciler',
          op: undefined,
        })),
      ),
    );
    expect([...taken]).toEqual([refs[0]]);
  });

  test('the list shows live and finished commands, live ones first', async () => {
    const ref = (await world.store.enrollment(device.udid))?.ref ?? -1;
    const first = (await world.enqueue.raw(command('SecurityInfo'), [device.udid])).commandUuid;
    await device.report({ Status: 'Acknowledged', CommandUUID: first });
    const second = (await world.enqueue.raw(command('SecurityInfo'), [device.udid])).commandUuid;
    const listed = await world.commands.list([ref], 10);
    expect(listed.map((view) => [view.commandUuid, view.state])).toEqual([
      [second, 'queued'],
      [first, 'Acknowledged'],
    ]);
  });
});

test('the table of RequestTypes is Apple’s', () => {
  const schema = loadSchema();
  if (schema === undefined) return;
  for (const [name, item] of schema.commands) {
    const mac = item.os?.['macOS'];
    const channels = REQUEST_TYPES.get(name);
    expect(channels, name).toBeDefined();
    if (mac === undefined || mac.introduced === 'n/a') continue;
    expect(channels?.includes('device'), name).toBe(mac.devicechannel === true);
    expect(channels?.includes('user'), name).toBe(mac.userchannel === true);
  }
});

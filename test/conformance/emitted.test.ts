import { createHash, createHmac, randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeName } from '../../cms/names.ts';
import { Secret } from '../../core/secret.ts';
import { buildEnrollmentProfile, type EnrollmentProfileInput } from '../../mdm/enrollment-profile.ts';
import { commandBody, handOut } from '../../mdm/hand-out.ts';
import type { MdmService } from '../../mdm/service.ts';
import type { Writable } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { deliveryOf } from '../../profiles/deliver.ts';
import { parseMobileconfig } from '../../profiles/parse.ts';
import { ec, issue } from '../cms/fixtures.ts';
import { command, createDevice, createWorld } from '../mdm/world.ts';
import { assertEmitted, checkEmitted, createWireTap, loadSchema, type WireTap } from './apple-schema/index.ts';

/** What the rooms send to a Mac, held to Apple's data. */

const skipped = loadSchema() === undefined;
const signer = skipped ? undefined : issue(ec('profile signing'));

const payload = (type: string, more: Readonly<Record<string, Writable>>): Readonly<Record<string, Writable>> => ({
  PayloadType: type,
  PayloadVersion: 1,
  PayloadIdentifier: `com.example.${type}`,
  PayloadUUID: randomUUID().toUpperCase(),
  ...more,
});
const upload = (content: readonly Writable[], more: Readonly<Record<string, Writable>> = {}): Buffer =>
  writePlistBytes(payload('Configuration', { PayloadDisplayName: 'Upload', PayloadContent: content, ...more }));

function delivered(bytes: Buffer): Buffer {
  if (signer === undefined) throw new Error('there is no signer without the data');
  const deps = {
    signer: { certificate: signer.der, chain: [], key: signer.privateKey },
    witnessKey: {
      digest: (...parts: readonly (string | Uint8Array)[]) => {
        const mac = createHmac('sha256', 'witness');
        for (const part of parts) mac.update(part);
        return mac.digest();
      },
    },
    sha256: (content: Buffer) => createHash('sha256').update(content).digest(),
  };
  return deliveryOf(parseMobileconfig(bytes), deps, new Date('2026-03-01T12:00:00Z'), 'verbatim').delivered();
}

/** The device's bytes of a command, from the Command dictionary the reconciler's port is given. */
const handed = (inner: Readonly<Record<string, Writable>>): Buffer => handOut(randomUUID(), commandBody(inner));

describe.skipIf(skipped)('the enrolment profile', () => {
  const input = (more: Partial<EnrollmentProfileInput> = {}): EnrollmentProfileInput => ({
    publicUrl: 'https://mdm.example.com',
    topic: 'com.apple.mgmt.External.4b6c0000',
    organization: 'Example & Söhne',
    displayName: 'Example',
    roots: [
      { name: 'TLS root', der: encodeName([{ type: 'CN', value: 'one' }]) },
      { name: 'Signing root', der: encodeName([{ type: 'CN', value: 'two' }]) },
    ],
    identityAuthority: encodeName([{ type: 'CN', value: 'CA' }]),
    challenge: new Secret('challenge'),
    identityUuid: randomUUID().toUpperCase(),
    ...more,
  });

  test.each<[string, Partial<EnrollmentProfileInput>]>([
    ['with roots', {}],
    ['without roots', { roots: [] }],
    ['under a path and a port', { publicUrl: 'https://mdm.example.com:8443/espalier' }],
  ])('%s', (_, more) => {
    const bytes = buildEnrollmentProfile(input(more));
    expect(assertEmitted(bytes, 'enrollment-profile')).toEqual([]);
    expect(assertEmitted(bytes, 'enrollment-profile', { enrollment: 'ade', delivery: 'mdm' })).toEqual([]);
    // An older Mac installs the same bytes.
    expect(assertEmitted(bytes, 'enrollment-profile', { version: '11.0' })).toEqual([]);
  });
});

describe.skipIf(skipped)('commands of the reconciler', () => {
  const dock = payload('com.apple.dock', { tilesize: 48 });

  test('InstallProfile carries a profile that Apple describes, signed by us', () => {
    const bytes = handed({ RequestType: 'InstallProfile', Payload: delivered(upload([dock])) });
    expect(assertEmitted(bytes, 'command')).toEqual([]);
    expect(assertEmitted(bytes, 'command', { channel: 'user' })).toEqual([]);
  });

  test('a profile keeps what its author wrote: real, date, big integer, recursion', () => {
    const filter = payload('com.apple.familycontrols.contentfilter', { restrictWeb: true, siteWhitelist: [] });
    const bytes = upload([dock, filter], {
      PayloadScope: 'User',
      RemovalDate: new Date('2030-01-01T00:00:00Z'),
      TargetDeviceType: 5,
    });
    const before = checkEmitted(bytes, 'profile', { channel: 'user' });
    const after = checkEmitted(delivered(bytes), 'profile', { channel: 'user' });
    expect(after).toEqual(before);
    expect(after.filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  test('RemoveProfile and ProfileList, on both channels', () => {
    for (const channel of ['device', 'user'] as const) {
      const removal = handed({ RequestType: 'RemoveProfile', Identifier: 'com.example & "co"' });
      expect(assertEmitted(removal, 'command', { channel, accessRights: 8191 })).toEqual([]);
      expect(assertEmitted(handed({ RequestType: 'ProfileList' }), 'command', { channel })).toEqual([]);
    }
  });
});

function tapped(service: MdmService, tap: WireTap): MdmService {
  return {
    ...service,
    async handle(request) {
      const answer = await service.handle(request);
      const { contentType = '', body } = request;
      tap.exchange({ contentType, requestBody: body, status: answer.status, responseBody: answer.body });
      return answer;
    },
  };
}

if (!skipped) {
  // Not above: it looks for PostgreSQL, and without the data nothing here may be an error.
  const { eachDatabase } = await import('../support/databases.ts');
  eachDatabase((_, open) => {
    test('a whole conversation with the MDM service', async () => {
      const world = createWorld(await open());
      const tap = createWireTap({ accessRights: 8191 });
      const udid = randomUUID().toUpperCase();
      const mac = createDevice(tapped(world.service, tap), await world.issue(), udid, 'C02ESPALIER');

      await mac.enrol();
      await mac.checkIn({ MessageType: 'GetBootstrapToken', AwaitingConfiguration: false });
      await mac.checkIn({ MessageType: 'SetBootstrapToken', BootstrapToken: Buffer.from('token') });
      await mac.checkIn({ MessageType: 'GetBootstrapToken' });
      const user = { UserID: randomUUID().toUpperCase(), UserShortName: 'ana', UserLongName: 'Ana' };
      await mac.tokenUpdate({ ...user, NotOnConsole: false });
      await mac.checkIn({ MessageType: 'UserAuthenticate', UserID: user.UserID });
      await mac.checkIn({ MessageType: 'DeclarativeManagement', Endpoint: 'tokens' });

      await world.enqueue.raw(command('ProfileList'), [udid]);
      await world.enqueue.raw(command('SecurityInfo'), [udid]);
      await world.enqueue.raw(command('InstallProfile', { Payload: delivered(upload([])) }), [
        `${udid}:${user.UserID}`,
      ]);

      const first = await mac.idle();
      const second = await mac.report({ Status: 'NotNow', CommandUUID: first.command });
      const third = await mac.report({ Status: 'Acknowledged', CommandUUID: second.command, SecurityInfo: {} });
      expect(third.body.length).toBe(0);
      const again = await mac.idle();
      expect(again.command).toBe(first.command);
      await mac.report({ Status: 'Acknowledged', CommandUUID: again.command, ProfileList: [] });

      const install = await mac.idle(user);
      const chain = [{ ErrorCode: 4001, ErrorDomain: 'MCInstallationErrorDomain', LocalizedDescription: 'No' }];
      await mac.report({ ...user, Status: 'Error', CommandUUID: install.command, ErrorChain: chain });
      await mac.checkIn({ MessageType: 'CheckOut', Topic: 'com.apple.mgmt.External.x' });

      tap.assertClean();
      expect(tap.findings).toEqual([]);
      expect(tap.counts.get('command-result')).toBe(7);
    });
  });
}

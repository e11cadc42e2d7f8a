import { describe, expect, test } from 'vitest';
import { readPlist } from '../../plist/read.ts';
import { isDict, type PlistDict, type PlistValue, type Writable } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import {
  assertEmitted,
  checkEmitted,
  createWireTap,
  type Finding,
  loadSchema,
  MAC,
  validateCheckinRequest,
  validateCheckinResponse,
  validateCommand,
  validateCommandResponse,
  validateProfile,
  validateRefusal,
} from './apple-schema/index.ts';

const dict = (value: { readonly [key: string]: Writable | undefined }): PlistDict => {
  const read: PlistValue = readPlist(writePlistBytes(value));
  if (!isDict(read)) throw new Error('not a dictionary');
  return read;
};
const brief = (findings: readonly Finding[]): readonly string[] => findings.map(({ rule, path }) => `${rule} ${path}`);
const error = (findings: readonly Finding[]): readonly string[] =>
  brief(findings.filter(({ severity }) => severity === 'error'));

const UDID = '5A3D0000-0000-0000-0000-00000000B0BA';
const TOPIC = 'com.apple.mgmt.External.4b6c0000';
const authenticate = {
  MessageType: 'Authenticate',
  Topic: TOPIC,
  UDID,
  SerialNumber: 'C02XK0ABCDEF',
  DeviceName: 'Ana’s Mac',
  Model: 'Mac15,3',
  ModelName: 'MacBook Pro',
  ProductName: 'Mac15,3',
  OSVersion: '15.1',
  BuildVersion: '24B83',
};
const tokenUpdate = {
  MessageType: 'TokenUpdate',
  Topic: TOPIC,
  UDID,
  Token: Buffer.from('token'),
  PushMagic: 'magic',
};
const user = { UserID: '6D2B6C2E-0000-0000-0000-000000000001', UserShortName: 'ana', UserLongName: 'Ana' };

const skipped = loadSchema() === undefined;

describe.skipIf(skipped)('check-in messages', () => {
  test.each<[string, { readonly [key: string]: Writable }]>([
    ['Authenticate of a Mac', authenticate],
    ['TokenUpdate of a Mac', { ...tokenUpdate, AwaitingConfiguration: false }],
    ['TokenUpdate of a user', { ...tokenUpdate, ...user, NotOnConsole: false }],
    ['TokenUpdate of a Shared iPad user', { ...tokenUpdate, ...user, UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF' }],
    ['a user enrolment', { MessageType: 'CheckOut', Topic: TOPIC, EnrollmentID: 'E1' }],
    ['DDM fetch', { MessageType: 'DeclarativeManagement', UDID, Endpoint: 'declaration/configuration/com.example' }],
    ['SetBootstrapToken', { MessageType: 'SetBootstrapToken', UDID, BootstrapToken: Buffer.from('t') }],
    ['GetBootstrapToken', { MessageType: 'GetBootstrapToken', UDID, AwaitingConfiguration: true }],
    ['UserAuthenticate, first', { MessageType: 'UserAuthenticate', UDID, UserID: user.UserID }],
    ['UserAuthenticate, second', { MessageType: 'UserAuthenticate', UDID, UserID: user.UserID, DigestResponse: 'x' }],
  ])('%s', (_, message) => {
    expect(validateCheckinRequest(dict(message))).toEqual([]);
  });

  test.each<[string, { readonly [key: string]: Writable | undefined }, string]>([
    ['a Mac names its model', { ...authenticate, Model: undefined }, 'missing-key Model'],
    ['UDID and EnrollmentID', { ...authenticate, EnrollmentID: 'E1' }, 'identity UDID'],
    ['neither of the two', { ...authenticate, UDID: undefined }, 'identity UDID'],
    ['a token is data', { ...tokenUpdate, Token: 'dG9rZW4=' }, 'type Token'],
    ['a Mac has no UnlockToken', { ...tokenUpdate, UnlockToken: Buffer.from('u') }, 'os UnlockToken'],
    ['a user says whether it is on the console', { ...tokenUpdate, ...user }, 'missing-key NotOnConsole'],
    ['the device does not', { ...tokenUpdate, NotOnConsole: true }, 'channel NotOnConsole'],
    ['a user has a UserID', { ...tokenUpdate, UserShortName: 'ana' }, 'identity UserShortName'],
    ['Authenticate is of the device', { ...authenticate, ...user }, 'channel '],
    ['serials are not told by user enrolments', { ...authenticate, EnrollmentID: 'E1' }, 'enrollment SerialNumber'],
    ['a type that is none', { MessageType: 'Autenticate', UDID }, 'unknown-type MessageType'],
    ['a service that is none', { MessageType: 'GetToken', UDID, TokenServiceType: 'x' }, 'rangelist TokenServiceType'],
  ])('%s', (_, message, expected) => {
    expect(error(validateCheckinRequest(dict(message)))).toContain(expected);
  });

  test('what devices send beyond the data is a warning (CHK-03)', () => {
    expect(validateCheckinRequest(dict({ ...authenticate, Challenge: Buffer.from('c') }))).toEqual([
      expect.objectContaining({ path: 'Challenge', rule: 'unknown-key', severity: 'warning' }),
    ]);
  });

  test('answers', () => {
    expect(validateCheckinResponse('GetBootstrapToken', dict({ BootstrapToken: Buffer.alloc(0) }))).toEqual([]);
    expect(validateCheckinResponse('GetBootstrapToken', undefined)).toEqual([]);
    expect(validateCheckinResponse('UserAuthenticate', dict({ DigestChallenge: '' }))).toEqual([]);
    expect(validateCheckinResponse('Authenticate', undefined)).toEqual([]);
    expect(error(validateCheckinResponse('Authenticate', dict({})))).toEqual(['unexpected-body ']);
    expect(error(validateCheckinResponse('GetToken', undefined))).toEqual(['missing-key ']);
    expect(error(validateCheckinResponse('GetToken', dict({ TokenData: 'text' })))).toEqual(['type TokenData']);
  });
});

const command = (Command: { readonly [key: string]: Writable }, CommandUUID = 'C-1'): PlistDict =>
  dict({ CommandUUID, Command });

describe.skipIf(skipped)('commands', () => {
  test.each<[string, { readonly [key: string]: Writable }]>([
    ['ProfileList', { RequestType: 'ProfileList', ManagedOnly: false }],
    ['RemoveProfile', { RequestType: 'RemoveProfile', Identifier: 'com.example' }],
    ['tether', { RequestType: 'RemoveProfile', Identifier: 'com.example', RequestRequiresNetworkTether: false }],
    ['DeviceInformation', { RequestType: 'DeviceInformation', Queries: ['UDID', 'OSVersion', 'IsAppleSilicon'] }],
    ['DeviceLock', { RequestType: 'DeviceLock', PIN: '123456' }],
    ['Settings', { RequestType: 'Settings', Settings: [{ Item: 'Bluetooth', Enabled: true }] }],
  ])('%s', (_, inner) => {
    expect(validateCommand(command(inner), MAC)).toEqual([]);
  });

  test.each<[string, { readonly [key: string]: Writable }, string]>([
    ['no identifier', { RequestType: 'RemoveProfile' }, 'missing-key Command.Identifier'],
    ['base64 as text', { RequestType: 'InstallProfile', Payload: 'PGRpY3Q+' }, 'type Command.Payload'],
    ['no such command', { RequestType: 'InstalProfile' }, 'unknown-type Command.RequestType'],
    ['no such query', { RequestType: 'DeviceInformation', Queries: ['Udid'] }, 'rangelist Command.Queries[0]'],
    ['an iPhone’s query', { RequestType: 'DeviceInformation', Queries: ['PhoneNumber'] }, 'os Command.Queries[0]'],
    ['an iPhone’s command', { RequestType: 'EnableLostMode', Message: 'm' }, 'os '],
    [
      'an iPhone’s setting',
      { RequestType: 'Settings', Settings: [{ Item: 'VoiceRoaming', Enabled: true }] },
      'os Command.Settings[0]',
    ],
    ['no such setting', { RequestType: 'Settings', Settings: [{ Item: 'x' }] }, 'rangelist Command.Settings[0]'],
    [
      'half a setting',
      { RequestType: 'Settings', Settings: [{ Item: 'Bluetooth' }] },
      'missing-key Command.Settings[0].Enabled',
    ],
    ['only with ADE', { RequestType: 'AccountConfiguration' }, 'enrollment '],
  ])('%s', (_, inner, expected) => {
    expect(error(validateCommand(command(inner), MAC))).toContain(expected);
  });

  test('channel, version and right', () => {
    const lock = command({ RequestType: 'DeviceLock', PIN: '123456' });
    expect(error(validateCommand(lock, { ...MAC, channel: 'user' }))).toEqual(['channel ']);
    expect(error(validateCommand(lock, { ...MAC, accessRights: 8191 - 4 }))).toEqual(['access-rights ']);
    expect(error(validateCommand(lock, { ...MAC, accessRights: 4 }))).toEqual([]);
    const recovery = command({ RequestType: 'SetRecoveryLock', NewPassword: 'p' });
    expect(error(validateCommand(recovery, { ...MAC, version: '11.4' }))).toEqual(['os ']);
  });

  test('the envelope', () => {
    expect(error(validateCommand(dict({ Command: { RequestType: 'ProfileList' } }), MAC))).toEqual([
      'envelope CommandUUID',
    ]);
    expect(error(validateCommand(dict({ CommandUUID: 'C-1' }), MAC))).toEqual(['envelope Command']);
    expect(
      brief(validateCommand(dict({ CommandUUID: 'C', Command: { RequestType: 'ProfileList' }, x: 1 }), MAC)),
    ).toEqual(['unknown-key x']);
  });
});

const result = (more: { readonly [key: string]: Writable | undefined }): PlistDict =>
  dict({ CommandUUID: 'C-1', Status: 'Acknowledged', UDID, ...more });
const chain = [{ ErrorCode: 4001, ErrorDomain: 'MCInstallationErrorDomain', LocalizedDescription: 'Profil' }];

describe.skipIf(skipped)('results', () => {
  const listed = { PayloadUUID: 'U', PayloadIdentifier: 'com.example', PayloadVersion: 1, PayloadContent: [] };

  test('that fit', () => {
    expect(validateCommandResponse(undefined, dict({ Status: 'Idle', UDID }))).toEqual([]);
    expect(validateCommandResponse('ProfileList', result({ ProfileList: [listed] }))).toEqual([]);
    expect(validateCommandResponse('ProfileList', result({ Status: 'NotNow' }))).toEqual([]);
    expect(validateCommandResponse('InstallProfile', result({}))).toEqual([]);
    expect(validateCommandResponse('InstallProfile', result({ Status: 'Error', ErrorChain: chain }))).toEqual([]);
    expect(validateCommandResponse('ProfileList', result({ ProfileList: [], ...user, NotOnConsole: false }))).toEqual(
      [],
    );
    expect(validateCommandResponse('Settings', result({ Settings: [{ Status: 'Acknowledged' }] }))).toEqual([]);
    expect(validateCommandResponse('Settings', result({ Settings: { Status: 'Acknowledged' } }))).toEqual([]);
    expect(validateCommandResponse('SecurityInfo', result({ SecurityInfo: {} }))).toEqual([]);
  });

  test.each<[string, string | undefined, { readonly [key: string]: Writable | undefined }, string]>([
    ['ProfileList without the list', 'ProfileList', {}, 'missing-key ProfileList'],
    [
      'an item without its UUID',
      'ProfileList',
      { ProfileList: [{ ...listed, PayloadUUID: undefined }] },
      'missing-key ProfileList[0].PayloadUUID',
    ],
    [
      'IsManaged is not of macOS',
      'ProfileList',
      { ProfileList: [{ ...listed, IsManaged: true }] },
      'os ProfileList[0].IsManaged',
    ],
    ['FDE is yes or no', 'SecurityInfo', { SecurityInfo: { FDE_Enabled: 1 } }, 'type SecurityInfo.FDE_Enabled'],
    ['Idle with an answer', undefined, { Status: 'Idle' }, 'envelope CommandUUID'],
    ['a result without its command', 'InstallProfile', { CommandUUID: undefined }, 'envelope CommandUUID'],
    ['no such status', 'InstallProfile', { Status: 'Done' }, 'envelope Status'],
    ['a chain of text', 'InstallProfile', { Status: 'Error', ErrorChain: ['x'] }, 'type ErrorChain[0]'],
    [
      'a code of text',
      'InstallProfile',
      { Status: 'Error', ErrorChain: [{ ...chain[0], ErrorCode: '1' }] },
      'type ErrorChain[0].ErrorCode',
    ],
  ])('%s', (_, requestType, more, expected) => {
    expect(error(validateCommandResponse(requestType, result(more)))).toContain(expected);
  });
});

const payload = (
  type: string,
  more: { readonly [key: string]: Writable },
  id = 1,
): { readonly [key: string]: Writable } => ({
  PayloadType: type,
  PayloadVersion: 1,
  PayloadIdentifier: `com.example.${id}`,
  PayloadUUID: `00000000-0000-0000-0000-00000000000${id}`,
  ...more,
});
const profile = (content: readonly Writable[], more: { readonly [key: string]: Writable } = {}): PlistDict =>
  dict({ ...payload('Configuration', {}, 9), PayloadDisplayName: 'Example', PayloadContent: content, ...more });

const scep = payload('com.apple.security.scep', {
  PayloadContent: { URL: 'https://mdm.example.com/scep', Keysize: 2048, Subject: [[['O', 'Example']], [['CN', 'x']]] },
});
const mdm = payload(
  'com.apple.mdm',
  {
    IdentityCertificateUUID: '00000000-0000-0000-0000-000000000001',
    Topic: TOPIC,
    ServerURL: 'https://mdm.example.com/mdm',
    AccessRights: 8191,
    ServerCapabilities: ['com.apple.mdm.per-user-connections', 'com.apple.mdm.bootstraptoken'],
  },
  2,
);

describe.skipIf(skipped)('profiles', () => {
  test.each<[string, readonly Writable[]]>([
    ['dock', [payload('com.apple.dock', { tilesize: 48, autohide: true })]],
    ['passcode', [payload('com.apple.mobiledevice.passwordpolicy', { minLength: 8 })]],
    [
      'energy: a list beside a range',
      [payload('com.apple.MCX', { 'com.apple.EnergySaver.portable.ACPower': { 'Display Sleep Timer': 0 } })],
    ],
    ['two kinds of MCX in one', [payload('com.apple.MCX', { DisableGuestAccount: true, RequireAdminForIBSS: true })]],
    ['enrolment', [scep, mdm]],
    [
      'extensions: ANY',
      [payload('com.apple.system-extension-policy', { AllowedSystemExtensions: { ABCDE12345: ['com.example.ext'] } })],
    ],
  ])('%s', (_, content) => {
    expect(brief(validateProfile(profile(content), MAC)).filter((line) => !line.startsWith('deprecated'))).toEqual([]);
  });

  test.each<[string, readonly Writable[], string]>([
    ['out of range', [payload('com.apple.dock', { tilesize: 500 })], 'range PayloadContent[0].tilesize'],
    ['text for a number', [payload('com.apple.dock', { tilesize: '48' })], 'type PayloadContent[0].tilesize'],
    ['version 2', [payload('com.apple.dock', { PayloadVersion: 2 })], 'rangelist PayloadContent[0].PayloadVersion'],
    [
      'one UUID twice',
      [payload('com.apple.dock', {}), payload('com.apple.finder', {})],
      'duplicate PayloadContent[1].PayloadUUID',
    ],
    [
      'a user’s payload for the device',
      [payload('com.apple.webClip.managed', { URL: 'https://example.com', Label: 'x' })],
      'channel PayloadContent[0]',
    ],
    ['no identity', [mdm], 'enrollment-profile PayloadContent[0].IdentityCertificateUUID'],
    ['http', [scep, { ...mdm, ServerURL: 'http://mdm.example.com' }], 'format PayloadContent[1].ServerURL'],
    ['rights', [scep, { ...mdm, AccessRights: 2 }], 'enrollment-profile PayloadContent[1].AccessRights'],
    [
      'a setting in an enrolment profile',
      [scep, mdm, payload('com.apple.dock', {}, 3)],
      'enrollment-profile PayloadContent[2]',
    ],
    [
      'a third of a pair',
      [payload('com.apple.security.scep', { PayloadContent: { URL: 'https://x', Subject: [[['O', 'a', 'b']]] } })],
      'repetition PayloadContent[0].PayloadContent.Subject[0][0]',
    ],
  ])('%s', (_, content, expected) => {
    expect(error(validateProfile(profile(content), MAC))).toContain(expected);
  });

  test('the container', () => {
    expect(error(validateProfile(dict({ ...payload('Configuration', {}) }), MAC))).toEqual([
      'missing-key PayloadContent',
    ]);
    const encrypted = { ...payload('Configuration', {}), IsEncrypted: true };
    expect(error(validateProfile(dict(encrypted), MAC))).toEqual(['missing-key EncryptedPayloadContent']);
    expect(error(validateProfile(dict({ ...encrypted, EncryptedPayloadContent: Buffer.from('x') }), MAC))).toEqual([]);
    const any = [payload('com.example.preferences', { Whatever: 1 })];
    expect(validateProfile(profile(any), MAC)).toEqual([
      expect.objectContaining({ rule: 'unknown-type', severity: 'warning' }),
    ]);
  });
});

describe.skipIf(skipped)('bytes', () => {
  const install = (inner: PlistDict): Buffer =>
    writePlistBytes({
      CommandUUID: 'C-1',
      Command: { RequestType: 'InstallProfile', Payload: writePlistBytes(inner) },
    });

  test('a command with its profile', () => {
    expect(assertEmitted(Buffer.alloc(0), 'command')).toEqual([]);
    expect(assertEmitted(install(profile([payload('com.apple.dock', {})])), 'command')).toEqual([]);
    expect(() => assertEmitted(install(profile([payload('com.apple.dock', { tilesize: 1 })])), 'command')).toThrow(
      'Command.Payload.PayloadContent[0].tilesize',
    );
    // An uploaded profile's unknown keys are its author's.
    expect(brief(assertEmitted(install(profile([payload('com.apple.dock', { x: 1 })])), 'command'))).toEqual([
      'unknown-key Command.Payload.PayloadContent[0].x',
    ]);
  });

  test('what is not sent to devices (CMD-11)', () => {
    const bytes = install(profile([payload('com.apple.dock', {})])).toString();
    expect(brief(checkEmitted(Buffer.from(bytes.replace('<dict>', '<!-- x --><dict>')), 'command'))).toEqual([
      'encoding ',
    ]);
    expect(brief(checkEmitted(Buffer.from('<html/>'), 'command'))).toEqual(['unreadable ']);
  });

  test('an unknown key of ours is an error, unless it is allowed', () => {
    const bytes = writePlistBytes({ ...authenticate, Challenge: Buffer.from('c') });
    expect(() => assertEmitted(bytes, 'checkin-request')).toThrow('Challenge');
    expect(assertEmitted(bytes, 'checkin-request', { allow: ['Challenge'] })).toEqual([]);
  });

  test('refusals', () => {
    const gone = { code: 'com.apple.unrecognized.device', message: 'gone' };
    expect(validateRefusal(dict(gone), MAC)).toEqual([]);
    expect(assertEmitted(Buffer.from(JSON.stringify(gone)), 'refusal')).toEqual([]);
    expect(brief(checkEmitted(Buffer.from('{"code":"no"}'), 'refusal'))).toEqual(['unknown-type code']);
    expect(brief(checkEmitted(Buffer.from(JSON.stringify(gone)), 'refusal', { version: '13.6' }))).toEqual(['os ']);
  });
});

describe.skipIf(skipped)('a conversation', () => {
  const checkin = 'application/x-apple-aspen-mdm-checkin';
  const report = 'application/x-apple-aspen-mdm; charset=UTF-8';
  const nothing: Buffer = Buffer.alloc(0);
  const list = writePlistBytes({ CommandUUID: 'C-1', Command: { RequestType: 'ProfileList' } });
  const idle = writePlistBytes({ Status: 'Idle', UDID });

  test('remembers which command a result answers', () => {
    const tap = createWireTap();
    const say = (contentType: string, requestBody: Buffer, responseBody = nothing, status = 200): readonly Finding[] =>
      tap.exchange({ contentType, requestBody, status, responseBody });
    expect(say(checkin, writePlistBytes(authenticate))).toEqual([]);
    expect(say(report, idle, list)).toEqual([]);
    const answer = { CommandUUID: 'C-1', Status: 'Acknowledged', UDID };
    expect(say(report, writePlistBytes({ ...answer, ProfileList: [] }))).toEqual([]);
    tap.assertClean();
    expect([...tap.counts].toSorted()).toEqual([
      ['checkin-request', 1],
      ['checkin-response', 1],
      ['command', 2],
      ['command-result', 2],
    ]);
    expect(brief(say(report, writePlistBytes(answer)))).toEqual(['missing-key ProfileList']);
    expect(() => tap.assertClean()).toThrow('ProfileList');
  });

  test.each<[string, number, Buffer, Buffer]>([
    ['401', 401, idle, nothing],
    ['204', 204, idle, nothing],
    ['a result nobody asked for', 200, writePlistBytes({ CommandUUID: 'C-9', Status: 'NotNow', UDID }), nothing],
    ['no property list', 200, Buffer.from('x'), nothing],
    ['a command no Mac has', 200, idle, writePlistBytes({ CommandUUID: 'C', Command: { RequestType: 'x' } })],
  ])('%s', (_, status, requestBody, responseBody) => {
    const tap = createWireTap();
    tap.exchange({ contentType: report, requestBody, status, responseBody });
    expect(() => tap.assertClean()).toThrow();
  });

  test('a tap that saw nothing is not clean', () => {
    expect(() => createWireTap().assertClean()).toThrow('saw nothing');
  });
});

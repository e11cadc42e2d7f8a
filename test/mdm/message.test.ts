import { describe, expect, test } from 'vitest';
import { claimantOf } from '../../mdm/enrollment-id.ts';
import { commandBody, handOut } from '../../mdm/hand-out.ts';
import { kindOfBody, kindOfMediaType, readCheckin, readReport } from '../../mdm/message.ts';
import { observationOf } from '../../mdm/profile-list.ts';
import type { ReadReport, Report } from '../../mdm/types.ts';
import { readPlist } from '../../plist/read.ts';
import { isDict, type PlistDict, type Writable } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { assertEmitted } from '../conformance/apple-schema/index.ts';
import { CHECKIN, COMMAND, dictOf } from './world.ts';

const dict = (entries: Record<string, Writable>): PlistDict => dictOf(writePlistBytes(entries));
const code = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

describe('media type', () => {
  test('CHK-01 compared whole, parameters cut, letters of any case', () => {
    expect(kindOfMediaType(CHECKIN)).toBe('checkin');
    expect(kindOfMediaType(COMMAND)).toBe('report');
    expect(kindOfMediaType(`${CHECKIN}; charset=UTF-8`)).toBe('checkin');
    expect(kindOfMediaType('Application/X-Apple-Aspen-MDM ;x=y')).toBe('report');
    for (const odd of [undefined, '', 'application/xml', `${CHECKIN}-x`, 'application/x-apple-aspen-mdm-', 'x']) {
      expect(kindOfMediaType(odd)).toBeUndefined();
    }
  });

  test('CHK-02 missing or odd: the content says, and neither or both is 400', () => {
    expect(kindOfBody(writePlistBytes({ MessageType: 'CheckOut' }))).toBe('checkin');
    expect(kindOfBody(writePlistBytes({ Status: 'Idle' }))).toBe('report');
    for (const odd of [{}, { MessageType: 'x', Status: 'y' }]) {
      expect(code(() => kindOfBody(writePlistBytes(odd)))).toBe('mdm_message_malformed');
    }
    expect(code(() => kindOfBody(Buffer.from('junk')))).toBe('plist_malformed');
  });
});

describe('enrolment ids', () => {
  test.each([
    ['Device', { UDID: 'A-b' }, 'A-b', 'A-b', 'device'],
    ['User', { UDID: 'A', UserID: 'u' }, 'A:u', 'A', 'user'],
    [
      'Shared iPad',
      { UDID: 'A', UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', UserShortName: 'ana@x' },
      'A:ana@x',
      'A',
      'user',
    ],
    ['User Enrollment (Device)', { EnrollmentID: 'E' }, 'E', 'E', 'device'],
    ['User Enrollment', { EnrollmentID: 'E', EnrollmentUserID: 'u' }, 'E:u', 'E', 'user'],
  ])('IDN-01 IDN-02 %s', (type, message, enrollmentId, deviceKey, channel) => {
    expect(claimantOf(dict(message))).toMatchObject({ type, enrollmentId, deviceKey, channel });
  });

  test('IDN-01 an EnrollmentID is never taken for a UDID', () => {
    expect(claimantOf(dict({ EnrollmentID: 'E' })).udid).toBeUndefined();
  });

  test('IDN-03 H-09 compared exactly: case and look-alikes are other devices', () => {
    const ids = ['ABC', 'abc', 'АBC', ' ABC', 'ABC\u200b'].map((UDID) => claimantOf(dict({ UDID })).enrollmentId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('IDN-04 H-08 both, neither, empty, not a string, NUL, endless, or a colon', () => {
    const bad: PlistDict[] = [
      dict({ UDID: 'A', EnrollmentID: 'E' }),
      dict({}),
      dict({ UDID: '' }),
      dict({ UDID: 7 }),
      dict({ UDID: ['A'] }),
      dict({ UDID: Buffer.from('A') }),
      dict({ UDID: 'A:B' }),
      dict({ UDID: 'A'.repeat(1000) }),
      new Map([['UDID', 'A\0']]),
      dict({ UDID: 'A', UserID: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF' }),
    ];
    for (const message of bad) expect(code(() => claimantOf(message))).toBe('mdm_message_malformed');
  });
});

describe('check-in', () => {
  test('CHK-03 AUT-06 unknown keys and missing facts are no fault', () => {
    const message = readCheckin(
      writePlistBytes({ MessageType: 'Authenticate', UDID: 'A', Topic: 't', Challenge: Buffer.from('x') }),
    );
    expect(message).toMatchObject({ type: 'Authenticate', topic: 't', facts: { serialNumber: undefined } });
  });

  test('CHK-10 an unknown MessageType is a value, not a crash; a wrong one a typed error', () => {
    expect(readCheckin(writePlistBytes({ MessageType: 'Teleport' }))).toEqual({
      type: 'unknown',
      messageType: 'Teleport',
    });
    for (const body of [
      writePlistBytes({ MessageType: 7 }),
      writePlistBytes({}),
      writePlistBytes(['x']),
      writePlistBytes({ MessageType: 'Authenticate', UDID: 'A' }),
      writePlistBytes({ MessageType: 'TokenUpdate', UDID: 'A', Topic: 't', Token: 'text', PushMagic: 'm' }),
      writePlistBytes({ MessageType: 'TokenUpdate', UDID: 'A', Topic: 't', Token: Buffer.from('t') }),
      writePlistBytes({ MessageType: 'Authenticate', UDID: 'A', Topic: 't', OSVersion: 15 }),
    ]) {
      expect(code(() => readCheckin(body))).toBe('mdm_message_malformed');
    }
  });

  test('H-06 a decisive key twice', () => {
    const twice = Buffer.from(
      '<plist><dict><key>UDID</key><string>A</string><key>UDID</key><string>B</string></dict></plist>',
    );
    expect(code(() => readCheckin(twice))).toBe('plist_duplicate_key');
  });

  test('BST-01 an empty or missing BootstrapToken is none', () => {
    for (const more of [{}, { BootstrapToken: Buffer.alloc(0) }]) {
      const message = readCheckin(writePlistBytes({ MessageType: 'SetBootstrapToken', UDID: 'A', ...more }));
      expect(message).toMatchObject({ token: undefined });
    }
  });
});

describe('reports', () => {
  const read = (message: Record<string, Writable>): ReadReport =>
    readReport(writePlistBytes({ UDID: 'A', ...message }));

  test('CMD-07 Idle, NotNow, the three outcomes, and a word Apple has not documented', () => {
    expect(read({ Status: 'Idle' })).toMatchObject({ report: { kind: 'idle' } });
    expect(read({ Status: 'NotNow', CommandUUID: 'c' })).toMatchObject({
      report: { kind: 'not_now', commandUuid: 'c' },
    });
    for (const outcome of ['Acknowledged', 'Error', 'CommandFormatError']) {
      expect(read({ Status: outcome, CommandUUID: 'c' })).toMatchObject({ report: { kind: 'finished', outcome } });
    }
    expect(read({ Status: 'Teleported', CommandUUID: 'c' })).toMatchObject({
      report: { outcome: 'Unknown', status: 'Teleported' },
    });
  });

  test('§2.1 the error chain is kept in order, English first, whatever its shape', () => {
    const chain = [
      {
        ErrorCode: 4001,
        ErrorDomain: 'MCInstallationErrorDomain',
        LocalizedDescription: 'd',
        USEnglishDescription: 'e',
      },
      { ErrorCode: 'x', ErrorDomain: 7 },
      'junk',
      { LocalizedDescription: 'cause' },
    ];
    expect(read({ Status: 'Error', CommandUUID: 'c', ErrorChain: chain })).toMatchObject({
      report: {
        errorChain: [
          { code: 4001, domain: 'MCInstallationErrorDomain', description: 'e' },
          { code: 0, domain: '', description: '' },
          { code: 0, domain: '', description: 'cause' },
        ],
      },
    });
    expect(read({ Status: 'Error', CommandUUID: 'c', ErrorChain: 'x' })).toMatchObject({ report: { errorChain: [] } });
  });

  test('CHK-08 what cannot be read is still filed under its command where that can be made out', () => {
    const whole = writePlistBytes({ UDID: 'A', CommandUUID: 'c', Status: 'Acknowledged', Rest: 'x'.repeat(99) });
    const cut = whole.subarray(0, whole.length - 60);
    const unknown: Report = { kind: 'finished', commandUuid: 'c', outcome: 'Unknown', status: '', errorChain: [] };
    expect(readReport(cut)).toMatchObject({ kind: 'readable', who: { enrollmentId: 'A' }, report: unknown });
    expect(read({ CommandUUID: 'c', Status: { a: 1 } })).toMatchObject({ kind: 'readable', report: unknown });
    expect(read({ CommandUUID: 'c' })).toMatchObject({ kind: 'readable', report: unknown });
    expect(read({ Status: 'Acknowledged' })).toMatchObject({ kind: 'unreadable', who: { enrollmentId: 'A' } });
    expect(read({ Status: 'NotNow' })).toMatchObject({ kind: 'unreadable' });
    expect(read({ Status: 'Acknowledged', CommandUUID: 'c'.repeat(600) })).toMatchObject({ kind: 'unreadable' });
    for (const junk of ['', 'junk', '<dict/>', 'bplist00junk', '<!DOCTYPE x [<!ENTITY a "b">]><plist/>']) {
      expect(readReport(Buffer.from(junk))).toEqual({ kind: 'unreadable', who: undefined });
    }
  });

  test('H-06 two CommandUUIDs name no command', () => {
    const twice =
      '<plist><dict><key>UDID</key><string>A</string><key>Status</key><string>Acknowledged</string>' +
      '<key>CommandUUID</key><string>c</string><key>CommandUUID</key><string>d</string></dict></plist>';
    expect(readReport(Buffer.from(twice))).toMatchObject({ kind: 'unreadable', who: { enrollmentId: 'A' } });
  });
});

describe('ProfileList', () => {
  const finished = (
    outcome: 'Acknowledged' | 'Error',
    errorChain: readonly { code: number; domain: string; description: string }[] = [],
  ) => ({ kind: 'finished', commandUuid: 'c', outcome, status: outcome, errorChain }) as const;

  test('rows, zero rows and no answer are three states', () => {
    const list = [
      { PayloadIdentifier: 'com.example', PayloadUUID: 'U', PayloadDisplayName: 'N' },
      { PayloadUUID: 'no identifier' },
      { PayloadIdentifier: 'bare' },
      'junk',
    ];
    expect(observationOf(finished('Acknowledged'), dict({ ProfileList: list }))).toEqual({
      state: 'rows',
      profiles: [
        { identifier: 'com.example', uuid: 'U', displayName: 'N', installedAt: undefined },
        { identifier: 'bare', uuid: '', displayName: undefined, installedAt: undefined },
      ],
    });
    expect(observationOf(finished('Acknowledged'), dict({ ProfileList: [] }))).toEqual({ state: 'zero_rows' });
    expect(observationOf(finished('Acknowledged'), dict({}))).toMatchObject({ state: 'query_error' });
    expect(observationOf(finished('Error', [{ code: 1, domain: 'D', description: 'x' }]), dict({}))).toEqual({
      state: 'query_error',
      message: 'D 1: x',
    });
  });
});

describe('hand-out', () => {
  test('CMD-11 CMD-06 the stored bytes, and the CommandUUID, escaped', () => {
    const command = { RequestType: 'InstallProfile', Payload: Buffer.from('<profile/>') };
    const body = commandBody(command);
    expect(body.toString()).toMatch(/^<dict>.*<\/dict>$/s);
    const sent = handOut('a<&>b', body);
    const outer = dictOf(sent);
    expect(outer.get('CommandUUID')).toBe('a<&>b');
    const inner = outer.get('Command');
    expect(isDict(inner) && inner.get('RequestType')).toBe('InstallProfile');
    expect(readPlist(sent)).toEqual(readPlist(writePlistBytes({ Command: command, CommandUUID: 'a<&>b' })));
    assertEmitted(handOut('u', commandBody({ RequestType: 'DeviceInformation', Queries: ['OSVersion'] })), 'command');
  });
});

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ERROR_CODES } from '../../core/errors.ts';
import type { Database } from '../../db/database.ts';
import { refusal, refusalOf } from '../../mdm/answer.ts';
import { DEVICE_STATUSES, type DeviceStatus } from '../../mdm/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { eachDatabase } from '../support/databases.ts';
import { CHECKIN, COMMAND, createWorld, type Device, signature, TOPIC, type World } from './world.ts';

describe('statuses of the device routes', () => {
  test('CHK-06 401 is in no answer: every code, every kind of throw', () => {
    const throws = [
      new Error('x'),
      Object.assign(new Error('x'), { code: '08006' }),
      'text',
      undefined,
      null,
      { status: 401 },
    ];
    const all = [...ERROR_CODES.map(refusal), ...throws.map(refusalOf)].map((answer) => answer.status);
    expect(DEVICE_STATUSES).not.toContain(401);
    for (const status of all) expect(DEVICE_STATUSES).toContain(status);
    expect(new Set(all)).toEqual(new Set(DEVICE_STATUSES.filter((status) => status !== 200)));
  });

  test('CHK-07 no refusal has a body, so none has a code a device would act on; 5xx say when to come back', () => {
    for (const code of ERROR_CODES) {
      const { status, body, headers } = refusal(code);
      expect(body.length).toBe(0);
      expect(headers['retry-after'] !== undefined).toBe(status >= 500);
    }
  });
});

eachDatabase((_kind, open) => {
  let db: Database;
  let world: World;
  let device: Device;
  beforeAll(async () => {
    db = await open();
    world = createWorld(db);
    device = await world.device();
    await device.enrol();
  });
  afterAll(() => db.close());

  const xml = (inner: string): Buffer => Buffer.from(`<plist version="1.0">${inner}</plist>`);
  const nested = (depth: number): Buffer => xml(`${'<array>'.repeat(depth)}${'</array>'.repeat(depth)}`);
  const UDID = () => `<key>UDID</key><string>${device.udid}</string>`;
  const bomb = Buffer.from(
    '<!DOCTYPE plist [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><plist><dict><key>UDID</key><string>&b;</string></dict></plist>',
  );

  /** Row of the reference's §9, body, Content-Type, and what a device is answered. */
  const corpus: readonly [row: string, body: () => Buffer, type: string | undefined, status: DeviceStatus][] = [
    ['H-01 entities in a check-in', () => bomb, CHECKIN, 400],
    ['H-01 entities in a result', () => bomb, COMMAND, 200],
    ['H-01 entities, no media type', () => bomb, undefined, 400],
    [
      'H-02 a DOCTYPE spelt otherwise',
      () =>
        Buffer.from(
          `<!DOCTYPE plist SYSTEM "x"><plist><dict>${UDID()}<key>Status</key><string>Idle</string></dict></plist>`,
        ),
      COMMAND,
      200,
    ],
    ['H-03 binary list, torn', () => Buffer.from('bplist00\xff\xff\xff', 'latin1'), CHECKIN, 400],
    ['H-03 binary list, torn, result', () => Buffer.from('bplist00\xff\xff\xff', 'latin1'), COMMAND, 200],
    ['H-04 50,000 nested arrays', () => nested(50_000), CHECKIN, 400],
    ['H-04 50,000 nested arrays, result', () => nested(50_000), COMMAND, 200],
    ['H-04 a check-in of 2 MiB', () => xml(`<string>${'x'.repeat(2 << 20)}</string>`), CHECKIN, 413],
    ['H-04 20,000 nodes in a check-in', () => xml(`<array>${'<true/>'.repeat(20_000)}</array>`), CHECKIN, 400],
    [
      'H-06 UDID twice',
      () => xml(`<dict>${UDID()}${UDID()}<key>MessageType</key><string>CheckOut</string></dict>`),
      CHECKIN,
      400,
    ],
    [
      'H-06 MessageType twice',
      () => xml(`<dict>${UDID()}${'<key>MessageType</key><string>CheckOut</string>'.repeat(2)}</dict>`),
      CHECKIN,
      400,
    ],
    [
      'H-07 __proto__ as a key',
      () => xml(`<dict>${UDID()}<key>__proto__</key><dict/><key>Status</key><string>Idle</string></dict>`),
      COMMAND,
      200,
    ],
    ['H-08 UDID as an integer', () => writePlistBytes({ MessageType: 'CheckOut', UDID: 7 }), CHECKIN, 400],
    [
      'H-08 Token as a string',
      () =>
        writePlistBytes({ MessageType: 'TokenUpdate', UDID: device.udid, Topic: TOPIC, Token: 'x', PushMagic: 'x' }),
      CHECKIN,
      400,
    ],
    ['H-08 Status as a dict', () => writePlistBytes({ UDID: device.udid, Status: {} }), COMMAND, 200],
    ['H-08 an array at the top', () => writePlistBytes(['x']), CHECKIN, 400],
    ['H-08 an array at the top, result', () => writePlistBytes(['x']), COMMAND, 200],
    ['H-09 an empty UDID', () => writePlistBytes({ MessageType: 'CheckOut', UDID: '' }), CHECKIN, 400],
    [
      'H-09 SQL, HTML and line breaks in names',
      () => authenticate("'; drop table host; -- <b>\r\n\u202e"),
      CHECKIN,
      200,
    ],
    ['H-20 unknown MessageType', () => writePlistBytes({ MessageType: 'Teleport', UDID: device.udid }), CHECKIN, 400],
    [
      'H-20 an Endpoint that climbs',
      () =>
        writePlistBytes({ MessageType: 'DeclarativeManagement', UDID: device.udid, Endpoint: 'declaration/../../x' }),
      CHECKIN,
      400,
    ],
    [
      'H-20 unknown Status',
      () => writePlistBytes({ UDID: device.udid, Status: 'Odd', CommandUUID: 'odd' }),
      COMMAND,
      200,
    ],
    ['CHK-02 nothing says what it is', () => writePlistBytes({ UDID: device.udid }), 'text/plain', 400],
    ['an empty body', () => Buffer.alloc(0), CHECKIN, 400],
    ['an empty result', () => Buffer.alloc(0), COMMAND, 200],
  ];

  function authenticate(DeviceName: string): Buffer {
    return writePlistBytes({ MessageType: 'Authenticate', UDID: device.udid, Topic: TOPIC, DeviceName });
  }

  test.each(corpus)('%s', async (_row, body, contentType, status) => {
    const bytes = body();
    const answer = await device.send({ body: bytes, contentType });
    expect(answer.status).toBe(status);
    expect((await device.idle()).status).toBe(200);
  });

  test('H-09 names are stored inert', async () => {
    const { rows } = await sql<{ name: string }>`
      select h.name from host h join enrollment e on e.host_id = h.id where e.enrollment_id = ${device.udid}
    `.execute(db.read);
    expect(rows[0]?.name).toBe("'; drop table host; -- <b>\r\n\u202e");
  });

  test('H-32 only PUT', async () => {
    for (const method of ['GET', 'POST', 'HEAD', 'DELETE', 'put']) {
      const answer = await device.send({ method, body: writePlistBytes({ Status: 'Idle', UDID: device.udid }) });
      expect(answer).toMatchObject({ status: 405, headers: { allow: 'PUT' } });
    }
  });

  test('CHK-05 no identity at all: 400, before anything is parsed', async () => {
    const answer = await device.send({ body: bomb, mdmSignature: undefined });
    expect(answer).toMatchObject({ status: 400, code: 'mdm_identity_missing' });
  });

  test('SIG-01 the signature of another body: 400', async () => {
    const mdmSignature = signature(Buffer.from('another'), device.identity);
    const answer = await device.send({ body: writePlistBytes({ Status: 'Idle', UDID: device.udid }), mdmSignature });
    expect(answer).toMatchObject({ status: 400, code: 'mdm_identity_invalid' });
  });

  test('CHK-01 a check-in sent with parameters and in other letters is still a check-in', async () => {
    const body = writePlistBytes({ MessageType: 'GetBootstrapToken', UDID: device.udid });
    const answer = await device.send({ body, contentType: 'Application/X-Apple-Aspen-MDM-CheckIn; charset=utf-8' });
    expect(answer.body.toString()).toContain('BootstrapToken');
    expect((await device.send({ body, contentType: undefined })).body.toString()).toContain('BootstrapToken');
  });
});

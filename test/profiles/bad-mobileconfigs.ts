/** Uploads that must be refused: each with the code it must get and the place that must be named. */
import type { ErrorCode } from '../../core/errors.ts';
import { Real, type Writable } from '../../plist/types.ts';
import type { FindingCode } from '../../profiles/types.ts';
import { type Dict, payload, profile, upload, uuidOf } from './mobileconfigs.ts';

export interface BadUpload {
  readonly name: string;
  readonly bytes: Buffer;
  readonly code: FindingCode;
  readonly path: string;
}

export interface UnreadableUpload {
  readonly name: string;
  readonly bytes: Buffer;
  readonly code: ErrorCode;
}

const NOT_TEXT: Readonly<Record<string, Writable>> = {
  integer: 5,
  real: new Real(1.5),
  boolean: true,
  date: new Date('2026-01-01T00:00:00Z'),
  data: Buffer.from('x'),
  array: ['x'],
  dict: { x: 'x' },
};
const NOT_INTEGER: Readonly<Record<string, Writable>> = { ...NOT_TEXT, integer: '1' };
const TEXTS = ['PayloadType', 'PayloadIdentifier', 'PayloadUUID'] as const;

const inPayload = (more: Dict): Buffer => upload({ PayloadContent: [payload(1), payload(2, more)] });

function bad(name: string, bytes: Buffer, code: FindingCode, path: string): BadUpload {
  return { name, bytes, code, path };
}

const topLevelTexts = TEXTS.flatMap((key) => {
  const isType = key === 'PayloadType';
  const missing: FindingCode = isType ? 'not_a_configuration' : 'missing_key';
  const wrong: FindingCode = isType ? 'not_a_configuration' : 'wrong_type';
  return [
    bad(`${key} missing`, upload({ [key]: undefined }), missing, key),
    bad(`${key} empty`, upload({ [key]: '' }), missing, key),
    ...Object.entries(NOT_TEXT).map(([kind, value]) => bad(`${key} is ${kind}`, upload({ [key]: value }), wrong, key)),
  ];
});

const payloadTexts = TEXTS.flatMap((key) => [
  bad(`payload without ${key}`, inPayload({ [key]: undefined }), 'missing_key', `PayloadContent[1].${key}`),
  bad(`payload with empty ${key}`, inPayload({ [key]: '' }), 'missing_key', `PayloadContent[1].${key}`),
  ...Object.entries(NOT_TEXT).map(([kind, value]) =>
    bad(`payload ${key} is ${kind}`, inPayload({ [key]: value }), 'wrong_type', `PayloadContent[1].${key}`),
  ),
]);

const versions = [
  bad('PayloadVersion missing', upload({ PayloadVersion: undefined }), 'missing_key', 'PayloadVersion'),
  bad('PayloadVersion 2', upload({ PayloadVersion: 2 }), 'payload_version_unsupported', 'PayloadVersion'),
  bad('PayloadVersion 0', upload({ PayloadVersion: 0 }), 'payload_version_unsupported', 'PayloadVersion'),
  bad(
    'payload version 3',
    inPayload({ PayloadVersion: 3 }),
    'payload_version_unsupported',
    'PayloadContent[1].PayloadVersion',
  ),
  ...Object.entries(NOT_INTEGER).map(([kind, value]) =>
    bad(`PayloadVersion is ${kind}`, upload({ PayloadVersion: value }), 'wrong_type', 'PayloadVersion'),
  ),
];

const identifiers = [
  ...['a b', 'a\tb', 'a\nb', ' a', 'x'.repeat(513), 'a\u00a0b', 'a\u2028b'].map((value, index) =>
    bad(`identifier no ${index}`, upload({ PayloadIdentifier: value }), 'identifier_malformed', 'PayloadIdentifier'),
  ),
  bad('UUID of 600', upload({ PayloadUUID: 'x'.repeat(600) }), 'identifier_malformed', 'PayloadUUID'),
  bad(
    'the enrolment profile',
    upload({ PayloadIdentifier: 'org.espalier.enrollment' }),
    'identifier_reserved',
    'PayloadIdentifier',
  ),
  bad(
    'its look-alike in capitals',
    upload({ PayloadIdentifier: 'ORG.Espalier.enrollment' }),
    'identifier_reserved',
    'PayloadIdentifier',
  ),
  bad(
    'a reserved payload',
    inPayload({ PayloadIdentifier: 'org.espalier.x' }),
    'identifier_reserved',
    'PayloadContent[1].PayloadIdentifier',
  ),
  bad(
    'our SCEP payload',
    inPayload({ PayloadType: 'com.apple.security.scep', PayloadIdentifier: 'org.espalier.enrollment.scep' }),
    'enrollment_scep',
    'PayloadContent[1].PayloadIdentifier',
  ),
  bad(
    'one identifier twice',
    inPayload({ PayloadIdentifier: 'com.example.wifi.1' }),
    'duplicate_identifier',
    'PayloadContent[1].PayloadIdentifier',
  ),
  bad('one UUID twice', inPayload({ PayloadUUID: uuidOf(1) }), 'duplicate_uuid', 'PayloadContent[1].PayloadUUID'),
  bad(
    'one UUID in two spellings',
    upload({
      PayloadContent: [
        payload(1, { PayloadUUID: 'ABCDEF01-0000-4000-8000-000000000000' }),
        payload(2, { PayloadUUID: 'abcdef01-0000-4000-8000-000000000000' }),
      ],
    }),
    'duplicate_uuid',
    'PayloadContent[1].PayloadUUID',
  ),
];

const contents = [
  bad('no content', upload({ PayloadContent: undefined }), 'empty_content', 'PayloadContent'),
  bad('empty content', upload({ PayloadContent: [] }), 'empty_content', 'PayloadContent'),
  ...['dict', 'data', 'integer', 'boolean'].map((kind) =>
    bad(`content is ${kind}`, upload({ PayloadContent: NOT_TEXT[kind] }), 'empty_content', 'PayloadContent'),
  ),
  ...Object.entries(NOT_TEXT)
    .filter(([kind]) => kind !== 'dict')
    .map(([kind, value]) =>
      bad(`a payload is ${kind}`, upload({ PayloadContent: [payload(1), value] }), 'wrong_type', 'PayloadContent[1]'),
    ),
  bad(
    'encrypted',
    upload({ EncryptedPayloadContent: Buffer.alloc(64), PayloadContent: undefined }),
    'encrypted_content',
    'EncryptedPayloadContent',
  ),
  bad('IsEncrypted', upload({ IsEncrypted: true }), 'encrypted_content', 'EncryptedPayloadContent'),
];

const scopes = [
  ...['user', 'SYSTEM', '', 'Device'].map((value) =>
    bad(`scope ${JSON.stringify(value)}`, upload({ PayloadScope: value }), 'scope_invalid', 'PayloadScope'),
  ),
  bad('scope is a list', upload({ PayloadScope: ['System'] }), 'scope_invalid', 'PayloadScope'),
  ...['com.apple.mdm'].map((type) =>
    bad(type, inPayload({ PayloadType: type }), 'payload_type_forbidden', 'PayloadContent[1].PayloadType'),
  ),
  ...['com.apple.webClip.managed', 'com.apple.mail.managed', 'com.apple.ldap.account'].map((type) =>
    bad(
      `${type} on the device channel`,
      inPayload({ PayloadType: type }),
      'payload_channel_forbidden',
      'PayloadContent[1].PayloadType',
    ),
  ),
  ...['com.apple.MCX.FileVault2', 'com.apple.TCC.configuration-profile-policy', 'com.apple.security.firewall'].map(
    (type) =>
      bad(
        `${type} on the user channel`,
        upload({ PayloadScope: 'User', PayloadContent: [payload(1), payload(2, { PayloadType: type })] }),
        'payload_channel_forbidden',
        'PayloadContent[1].PayloadType',
      ),
  ),
];

const variables = [
  bad(
    'Fleet variable',
    inPayload({ SSID_STR: '$FLEET_VAR_HOST_UUID' }),
    'variable_unsupported',
    'PayloadContent[1].SSID_STR',
  ),
  bad(
    'Fleet secret in braces',
    inPayload({ Password: `\${FLEET_SECRET_WIFI}` }),
    'variable_unsupported',
    'PayloadContent[1].Password',
  ),
  bad(
    'deep inside',
    inPayload({ EAP: { Names: ['a', `x\${ESPALIER.serial}y`] } }),
    'variable_unsupported',
    'PayloadContent[1].EAP.Names[1]',
  ),
  bad(
    'in the name',
    upload({ PayloadDisplayName: 'Wi-Fi of $ESPALIER_SERIAL' }),
    'variable_unsupported',
    'PayloadDisplayName',
  ),
];

export const BAD: readonly BadUpload[] = [
  ...topLevelTexts,
  ...payloadTexts,
  ...versions,
  ...identifiers,
  ...contents,
  ...scopes,
  ...variables,
];

const xml = (inside: string): Buffer => Buffer.from(`<?xml version="1.0"?><plist version="1.0">${inside}</plist>`);
const good = upload();

export const UNREADABLE: readonly UnreadableUpload[] = (
  [
    ['nothing', Buffer.alloc(0)],
    ['white space', Buffer.from(' \n ')],
    ['text', Buffer.from('hello')],
    ['HTML', Buffer.from('<!DOCTYPE html><html></html>')],
    ['JSON', Buffer.from(JSON.stringify(profile()))],
    ['a ZIP', Buffer.from('PK\u0003\u0004xxxxxxxxxxxx')],
    ['cut in half', good.subarray(0, good.length / 2)],
    ['two roots', Buffer.concat([good, good])],
    ['an array', xml('<array/>')],
    ['a string', xml('<string>x</string>')],
    ['a key without value', xml('<dict><key>PayloadType</key></dict>')],
    ['a value without key', xml('<dict><string>x</string></dict>')],
    ['a foreign element', xml('<dict><key>a</key><uid>1</uid></dict>')],
    ['a bad integer', xml('<dict><key>a</key><integer>1e3</integer></dict>')],
    ['a bad date', xml('<dict><key>a</key><date>yesterday</date></dict>')],
    ['an entity', Buffer.from('<!DOCTYPE plist [<!ENTITY a "b">]><plist><dict/></plist>')],
    [
      'an external entity',
      Buffer.from('<!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/passwd">]><plist><dict/></plist>'),
    ],
    ['a NUL', xml('<dict><key>a</key><string>\0</string></dict>')],
    ['too deep', xml(`${'<array>'.repeat(100)}${'</array>'.repeat(100)}`)],
    ['UTF-16', Buffer.from(good.toString('utf8'), 'utf16le')],
    ['bytes that are no UTF-8', Buffer.concat([good.subarray(0, 250), Buffer.from([0xff, 0xfe]), good.subarray(250)])],
    ['a binary list without trailer', Buffer.from('bplist00')],
    ['a binary list of noise', Buffer.concat([Buffer.from('bplist00'), Buffer.alloc(64, 0xa5)])],
    ['CMS without content', Buffer.from('3080', 'hex')],
    ['DER of something else', Buffer.from('3003020101', 'hex')],
    ['DER with a lying length', Buffer.from('3084ffffffff', 'hex')],
  ] as const
).map(([name, bytes]) => ({ name, bytes, code: 'profile_malformed' as const }));

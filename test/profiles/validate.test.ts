import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EspalierError } from '../../core/errors.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { located } from '../../profiles/finding.ts';
import { parseMobileconfig } from '../../profiles/parse.ts';
import { type FindingCode, ProfileInvalidError } from '../../profiles/types.ts';
import { validate } from '../../profiles/validate.ts';
import { BAD, UNREADABLE } from './bad-mobileconfigs.ts';
import { binaryPlist } from './binary-plist.ts';
import { type Dict, payload, profile, upload, uuidOf } from './mobileconfigs.ts';

const findingsOf = (bytes: Buffer) => {
  const profile = parseMobileconfig(bytes);
  return located(profile, validate(profile));
};
/** The last key of a path: `Names` of `EAP.Names[1]`. */
const keyOf = (path: string) => path.replace(/\[\d+\]$/, '').replace(/^.*\./, '');

function escrow(type: string, key: string): Dict {
  return { PayloadType: type, [key]: 'https://example.com', EncryptCertPayloadUUID: uuidOf(9), SSID_STR: undefined };
}

/** What is taken, and said: the profile works, and somebody may be surprised. */
const WARNED: readonly { name: string; bytes: Buffer; code: FindingCode; path: string }[] = [
  {
    name: 'a UUID of another shape',
    bytes: upload({ PayloadUUID: 'wifi-1' }),
    code: 'uuid_malformed',
    path: 'PayloadUUID',
  },
  {
    name: 'an inner UUID of another shape',
    bytes: upload({ PayloadContent: [payload(1, { PayloadUUID: 'x' })] }),
    code: 'uuid_malformed',
    path: 'PayloadContent[0].PayloadUUID',
  },
  { name: 'a removal date', bytes: upload({ RemovalDate: new Date(0) }), code: 'removes_itself', path: 'RemovalDate' },
  {
    name: 'a lifetime',
    bytes: upload({ DurationUntilRemoval: 60 }),
    code: 'removes_itself',
    path: 'DurationUntilRemoval',
  },
  { name: 'for iPhone', bytes: upload({ TargetDeviceType: 1 }), code: 'not_for_mac', path: 'TargetDeviceType' },
  { name: 'a binary list', bytes: binaryPlist(profile()), code: 'binary_plist', path: '' },
  {
    name: 'escrow to another server',
    bytes: upload({ PayloadContent: [payload(1, escrow('com.apple.security.FDERecoveryKeyEscrow', 'Location'))] }),
    code: 'escrow_elsewhere',
    path: 'PayloadContent[0].PayloadType',
  },
  {
    name: 'escrow to another server, the older way',
    bytes: upload({ PayloadContent: [payload(1, escrow('com.apple.security.FDERecoveryRedirect', 'RedirectURL'))] }),
    code: 'escrow_elsewhere',
    path: 'PayloadContent[0].PayloadType',
  },
];

describe('what is refused', () => {
  it('the table holds more than a hundred uploads', () => {
    expect(BAD.length + UNREADABLE.length).toBeGreaterThan(100);
  });

  it.each(BAD)('$name: $code at $path', ({ bytes, code, path }) => {
    const errors = findingsOf(bytes).filter((finding) => finding.severity === 'error');
    expect(errors).toContainEqual(expect.objectContaining({ code, path, key: keyOf(path) }));
    expect(new ProfileInvalidError(errors, 'file')).toMatchObject({ code: 'profile_invalid', findings: errors });
    // Where the fault lies in one payload, the finding says in which; and where it stands in the text.
    const index = /^PayloadContent\[(\d+)\]/.exec(path)?.[1];
    const payload = index === undefined ? undefined : expect.objectContaining({ index: Number(index) });
    expect(errors.find((finding) => finding.code === code && finding.path === path)?.payload).toEqual(payload);
    for (const { place, at } of errors) {
      const { line = 0, column = 0 } = place ?? {};
      const rest = (bytes.toString('utf8').split('\n')[line - 1] ?? '').slice(column - 1);
      expect(rest).toMatch(/^<(key|dict|array|string|integer|real|true|false|data|date)[ />]/);
      const named = /^<key>([^<]*)</.exec(rest)?.[1];
      if (named !== undefined) expect(at).toContain(named);
    }
  });

  it.each(UNREADABLE)('cannot be read: $name', ({ bytes, code }) => {
    expect(() => parseMobileconfig(bytes)).toThrow(expect.objectContaining({ code }));
  });

  it('a fault in the text is located by line and offset', () => {
    const broken = Buffer.from(
      '<?xml version="1.0"?>\n<plist version="1.0">\n<dict>\n  <key>A</key>\n  <integer>x</integer>\n</dict></plist>',
    );
    expect(() => parseMobileconfig(broken)).toThrow(
      expect.objectContaining({ code: 'profile_malformed', place: expect.objectContaining({ line: 5, path: 'A' }) }),
    );
  });

  it('any bytes at all are read or refused with a typed error', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.constantFrom('', 'bplist00', '0\u0082', '<plist><dict>'),
        (noise, head) => {
          try {
            validate(parseMobileconfig(Buffer.concat([Buffer.from(head, 'latin1'), noise])));
          } catch (error) {
            expect(error).toBeInstanceOf(EspalierError);
            expect((error as EspalierError).code).toBe('profile_malformed');
          }
        },
      ),
    );
  });

  it('an edited octet of a good profile is read, refused or complained about, and never breaks anything', () => {
    const good = upload();
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, octet) => {
        const edited = Buffer.from(good);
        edited[at] = octet;
        try {
          validate(parseMobileconfig(edited));
        } catch (error) {
          expect((error as EspalierError).code).toBe('profile_malformed');
        }
      }),
      { numRuns: 300 },
    );
  });

  it('no number of warnings pushes an error out of the list', () => {
    const many = Array.from({ length: 150 }, (_, index) => payload(index, { PayloadUUID: `no-uuid-${index}` }));
    const findings = findingsOf(upload({ PayloadContent: [...many, payload(0)] }));
    expect(findings).toHaveLength(100);
    expect(findings[0]).toMatchObject({ code: 'duplicate_identifier', severity: 'error' });
  });
});

describe('what is taken', () => {
  it.each(WARNED)('$name: $code', ({ bytes, code, path }) => {
    expect(findingsOf(bytes)).toEqual([expect.objectContaining({ code, path, severity: 'warning' })]);
  });

  it('each payload type of one channel is taken on that channel', () => {
    const userOnly = upload({
      PayloadScope: 'User',
      PayloadContent: [
        payload(1, { PayloadType: 'com.apple.webClip.managed', URL: 'https://example.com', Label: 'Example' }),
      ],
    });
    const deviceOnly = upload({
      PayloadContent: [payload(1, { PayloadType: 'com.apple.security.firewall', EnableFirewall: true })],
    });
    expect([...findingsOf(userOnly), ...findingsOf(deviceOnly)]).toEqual([]);
  });

  it('names on several lines are shown on one; without a name the identifier is shown', () => {
    expect(parseMobileconfig(upload({ PayloadDisplayName: 'Wi-Fi\n\tof the office' })).displayName).toBe(
      'Wi-Fi of the office',
    );
    expect(parseMobileconfig(upload({ PayloadDisplayName: 'x'.repeat(9000) })).displayName).toHaveLength(255);
    for (const name of [undefined, '', 5, '\n'])
      expect(parseMobileconfig(upload({ PayloadDisplayName: name })).displayName).toBe('com.example.profile');
  });
});

describe('generated profiles', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'Z', '0', ' ', '<', '&', '"', 'ü', '漢', '😀'), maxLength: 12 });
  const setting = fc.oneof(
    text,
    fc.integer(),
    fc.boolean(),
    fc.array(text, { maxLength: 3 }),
    fc.dictionary(text, text, { maxKeys: 3 }),
  );
  const settings = fc.dictionary(fc.stringMatching(/^Zq[a-z]{1,8}$/), setting, { maxKeys: 4 });
  const good = fc
    .array(settings, { minLength: 1, maxLength: 4 })
    .map((all) => all.map((more, index) => payload(index + 1, more)));

  it('a good one has no findings', () => {
    fc.assert(
      fc.property(good, settings, (content, more) => {
        expect(findingsOf(upload({ ...more, PayloadContent: content }))).toEqual([]);
      }),
    );
  });

  const faults: readonly { code: FindingCode; key: string; make: (good: Dict) => Dict }[] = [
    { code: 'missing_key', key: 'PayloadIdentifier', make: (p) => ({ ...p, PayloadIdentifier: undefined }) },
    { code: 'wrong_type', key: 'PayloadUUID', make: (p) => ({ ...p, PayloadUUID: 7 }) },
    { code: 'payload_version_unsupported', key: 'PayloadVersion', make: (p) => ({ ...p, PayloadVersion: 2 }) },
    {
      code: 'identifier_reserved',
      key: 'PayloadIdentifier',
      make: (p) => ({ ...p, PayloadIdentifier: 'org.espalier.a' }),
    },
    { code: 'payload_type_forbidden', key: 'PayloadType', make: (p) => ({ ...p, PayloadType: 'com.apple.mdm' }) },
    {
      code: 'payload_channel_forbidden',
      key: 'PayloadType',
      make: (p) => ({ ...p, PayloadType: 'com.apple.AIM.account' }),
    },
    { code: 'variable_unsupported', key: 'Zz', make: (p) => ({ ...p, Zz: '$FLEET_VAR_HOST' }) },
  ];

  it('one fault in one payload is the one finding, at that payload', () => {
    fc.assert(
      fc.property(good, fc.nat(3), fc.constantFrom(...faults), (content, where, { code, key, make }) => {
        const at = where % content.length;
        const bad = content.map((item, index) => (index === at ? make(item) : item));
        expect(findingsOf(upload({ PayloadContent: bad }))).toEqual([
          expect.objectContaining({ code, path: `PayloadContent[${at}].${key}` }),
        ]);
      }),
    );
  });

  it('two faults are both said', () => {
    const both = writePlistBytes(
      profile({ PayloadScope: 'x', PayloadContent: [payload(1, { PayloadUUID: uuidOf(0), PayloadVersion: 9 })] }),
    );
    expect(findingsOf(both).map((finding) => finding.code)).toEqual(['scope_invalid', 'payload_version_unsupported']);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Real, type Writable } from '../../plist/types.ts';
import { misspelt } from '../../profiles/near-miss.ts';
import { parseMobileconfig } from '../../profiles/parse.ts';
import { payloadKeyFindings, spellingBudget } from '../../profiles/payload-keys.ts';
import { PAYLOAD_SCHEMA } from '../../profiles/payload-schema.ts';
import { validate } from '../../profiles/validate.ts';
import { type Dict, payload, upload } from './mobileconfigs.ts';

const of = (type: string, keys: Dict): Dict => payload(1, { SSID_STR: undefined, PayloadType: type, ...keys });
const said = (...content: Dict[]) =>
  validate(parseMobileconfig(upload({ PayloadContent: content }))).map(({ code, severity, path }) => [
    code,
    severity,
    path.replace('PayloadContent[0].', ''),
  ]);

const FIREWALL = 'com.apple.security.firewall';

describe('keys of a payload', () => {
  const rows: readonly (readonly [string, Dict, readonly string[][]])[] = [
    ['nothing to say', of(FIREWALL, { EnableFirewall: true, EnableStealthMode: true }), []],
    ['a required key is missing', of(FIREWALL, {}), [['payload_key_missing', 'error', 'EnableFirewall']]],
    [
      'text where a switch belongs',
      of(FIREWALL, { EnableFirewall: 'yes' }),
      [['payload_key_wrong_type', 'error', 'EnableFirewall']],
    ],
    [
      'a number where a switch belongs: a Mac makes do',
      of(FIREWALL, { EnableFirewall: 1 }),
      [['payload_key_wrong_type', 'warning', 'EnableFirewall']],
    ],
    [
      'a list where a dict belongs',
      of('com.apple.dnsSettings.managed', { DNSSettings: [] }),
      [['payload_key_wrong_type', 'error', 'DNSSettings']],
    ],
    [
      'an item of a list of another kind',
      of(FIREWALL, { EnableFirewall: true, Applications: [{ BundleID: 'a', Allowed: true }, 'b'] }),
      [['payload_key_wrong_type', 'error', 'Applications[1]']],
    ],
    [
      'required inside something optional',
      of(FIREWALL, { EnableFirewall: true, Applications: [{ Allowed: true }] }),
      [['payload_key_missing', 'warning', 'Applications[0].BundleID']],
    ],
    [
      'a preference domain misses nothing',
      of('com.apple.screensaver', { idleTime: 600 }),
      [['payload_key_missing', 'warning', 'moduleName']],
    ],
    [
      'a key that looks misspelt',
      of(FIREWALL, { EnableFirewall: true, EnableStealhMode: true }),
      [['payload_key_misspelt', 'warning', 'EnableStealhMode']],
    ],
    ['a key nobody knows', of(FIREWALL, { EnableFirewall: true, SomethingOfNextYear: true }), []],
    ['a type nobody knows', of('com.example.app', { Setting: 'x', SSID_ST: 1 }), []],
    ['a whole real is an integer', of('com.apple.wifi.managed', { ProxyServerPort: new Real(8080) }), []],
    ['an integer is a real', of('.GlobalPreferences', { 'com.apple.autologout.AutoLogOutDelay': 5 }), []],
    [
      'keys of a common payload',
      of(FIREWALL, { EnableFirewall: true, PayloadDisplayNam: 'x' }),
      [['payload_key_misspelt', 'warning', 'PayloadDisplayNam']],
    ],
  ];

  it.each(rows)('%s', (_name, content, expected) => {
    expect(said(content)).toEqual(expected);
  });

  it('keys of the profile itself', () => {
    const findings = (more: Dict) => validate(parseMobileconfig(upload(more))).map(({ code, path }) => [code, path]);
    expect(findings({ PayloadSope: 'User' })).toEqual([['payload_key_misspelt', 'PayloadSope']]);
    expect(findings({ PayloadRemovalDisallowed: 'yes' })).toEqual([
      ['payload_key_wrong_type', 'PayloadRemovalDisallowed'],
    ]);
    expect(findings({ ConsentText: { default: 'text' }, SomethingElse: 1 })).toEqual([]);
  });

  it('the pseudo type of the table is no payload type', () => {
    expect(said(of('TopLevel', { PayloadRemovalDisallowed: 'yes' }))).toEqual([]);
  });

  it('a million faults are a hundred findings', () => {
    const items: Writable[] = Array.from({ length: 50_000 }, () => ({ Allowed: 'x', BundleID: 1 }));
    expect(said(of(FIREWALL, { EnableFirewall: true, Applications: items }))).toHaveLength(100);
    const warned = Array.from({ length: 50_000 }, () => ({ Allowed: 1, BundleID: 'x' }));
    expect(said(of(FIREWALL, { EnableFirewall: true, Applications: warned }))).toHaveLength(100);
  });

  it('every row of the table can be read, and judges any values without a throw', () => {
    const values = fc.dictionary(fc.string({ maxLength: 20 }), fc.oneof(fc.string(), fc.integer(), fc.boolean()), {
      maxKeys: 3,
    });
    fc.assert(
      fc.property(fc.constantFrom(...PAYLOAD_SCHEMA.keys()), values, (type, more) => {
        const keys = [...(PAYLOAD_SCHEMA.get(type) ?? '').matchAll(/(?:^|\|)([^:|()]+):/g)].map(
          ([, name]) => name ?? '',
        );
        const some = Object.fromEntries(
          keys.filter((key) => !key.startsWith('Payload')).map((key) => [key, [{ a: 1 }]]),
        );
        const encodable = JSON.parse(JSON.stringify(more).replace(/\\u[0-9a-f]{4}|\\ud[0-9a-f]{3}/gi, ''));
        expect(() => said(of(type, { ...some, ...encodable }))).not.toThrow(TypeError);
      }),
      { numRuns: 300 },
    );
  });
});

it('names are compared up to a bound over all payloads, however many an upload has', () => {
  const service = (): Dict => ({ Identifiex: true, IdentifierTypx: true, CodeRequiremenx: true, StaticCodx: true });
  const payloads = [1, 2].map((number) => ({
    ...of('com.apple.TCC.configuration-profile-policy', {
      Services: { Accessibility: Array.from({ length: 5000 }, service) },
    }),
    PayloadIdentifier: `com.example.${number}`,
  }));
  const { payloads: read } = parseMobileconfig(upload({ PayloadContent: payloads }));
  const spelling = spellingBudget();
  const found = read.flatMap(({ type, content }) =>
    [...payloadKeyFindings(type, content, [], spelling)].filter(({ code }) => code === 'payload_key_misspelt'),
  );
  expect(found.length).toBeGreaterThan(0);
  expect(found.length).toBeLessThan(11_000);
});

describe('misspelt', () => {
  const known = ['AutoJoin', 'SSID_STR', 'EncryptionType', 'Key'];
  it.each([
    ['other capitals', ['autojoin'], [['autojoin', 'AutoJoin']]],
    ['one letter off', ['AutoJin'], [['AutoJin', 'AutoJoin']]],
    ['two letters off in a long name', ['EncryptonTypo'], [['EncryptonTypo', 'EncryptionType']]],
    ['two letters off in a short name', ['AutoJi'], []],
    ['short names have many neighbours', ['Kez'], []],
    ['the right one is there too', ['AutoJin', 'AutoJoin'], []],
    ['known', ['AutoJoin'], []],
    ['longer than any key', ['x'.repeat(5000)], []],
  ])('%s', (_name, names, expected) => {
    expect([...misspelt(names, known)]).toEqual(expected);
  });
});

import { describe, expect, it } from 'vitest';
import type { Tx } from '../../core/tx.ts';
import type { PlistValue } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { expectedPolicies } from '../../profiles/expected-policies.ts';
import { parseMobileconfig } from '../../profiles/parse.ts';
import { createPolicyExpectations } from '../../profiles/policy-expectations.ts';

const dict = (entries: Record<string, PlistValue>): PlistValue => new Map(Object.entries(entries));
const payload = (PayloadType: string, more: Record<string, PlistValue>) =>
  dict({ PayloadType, PayloadIdentifier: `id.${PayloadType}`, PayloadUUID: 'U', PayloadVersion: 1, ...more });
const mobileconfig = (...payloads: PlistValue[]) =>
  writePlistBytes(dict({ PayloadType: 'Configuration', PayloadIdentifier: 'p', PayloadContent: payloads }));
const expected = (...payloads: PlistValue[]) => expectedPolicies(parseMobileconfig(mobileconfig(...payloads)));
const managed = (domains: Record<string, PlistValue>) =>
  payload('com.apple.ManagedClient.preferences', { PayloadContent: dict(domains) });
const forced = (settings: Record<string, PlistValue>) => dict({ mcx_preference_settings: dict(settings) });

describe('expectedPolicies', () => {
  it('a payload whose type is a preference domain forces its own keys', () => {
    expect(expected(payload('com.vendor.app', { Auto: true, PayloadDisplayName: 'x', Server: 'a' }))).toEqual([
      { domain: 'com.vendor.app', keys: ['Auto', 'Server'] },
    ]);
  });

  it('a domain needs no dot', () => {
    const munki = managed({ ManagedInstalls: dict({ Forced: [forced({ SoftwareRepoURL: 'x' })] }) });
    expect(expected(munki)).toEqual([{ domain: 'ManagedInstalls', keys: ['SoftwareRepoURL'] }]);
  });

  it('managed preferences force what is under Forced; Set-Once may have been changed since', () => {
    const both = managed({
      'com.vendor.app': dict({
        Forced: [forced({ A: 1 }), forced({ B: 2 })],
        'Set-Once': [forced({ C: 3 })],
      }),
    });
    expect(expected(both)).toEqual([{ domain: 'com.vendor.app', keys: ['A', 'B'] }]);
  });

  it('several payloads of one domain are one expectation, domains in order', () => {
    const two = managed({ 'b.b': dict({ Forced: [forced({ B: 1 })] }), 'a.a': dict({ Forced: [forced({ A: 1 })] }) });
    expect(expected(two, payload('b.b', { C: 1, B: 2 }))).toEqual([
      { domain: 'a.a', keys: ['A'] },
      { domain: 'b.b', keys: ['B', 'C'] },
    ]);
  });

  it.each([
    ["Apple's own types", payload('com.apple.wifi.managed', { SSID_STR: 'x' })],
    ["Apple's domains among managed preferences", managed({ 'com.apple.dock': dict({ Forced: [forced({ x: 1 })] }) })],
    ['the global domain', managed({ '.GlobalPreferences': dict({ Forced: [forced({ x: 1 })] }) })],
    ['loginwindow', payload('loginwindow', { x: 1 })],
    ['a payload that is switched off', payload('com.vendor.app', { PayloadEnabled: false, x: 1 })],
    ['a payload without a key of its own', payload('com.vendor.app', {})],
    ['parts of another shape', managed({ 'com.vendor.app': dict({ Forced: 'x' }), 'com.vendor.b': 'x' })],
  ])('nothing is expected of %s', (_name, content) => {
    expect(expected(content)).toEqual([]);
  });

  it('so many keys that they are no preferences are not expected', () => {
    const keys = Object.fromEntries(Array.from({ length: 5001 }, (_, index) => [`k${index}`, index]));
    expect(expected(payload('com.vendor.app', keys))).toEqual([]);
  });
});

describe('createPolicyExpectations', () => {
  const tx = {} as Tx;

  it('reads each version once; what is missing or unreadable expects nothing', async () => {
    const asked: number[] = [];
    const of = createPolicyExpectations(async (_tx, id) => {
      asked.push(id);
      if (id === 1) return mobileconfig(payload('com.vendor.app', { A: 1 }));
      return id === 2 ? Buffer.from('no property list') : undefined;
    });
    const all = new Map([
      [1, [{ domain: 'com.vendor.app', keys: ['A'] }]],
      [2, []],
      [3, []],
    ]);
    expect(await of(tx, [1, 2, 3])).toEqual(all);
    expect(await of(tx, [3, 2, 1])).toEqual(all);
    expect(asked).toEqual([1, 2, 3]);
  });
});

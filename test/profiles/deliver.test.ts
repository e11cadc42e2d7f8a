import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { derToPem } from '../../cms/pem.ts';
import { buildSignedData } from '../../cms/signed-data.ts';
import { readPlist } from '../../plist/read.ts';
import { isDict, type PlistDict, type PlistValue } from '../../plist/types.ts';
import { writePlist, writePlistBytes } from '../../plist/write.ts';
import { deliveryOf, type SignedDelivery } from '../../profiles/deliver.ts';
import { parseMobileconfig } from '../../profiles/parse.ts';
import { rewriteWitness } from '../../profiles/witness.ts';
import { issue, openssl, rsa, workbench } from '../cms/fixtures.ts';
import { canonical, encodable, plistValues } from '../plist/support.ts';
import { toolPath } from '../support/tool.ts';
import { binaryPlist } from './binary-plist.ts';
import { keyRing, payload, profile, upload, uuidOf } from './mobileconfigs.ts';

const keys = await keyRing();
const signer = keys.identity('profile_signing');
const witnessKey = keys.mac('witness');
const deps = { signer, witnessKey, sha256: (bytes: Buffer) => createHash('sha256').update(bytes).digest() };
const deliver = (bytes: Buffer, signed: SignedDelivery = 'verbatim') => {
  const made = deliveryOf(parseMobileconfig(bytes), deps, new Date(), signed);
  return { ...made, delivered: made.delivered() };
};
const witnessOf = (bytes: Buffer) => rewriteWitness(parseMobileconfig(bytes).root, witnessKey);
const plistutil = toolPath('plistutil');
const bench = workbench();
afterAll(bench.close);

const root = (bytes: Buffer): PlistDict => readPlist(bytes) as PlistDict;
const without = (dict: PlistDict, key: string): PlistDict => new Map([...dict].filter(([name]) => name !== key));

/** Key order and values of a profile's content, as an admin's tool may write them. */
const content = fc
  .array(
    fc.tuple(
      encodable.filter((key) => !key.startsWith('Payload')),
      plistValues(),
    ),
    { maxLength: 5 },
  )
  .map((entries) => new Map(entries));

function withContent(extra: ReadonlyMap<string, PlistValue>): Map<string, PlistValue> {
  const base = root(upload({ PayloadContent: [payload(1)] }));
  return new Map([...base, ['Settings', new Map(extra)]]);
}

/** Every dict's keys the other way round. */
function reversed(value: PlistValue): PlistValue {
  if (Array.isArray(value)) return value.map(reversed);
  return isDict(value) ? new Map([...value].reverse().map(([key, inner]) => [key, reversed(inner)])) : value;
}

describe('the witness', () => {
  it('is one and the same for one content: key order, white space, comments and the old UUID are none of it', () => {
    fc.assert(
      fc.property(content, fc.uuid(), (extra, uuid) => {
        const value = withContent(extra);
        const before = witnessOf(writePlistBytes(value));
        const spaced = writePlist(reversed(new Map(value).set('PayloadUUID', uuid)))
          // Between elements only: inside <string> and <key> white space is content.
          .replace(/(?<!<string|<key|<data)>(?=<)/g, '>\r\n\t<!-- < & -->');
        const after = witnessOf(Buffer.from(spaced));
        expect(after.witness).toBe(before.witness);
        expect(after.contentSha256.equals(before.contentSha256)).toBe(true);
      }),
    );
  });

  it('is another one for any other content', () => {
    fc.assert(
      fc.property(content, content, (one, other) => {
        const same = JSON.stringify(canonicalKeeping(one)) === JSON.stringify(canonicalKeeping(other));
        const witnesses = [one, other].map((extra) => witnessOf(writePlistBytes(withContent(extra))).witness);
        expect(witnesses[0] === witnesses[1]).toBe(same);
      }),
    );
  });

  it.each([
    ['an inner UUID', { PayloadContent: [payload(1, { PayloadUUID: uuidOf(2) })] }],
    ['an inner value', { PayloadContent: [payload(1, { SSID_STR: 'example' })] }],
    ['the order of payloads', { PayloadContent: [payload(2), payload(1)] }],
    ['the name', { PayloadDisplayName: 'Example ' }],
    ['an integer that becomes a text', { PayloadContent: [payload(1, { Port: '1' })] }],
    ['a key', { ConsentText: { default: '' } }],
  ])('%s is content', (_what, change) => {
    const base = upload({ PayloadContent: [payload(1, { Port: 1 }), payload(2)] });
    expect(witnessOf(upload(change)).witness).not.toBe(witnessOf(base).witness);
  });

  it('stands at the top and nowhere else: inner UUIDs and everything around them stay', () => {
    fc.assert(
      fc.property(content, (extra) => {
        const value = withContent(extra);
        const { plist, witness } = witnessOf(writePlistBytes(value));
        expect(root(plist).get('PayloadUUID')).toBe(witness);
        expect(witness).toMatch(/^[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$/);
        expect(canonical(without(root(plist), 'PayloadUUID'))).toEqual(canonical(without(value, 'PayloadUUID')));
      }),
    );
  });

  it('an XML and a binary upload of one content are one version', () => {
    expect(witnessOf(binaryPlist(profile())).witness).toBe(witnessOf(upload()).witness);
  });

  it('is keyed: without the key nobody can make a profile that passes for another', async () => {
    const other = (await keyRing()).mac('witness');
    expect(rewriteWitness(parseMobileconfig(upload()).root, other).witness).not.toBe(witnessOf(upload()).witness);
  });

  it('a text that XML cannot carry is a typed refusal', () => {
    const bytes = binaryPlist(profile({ ConsentText: 'a\u0001b' }));
    expect(() => witnessOf(bytes)).toThrow(expect.objectContaining({ code: 'plist_unencodable' }));
  });
});

/** `<integer>1</integer>` and `<real>1</real>` are two contents, though one number. */
function canonicalKeeping(extra: ReadonlyMap<string, PlistValue>): unknown {
  return canonical(
    readPlist(
      Buffer.from(
        writePlist(new Map(extra))
          .replace(/<(real|integer)>/g, '<string>$1 ')
          .replace(/<\/(real|integer)>/g, '</string>'),
      ),
    ),
  );
}

describe('what travels', () => {
  it.skipIf(openssl === undefined)(
    'openssl verifies it against the signing root, and finds the rewritten profile inside',
    () => {
      const { delivered, delivery, witnessUuid } = deliver(upload());
      const signingRoot = signer.chain.at(-1) ?? signer.certificate;
      bench.write('signed.der', delivered);
      bench.write('root.pem', derToPem(signingRoot, 'CERTIFICATE'));
      bench.run(
        'cms',
        '-verify',
        '-inform',
        'DER',
        '-in',
        'signed.der',
        '-CAfile',
        'root.pem',
        '-purpose',
        'any',
        '-out',
        'plain.plist',
      );
      expect(delivery).toBe('rewritten');
      expect(root(bench.read('plain.plist')).get('PayloadUUID')).toBe(witnessUuid);
      bench.write('other.pem', derToPem(issue(rsa()).der, 'CERTIFICATE'));
      const { status } = bench.ask(
        'cms',
        '-verify',
        '-inform',
        'DER',
        '-in',
        'signed.der',
        '-CAfile',
        'other.pem',
        '-purpose',
        'any',
        '-out',
        'x',
      );
      expect(status).not.toBe(0);
    },
  );

  it.skipIf(plistutil === undefined)('plistutil reads the profile', () => {
    const { plist, witness } = witnessOf(upload({ PayloadDisplayName: 'Büro <&> 漢字 😀' }));
    const { status, stdout } = spawnSync(plistutil ?? '', ['-f', 'bin', '-i', '-', '-o', '-'], { input: plist });
    expect(status).toBe(0);
    const sent = profile({ PayloadDisplayName: 'Büro <&> 漢字 😀', PayloadUUID: witness });
    expect(canonical(readPlist(stdout))).toEqual(canonical(sent));
  });

  it('a signed upload travels octet for octet, with its own UUID as witness', () => {
    const identity = issue(rsa());
    const signed = buildSignedData({
      content: upload(),
      signer: { certificateDer: identity.der, key: identity.privateKey },
      certificates: [],
      signingTime: new Date(),
    });
    const parsed = parseMobileconfig(signed);
    expect(parsed.signed?.signer).toMatchObject({ sha256: identity.certificate.sha256 });
    expect(deliver(signed)).toEqual({
      delivery: 'verbatim',
      witnessUuid: uuidOf(0),
      contentSha256: createHash('sha256').update(signed).digest(),
      delivered: signed,
    });
    const forged = Buffer.from(signed);
    forged.write('EXAMPLE.wifi', forged.indexOf('example.wifi'), 'latin1');
    expect(() => parseMobileconfig(forged)).toThrow(
      expect.objectContaining({ code: 'profile_malformed', fix: expect.any(String) }),
    );
  });
});

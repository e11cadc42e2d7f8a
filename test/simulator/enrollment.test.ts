import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { OID } from '../../cms/oids.ts';
import { buildSignedData } from '../../cms/signed-data.ts';
import { Real } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { aMac, ruleOf, wake } from './support/a-mac.ts';
import { newAuthority, newTlsLeaf } from './support/pki.ts';
import { type Dict, makeWorld, type Payloads, put, TinyServer, type World, type Wrong } from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
beforeAll(() => {
  world = makeWorld();
});
afterEach(() => server.close());

async function refusedBy(wrong: Wrong): Promise<string> {
  server = await TinyServer.start(world, wrong);
  const mac = aMac(server);
  const rule = await ruleOf(mac.enroll(server.link));
  expect(mac.phase).toBe('new');
  expect(mac.profiles('device')).toEqual([]);
  return rule;
}

const withProfile = (edit: (payloads: Payloads, profile: Dict) => void): Promise<string> =>
  refusedBy({ profile: (profile, payloads) => edit(payloads, profile) });

describe('an enrolment that is right', () => {
  it('MAC-41 ends in Authenticate and then TokenUpdate, and the profile is in the store', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server);
    await mac.enroll(server.link);
    expect(mac.phase).toBe('enrolled');
    expect(server.received.map(({ message }) => message?.get('MessageType')).filter(Boolean)).toEqual([
      'Authenticate',
      'TokenUpdate',
    ]);
    expect(mac.profiles('device').map(({ identifier, verification }) => [identifier, verification])).toEqual([
      ['org.example.enrollment', 'verified'],
    ]);
    expect(mac.violations).toEqual([]);
  });

  it('is taken unsigned too, and shown as such', async () => {
    server = await TinyServer.start(world, { sign: false });
    const mac = aMac(server);
    await mac.enroll(server.link);
    expect(mac.profiles('device')[0]?.verification).toBe('unsigned');
  });
});

describe('trust', () => {
  it('MAC-01 an http link is not followed', async () => {
    server = await TinyServer.start(world);
    expect(await ruleOf(aMac(server).enroll(server.link.replace('https', 'http')))).toBe('MAC-01');
    expect(server.received).toEqual([]);
  });

  it.each(['ServerURL', 'CheckInURL'])('MAC-01 an http %s is refused', async (key) => {
    expect(await withProfile(({ mdm }) => put(mdm, key, `http://localhost/mdm`))).toBe('MAC-01');
  });

  it('MAC-01 an http SCEP URL is refused', async () => {
    expect(await withProfile(({ scep }) => put(scep.PayloadContent, 'URL', 'http://localhost/scep'))).toBe('MAC-01');
  });

  it('MAC-02 a certificate by an unknown root is not trusted', async () => {
    expect(await refusedBy({ leaf: newTlsLeaf(newAuthority('Stranger', 'ec')) })).toBe('MAC-02');
  });

  it('MAC-02 a certificate for another host is not trusted', async () => {
    expect(await refusedBy({ leaf: newTlsLeaf(world.root, { dns: ['mdm.example.org'] }) })).toBe('MAC-02');
  });

  it('MAC-03 a leaf without a subjectAltName, however its CN reads', async () => {
    expect(await refusedBy({ leaf: newTlsLeaf(world.root, { dns: [] }) })).toBe('MAC-03');
  });

  it('MAC-03 a leaf that is valid for 826 days', async () => {
    expect(await refusedBy({ leaf: newTlsLeaf(world.root, { days: 826 }) })).toBe('MAC-03');
  });

  it('MAC-03 a leaf that is not for serverAuth', async () => {
    const leaf = newTlsLeaf(world.root, { extendedKeyUsage: [OID.clientAuth] });
    // OpenSSL refuses the purpose before we look.
    expect(['MAC-02', 'MAC-03']).toContain(await refusedBy({ leaf }));
  });

  it('MAC-04 once the profile is known, only its own roots count', async () => {
    const other = newAuthority('Another root', 'ec').certificate.der;
    expect(await withProfile(({ root }) => put(root, 'PayloadContent', other))).toBe('MAC-02');
    expect(server.received.map(({ path }) => path)).toEqual(['/enroll/code']);
  });

  it('MAC-06 where certificates are pinned, nothing else is trusted for that URL', async () => {
    const other = newAuthority('Pinned', 'ec').certificate.der;
    const pin = {
      PayloadType: 'com.apple.security.pkcs1',
      PayloadVersion: 1,
      PayloadIdentifier: 'pin',
      PayloadUUID: 'PIN',
    };
    const edit = ({ mdm }: Payloads, profile: Dict): void => {
      put(mdm, 'CheckInURLPinningCertificateUUIDs', ['PIN']);
      put(profile, 'PayloadContent', [...(profile['PayloadContent'] as Dict[]), { ...pin, PayloadContent: other }]);
    };
    expect(await withProfile(edit)).toBe('MAC-02');
    expect(server.messages('Authenticate')).toEqual([]);
  });

  it('MAC-06 a pinned certificate that is the right one', async () => {
    server = await TinyServer.start(world, {
      profile: (_, { mdm, root }) => {
        put(mdm, 'CheckInURLPinningCertificateUUIDs', [root['PayloadUUID'] as string]);
        put(mdm, 'ServerURLPinningCertificateUUIDs', [root['PayloadUUID'] as string]);
      },
    });
    const mac = aMac(server);
    await mac.enroll(server.link);
    await wake(mac, server);
    expect(server.polls()).toHaveLength(1);
  });

  it('MAC-05 the profile must be answered 200', async () => {
    expect(await refusedBy({ enroll: { status: 409, type: 'application/problem+json', body: '{}' } })).toBe('MAC-05');
  });

  it('MAC-05 the profile must come with its media type', async () => {
    expect(await refusedBy({ enroll: { type: 'application/octet-stream', body: 'x' } })).toBe('MAC-05');
  });
});

describe('the profile', () => {
  it('MAC-10 a signature over other content is refused', async () => {
    server = await TinyServer.start(world);
    const content = writePlistBytes(server.enrollmentProfile());
    const signer = { certificateDer: world.root.certificate.der, key: world.root.key };
    const signed = buildSignedData({ content, signer });
    const at = signed.indexOf('Example management');
    signed.write('Example nanagement', at);
    server.wrong = { enroll: { type: 'application/x-apple-aspen-config', body: signed } };
    expect(await ruleOf(aMac(server).enroll(server.link))).toBe('MAC-10');
  });

  it.each(['PayloadType', 'PayloadVersion', 'PayloadIdentifier', 'PayloadUUID', 'PayloadContent'])(
    'MAC-11 a profile without %s',
    async (key) => {
      expect(await withProfile((_, profile) => put(profile, key, undefined))).toBe('MAC-11');
    },
  );

  it.each(['PayloadType', 'PayloadVersion', 'PayloadIdentifier', 'PayloadUUID'])(
    'MAC-11 a payload without %s',
    async (key) => {
      expect(await withProfile(({ scep }) => put(scep, key, undefined))).toBe('MAC-11');
    },
  );

  it('MAC-11 bytes that are no property list', async () => {
    expect(await refusedBy({ enroll: { type: 'application/x-apple-aspen-config', body: '<html>' } })).toBe('MAC-11');
  });

  it('MAC-12 AccessRights as a real', async () => {
    expect(await withProfile(({ mdm }) => put(mdm, 'AccessRights', new Real(8191)))).toBe('MAC-12');
  });

  it('MAC-12 Keysize as a string', async () => {
    expect(await withProfile(({ scep }) => put(scep.PayloadContent, 'Keysize', '2048'))).toBe('MAC-12');
  });

  it('MAC-12 SignMessage as an integer', async () => {
    expect(await withProfile(({ mdm }) => put(mdm, 'SignMessage', 1))).toBe('MAC-12');
  });

  it('MAC-13 one PayloadUUID twice', async () => {
    expect(await withProfile(({ root, mdm }) => put(root, 'PayloadUUID', mdm['PayloadUUID']))).toBe('MAC-13');
  });

  it('MAC-13 one PayloadIdentifier twice', async () => {
    const edit = ({ root, mdm }: Payloads) => put(root, 'PayloadIdentifier', mdm['PayloadIdentifier']);
    expect(await withProfile(edit)).toBe('MAC-13');
  });

  it('MAC-14 IdentityCertificateUUID that names no payload', async () => {
    const nobody = '99999999-9999-4999-8999-999999999999';
    expect(await withProfile(({ mdm }) => put(mdm, 'IdentityCertificateUUID', nobody))).toBe('MAC-14');
  });

  it('MAC-14 a pinned certificate that is not in the profile', async () => {
    const edit = ({ mdm }: Payloads) => put(mdm, 'ServerURLPinningCertificateUUIDs', ['nobody']);
    expect(await withProfile(edit)).toBe('MAC-14');
  });

  it('MAC-15 a profile without MDM payload', async () => {
    const edit = ({ root, scep }: Payloads, profile: Dict) => put(profile, 'PayloadContent', [root, scep]);
    expect(await withProfile(edit)).toBe('MAC-15');
  });

  it('MAC-15 an enrolment profile for a user', async () => {
    expect(await withProfile((_, profile) => put(profile, 'PayloadScope', 'User'))).toBe('MAC-15');
  });

  it('MAC-16 an identity that is no identity', async () => {
    const edit = ({ root, mdm }: Payloads) => put(mdm, 'IdentityCertificateUUID', root['PayloadUUID']);
    expect(await withProfile(edit)).toBe('MAC-16');
  });

  it('MAC-17 a topic outside com.apple.mgmt', async () => {
    expect(await withProfile(({ mdm }) => put(mdm, 'Topic', 'org.example.push'))).toBe('MAC-17');
  });

  it.each([0, 2, 8192, 128, -1])('MAC-18 access rights %d', async (rights) => {
    expect(await withProfile(({ mdm }) => put(mdm, 'AccessRights', rights))).toBe('MAC-18');
  });

  it('MAC-19 an unknown server capability', async () => {
    const edit = ({ mdm }: Payloads) => put(mdm, 'ServerCapabilities', ['com.apple.mdm.per-user-connection']);
    expect(await withProfile(edit)).toBe('MAC-19');
  });

  it.each([
    ['Keysize', 2047],
    ['Key Type', 'EC'],
    ['Key Usage', 3],
    ['Subject', [['CN', 'flat']]],
  ])('MAC-20 %s = %j in the SCEP payload', async (key, value) => {
    expect(await withProfile(({ scep }) => put(scep.PayloadContent, key, value))).toBe('MAC-20');
  });

  it('MAC-22 a managed Mac takes no second management', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server);
    await mac.enroll(server.link);
    expect(await ruleOf(mac.enroll(server.link))).toBe('MAC-22');
    expect(mac.phase).toBe('enrolled');
  });

  it('MAC-23 a certificate payload that holds none', async () => {
    const edit = ({ root }: Payloads) => put(root, 'PayloadContent', Buffer.from('no certificate'));
    expect(await withProfile(edit)).toBe('MAC-23');
  });
});

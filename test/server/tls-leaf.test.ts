import { describe, expect, it } from 'vitest';
import { parseCertificate } from '../../cms/x509.ts';
import { checkTls, tlsRoots } from '../../server/tls.ts';
import { leafFaults } from '../../server/tls-leaf.ts';
import { certPem, ec, type Identity, issue, keyPem, rsa } from '../cms/fixtures.ts';
import { ca, leaf, pem, SERVER_AUTH } from './tls-files.ts';

const NOW = new Date();
const DAY_MS = 86_400_000;
const inDays = (days: number) => new Date(NOW.getTime() + days * DAY_MS);
const faults = (chain: readonly Identity[], host = 'mdm.example.com', now = NOW) =>
  leafFaults(
    chain.map(({ certificate }) => certificate),
    host,
    now,
  );

/** The same certificate signed with SHA-1: the algorithm is what a Mac looks at. */
function sha1(identity: Identity): Identity {
  const hex = identity.der.toString('hex').replaceAll('06092a864886f70d01010b', '06092a864886f70d010105');
  const der = Buffer.from(hex, 'hex');
  return { ...identity, der, certificate: parseCertificate(der) };
}

const stranger = issue(rsa('stranger'), { subject: [{ type: 'CN', value: 'Stranger' }], extensions: { isCa: true } });

describe('leafFaults', () => {
  it.each([
    ['with its root', [leaf(), ca], 'mdm.example.com'],
    ['alone: the Mac may know the issuer', [leaf()], 'mdm.example.com'],
    ['in other capitals', [leaf(), ca], 'MDM.Example.COM'],
    ['by address', [leaf(), ca], '127.0.0.1'],
    ['by wildcard', [leaf({ extensions: { subjectAltName: { dns: ['*.example.com'] } } }), ca], 'mdm.example.com'],
    ['with an elliptic key', [leaf({}, ec('tls')), ca], 'mdm.example.com'],
    ['of exactly 825 days', [leaf({ notBefore: inDays(-1), notAfter: inDays(824) }), ca], 'mdm.example.com'],
    [
      'with more usages',
      [leaf({ extensions: { extendedKeyUsage: [SERVER_AUTH, '1.3.6.1.5.5.7.3.2'] } }), ca],
      'mdm.example.com',
    ],
  ] as const)('a good one %s has none', (_name, chain, host) => {
    expect(faults(chain, host)).toEqual([]);
  });

  it.each([
    ['tls_name_missing', [leaf({ extensions: { subjectAltName: { dns: ['other.example.com'] } } }), ca]],
    [
      'tls_name_missing',
      [leaf({ extensions: { subjectAltName: { dns: ['*.mdm.example.com', '*.com', 'example.com', '*'] } } }), ca],
    ],
    ['tls_name_missing', [leaf({ extensions: { subjectAltName: {} } }), ca]],
    ['tls_server_auth_missing', [leaf({ extensions: { extendedKeyUsage: ['1.3.6.1.5.5.7.3.2'] } }), ca]],
    ['tls_server_auth_missing', [leaf({ extensions: { extendedKeyUsage: [] } }), ca]],
    ['tls_validity_too_long', [leaf({ notBefore: inDays(-1), notAfter: inDays(826) }), ca]],
    ['tls_key_too_small', [leaf({}, rsa('small', 1024)), ca]],
    ['tls_digest_too_weak', [sha1(leaf()), ca]],
    ['tls_expired', [leaf({ notBefore: inDays(-90), notAfter: inDays(-1) }), ca]],
    ['tls_expired', [leaf({ notBefore: inDays(1), notAfter: inDays(90) }), ca]],
    ['tls_chain_incomplete', [leaf(), stranger]],
    ['tls_chain_incomplete', [leaf(), stranger, ca]],
    ['tls_chain_incomplete', []],
  ] as const)('%s (%#)', (fault, chain) => {
    expect(faults(chain)).toEqual([fault]);
  });

  it('says all of them', () => {
    const wrong = leaf(
      { notAfter: inDays(900), extensions: { subjectAltName: {}, extendedKeyUsage: [] } },
      rsa('small', 1024),
    );
    expect(faults([wrong, stranger])).toEqual([
      'tls_name_missing',
      'tls_server_auth_missing',
      'tls_validity_too_long',
      'tls_key_too_small',
      'tls_chain_incomplete',
    ]);
  });
});

describe('checkTls', () => {
  const check = (cert: string, key: string) => () =>
    checkTls({ cert, key }, 'https://mdm.example.com', { now: () => NOW }, 'tls.pem');
  const good = leaf();

  it('takes a pair that fits, and finds the root that Macs must be given', () => {
    expect(check(pem(good, ca), keyPem(good.privateKey))).not.toThrow();
    expect(tlsRoots({ cert: pem(good, ca), key: '' })).toEqual([{ name: 'Example TLS CA', der: ca.der }]);
    expect(tlsRoots({ cert: pem(good), key: '' })).toEqual([]);
    expect(tlsRoots({ cert: certPem(issue(rsa('tls leaf'))), key: '' })).toEqual([]);
    expect(tlsRoots({ cert: '', key: '' })).toEqual([]);
  });

  it.each([
    ['another key', pem(good, ca), keyPem(ca.privateKey), 'tls_key_mismatch'],
    ['no key', pem(good, ca), '', 'tls_key_mismatch'],
    ['no certificate', '', keyPem(good.privateKey), 'tls_chain_incomplete'],
    [
      'a damaged certificate',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      keyPem(good.privateKey),
      'holds no certificate',
    ],
    [
      'blocks that end as others',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END RSA PRIVATE KEY-----\n',
      keyPem(good.privateKey),
      'holds no certificate',
    ],
  ])('%s is refused as a setting', (_name, cert, key, word) => {
    expect(check(cert, key)).toThrow(
      expect.objectContaining({ code: 'settings_invalid', message: expect.stringContaining(word) }),
    );
  });
});

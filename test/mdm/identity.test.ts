import { describe, expect, test } from 'vitest';
import { buildSignedData } from '../../cms/signed-data.ts';
import { createIdentityVerifier } from '../../mdm/identity.ts';
import type { DeviceRequest } from '../../mdm/types.ts';
import { authority, ecKey, type Leaf, leaf, rsaKey, signature } from './world.ts';

const ours = authority('Device identity CA');
const device = leaf(ours);
const body = Buffer.from('<plist version="1.0"><dict/></plist>');
const clock = { now: () => new Date('2026-03-01T12:00:00Z') };
const identify = createIdentityVerifier({ authorities: [ours.certificate], clock });

const request = (more: Partial<DeviceRequest>): DeviceRequest => ({
  method: 'PUT',
  contentType: undefined,
  mdmSignature: undefined,
  peerCertificate: undefined,
  body,
  ...more,
});
const signed = (by: Leaf, more: Partial<Parameters<typeof buildSignedData>[0]> = {}) =>
  buildSignedData({
    content: body,
    detached: true,
    signer: { certificateDer: by.der, key: by.key },
    ...more,
  }).toString('base64');
const code = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

describe('Mdm-Signature', () => {
  test('a signature over exactly this body names its certificate, RSA and P-256, with and without attributes', () => {
    for (const by of [device, leaf(ours, { key: rsaKey() })]) {
      for (const more of [{}, { signedAttributes: false }, { signingTime: clock.now() }]) {
        expect(identify(request({ mdmSignature: signed(by, more) }))).toEqual({ sha256: by.sha256, validity: 'valid' });
      }
    }
  });

  test('CHK-05 neither signature nor client certificate: mdm_identity_missing', () => {
    expect(code(() => identify(request({})))).toBe('mdm_identity_missing');
  });

  test('SIG-01 one flipped body byte', () => {
    const flipped = Buffer.from(body);
    flipped[3] = (flipped[3] ?? 0) ^ 1;
    expect(code(() => identify(request({ mdmSignature: signed(device), body: flipped })))).toBe('mdm_identity_invalid');
  });

  test('SIG-02 a valid signature by a certificate of another CA, also one of the same name', () => {
    for (const name of ['Another CA', 'Device identity CA']) {
      const stranger = leaf(authority(name));
      expect(code(() => identify(request({ mdmSignature: signed(stranger) })))).toBe('mdm_identity_untrusted');
    }
  });

  test('SIG-02 the CA itself is no device', () => {
    const by = { key: ours.key, der: ours.certificate.der, sha256: Buffer.alloc(0) };
    expect(code(() => identify(request({ mdmSignature: signed(by) })))).toBe('mdm_identity_untrusted');
  });

  test('SIG-05 no padding, folded lines, URL alphabet, junk, and a megabyte: mdm_identity_invalid', () => {
    const good = signed(device);
    const bad = [
      good.replace(/=+$/, '').slice(0, -1),
      `${good.slice(0, 64)}\r\n ${good.slice(64)}`,
      ` ${good}`,
      good.replaceAll('+', '-').replaceAll('/', '_').replace('M', '-'),
      '',
      '====',
      'AAAA',
      '\0',
      'A'.repeat(1 << 20),
    ];
    for (const mdmSignature of bad)
      expect(code(() => identify(request({ mdmSignature })))).toBe('mdm_identity_invalid');
  });

  test('SIG-06 embedded content: the body itself is taken, anything else refused', () => {
    const embedded = (content: Buffer) => signed(device, { content, detached: false });
    expect(identify(request({ mdmSignature: embedded(body) })).validity).toBe('valid');
    expect(code(() => identify(request({ mdmSignature: embedded(Buffer.from('other')) })))).toBe(
      'mdm_identity_invalid',
    );
  });

  test('SIG-07 dates are a verdict, not an error: the enrolment decides', () => {
    const expired = leaf(ours, { notBefore: new Date('2024-01-01'), notAfter: new Date('2025-01-01') });
    const early = leaf(ours, { notBefore: new Date('2026-06-01'), notAfter: new Date('2027-01-01') });
    expect(identify(request({ mdmSignature: signed(expired) })).validity).toBe('expired');
    expect(identify(request({ mdmSignature: signed(early) })).validity).toBe('not_yet_valid');
  });

  test('SHA-1 signatures of old Macs can be switched off', () => {
    const strict = createIdentityVerifier({ authorities: [ours.certificate], clock, acceptSha1: false });
    const mdmSignature = signed(device, { digest: 'sha1' });
    expect(identify(request({ mdmSignature })).sha256).toEqual(device.sha256);
    expect(code(() => strict(request({ mdmSignature })))).toBe('mdm_identity_invalid');
  });

  test('strangers do not push our certificates out of the cache', () => {
    const small = createIdentityVerifier({ authorities: [ours.certificate], clock, cacheSize: 2 });
    const other = authority('Stranger');
    small(request({ mdmSignature: signed(device) }));
    for (let n = 0; n < 5; n += 1) {
      expect(code(() => small(request({ mdmSignature: signed(leaf(other)) })))).toBe('mdm_identity_untrusted');
    }
    for (const by of [leaf(ours), leaf(ours), leaf(ours), device]) {
      expect(small(request({ mdmSignature: signed(by) })).sha256).toEqual(by.sha256);
    }
  });

  test('a CA that was replaced still vouches while it is listed', () => {
    const next = authority('Device identity CA', ecKey());
    const both = createIdentityVerifier({ authorities: [next.certificate, ours.certificate], clock });
    for (const by of [device, leaf(next)])
      expect(both(request({ mdmSignature: signed(by) })).sha256).toEqual(by.sha256);
  });
});

describe('client certificate', () => {
  test('§1.2 alone it names the device; beside a signature both must be the same', () => {
    expect(identify(request({ peerCertificate: device.der })).sha256).toEqual(device.sha256);
    const mdmSignature = signature(body, device);
    expect(identify(request({ peerCertificate: device.der, mdmSignature })).sha256).toEqual(device.sha256);
    const other = leaf(ours);
    expect(code(() => identify(request({ peerCertificate: other.der, mdmSignature })))).toBe('mdm_identity_invalid');
    expect(code(() => identify(request({ peerCertificate: Buffer.from('x') })))).toBe('mdm_identity_invalid');
    expect(code(() => identify(request({ peerCertificate: leaf(authority('X')).der })))).toBe('mdm_identity_untrusted');
  });
});

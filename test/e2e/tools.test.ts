import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { derToPem } from '../../cms/pem.ts';
import { verifySignedData } from '../../cms/signed-data.ts';
import { asDict, dataAt, dictAt, dictsAt, stringAt } from '../../plist/fields.ts';
import { readPlist } from '../../plist/read.ts';
import type { PlistDict } from '../../plist/types.ts';
import { toolPath } from '../support/tool.ts';
import { openScene, type Scene } from './support.ts';

const run = promisify(execFile);
const openssl = toolPath('openssl');
const scepclient = toolPath('scepclient');
const xmllint = toolPath('xmllint');

describe('the server seen by tools that know nothing of it', () => {
  let scene: Scene;
  let folder: string;
  let payloads: readonly PlistDict[];
  let signed: Buffer;
  beforeAll(async () => {
    scene = await openScene();
    folder = mkdtempSync(path.join(tmpdir(), 'espalier-tools-'));
    const { client } = scene.world;
    writeFileSync(path.join(folder, 'bootstrap.pem'), client.tlsRoots.join(''));
    const { url } = (await client.post('/enroll-links', {})) as { url: string };
    signed = await download(url, client.tlsRoots.join(''));
    payloads = dictsAt(asDict(readPlist(verifySignedData(signed).content)), 'PayloadContent');
  });
  afterAll(() => scene?.close());

  const payload = (type: string, name = '') => {
    const found = payloads.find(
      (one) => one.get('PayloadType') === type && String(one.get('PayloadDisplayName')).includes(name),
    );
    if (found === undefined) throw new Error(`no ${type} payload`);
    return found;
  };
  const roots = () =>
    payloads
      .filter((one) => one.get('PayloadType') === 'com.apple.security.root')
      .map((one) => derToPem(dataAt(one, 'PayloadContent'), 'CERTIFICATE'))
      .join('');

  it.skipIf(openssl === undefined)(
    'openssl s_client verifies the listener with the roots of the downloaded profile alone',
    async () => {
      const file = path.join(folder, 'roots.pem');
      writeFileSync(file, roots());
      const host = new URL(scene.world.client.publicUrl).host;
      const args = [
        's_client',
        '-connect',
        host,
        '-CAfile',
        file,
        '-no-CApath',
        '-no-CAstore',
        '-verify_return_error',
        '-verify_hostname',
        'localhost',
      ];
      const child = run(openssl ?? '', args);
      child.child.stdin?.end();
      const { stdout } = await child;
      expect(stdout).toMatch(/Verify return code: 0 \(ok\)/);
    },
  );

  it.skipIf(openssl === undefined)('openssl cms verifies the enrolment profile with its own signing root', async () => {
    writeFileSync(path.join(folder, 'roots.pem'), roots());
    writeFileSync(path.join(folder, 'enroll.mobileconfig'), signed);
    const out = path.join(folder, 'enroll.plist');
    await run(openssl ?? '', [
      'cms',
      '-verify',
      '-inform',
      'DER',
      '-in',
      path.join(folder, 'enroll.mobileconfig'),
      '-CAfile',
      path.join(folder, 'roots.pem'),
      '-purpose',
      'any',
      '-out',
      out,
    ]);
    expect(readFileSync(out, 'utf8')).toContain('com.apple.mdm');
    if (xmllint !== undefined) await run(xmllint, ['--noout', '--nonet', out]);
  });

  it.skipIf(scepclient === undefined || openssl === undefined)(
    'Debian’s scepclient enrols with the challenge of the profile, and only once',
    async () => {
      const scep = dictAt(payload('com.apple.security.scep'), 'PayloadContent');
      const home = path.join(folder, 'scep');
      mkdirSync(home);
      const args = (name: string) => [
        '-private-key',
        path.join(home, `${name}.key`),
        '-certificate',
        path.join(home, `${name}.pem`),
        '-server-url',
        stringAt(scep, 'URL'),
        '-challenge',
        stringAt(scep, 'Challenge'),
        '-cn',
        'scepclient',
      ];
      const options = { env: { ...process.env, SSL_CERT_FILE: path.join(folder, 'bootstrap.pem') }, cwd: home };
      await run(scepclient ?? '', args('first'), options);
      const { stdout } = await run(openssl ?? '', [
        'x509',
        '-in',
        path.join(home, 'first.pem'),
        '-noout',
        '-subject',
        '-issuer',
        '-ext',
        'extendedKeyUsage,basicConstraints,keyUsage',
      ]);
      expect(stdout).toContain('TLS Web Client Authentication');
      expect(stdout).toContain('CA:FALSE');
      expect(stdout).toMatch(/subject=.*O = Espalier/);
      expect(stdout).not.toContain('CN = scepclient');
      await expect(run(scepclient ?? '', args('second'), options)).rejects.toThrow();
    },
  );

  it('the enrolment profile and the SCEP payload are what the first commit froze', () => {
    const mdm = payload('com.apple.mdm');
    const { publicUrl } = scene.world.client;
    expect([mdm.get('AccessRights'), mdm.get('SignMessage'), mdm.get('CheckOutWhenRemoved')]).toEqual([
      8191,
      true,
      true,
    ]);
    expect([mdm.get('ServerURL'), mdm.get('CheckInURL')]).toEqual([`${publicUrl}/mdm`, `${publicUrl}/checkin`]);
    expect(mdm.get('ServerCapabilities')).toEqual([
      'com.apple.mdm.per-user-connections',
      'com.apple.mdm.bootstraptoken',
    ]);
    const scep = dictAt(payload('com.apple.security.scep'), 'PayloadContent');
    expect([scep.get('URL'), scep.get('Keysize'), scep.get('Key Usage'), scep.get('KeyIsExtractable')]).toEqual([
      `${publicUrl}/scep`,
      2048,
      5,
      false,
    ]);
  });
});

function download(url: string, ca: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    get(url, { ca }, (response) => {
      const parts: Buffer[] = [];
      expect(response.headers['content-type']).toBe('application/x-apple-aspen-config');
      response.on('data', (part) => parts.push(part)).on('end', () => resolve(Buffer.concat(parts)));
    }).on('error', reject);
  });
}

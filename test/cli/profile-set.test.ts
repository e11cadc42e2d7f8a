/** A folder of profiles, a team, and back: over the CLI's own requests against a whole server. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { apply } from '../../cli/apply.ts';
import { type Client, clientFor } from '../../cli/client.ts';
import { exportSet } from '../../cli/export.ts';
import { Failure } from '../../cli/failure.ts';
import { readSet } from '../../cli/profile-folder.ts';
import { diffLines, removalOf, restoreOf, showLines, uploadOf } from '../../cli/profile-requests.ts';
import { encryptEnvelopedData } from '../../cms/enveloped-data.ts';
import { buildSignedData } from '../../cms/signed-data.ts';
import { issue, rsa } from '../cms/fixtures.ts';
import { startTestServer, type TestServer } from '../http/started-server.ts';
import { type Dict, payload, upload } from '../profiles/mobileconfigs.ts';
import { endPglite } from '../support/pglite-pool.ts';

const admin = issue(rsa());
let server: TestServer;
let client: Client;
let folder = '';
let made = 0;
let team = '';

const mobileconfig = (name: string, number: number, more: Dict = {}): Buffer =>
  upload({
    PayloadIdentifier: `com.example.${name}`,
    PayloadDisplayName: name,
    PayloadContent: [payload(number)],
    ...more,
  });
const signed = (content: Buffer): Buffer =>
  buildSignedData({
    content,
    signer: { certificateDer: admin.der, key: admin.privateKey },
    certificates: [],
    signingTime: new Date(),
  });
const write = (file: string, bytes: Buffer | object): void => {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
  writeFileSync(path.join(folder, file), Buffer.isBuffer(bytes) ? bytes : JSON.stringify(bytes));
};

beforeAll(async () => {
  server = await startTestServer('pglite');
  client = clientFor(server.data);
  await client.post('/labels', { name: 'here' });
  await client.post('/labels', { name: 'there' });
});
afterAll(async () => {
  await server.stop();
  await endPglite();
});
beforeEach(async () => {
  made += 1;
  team = `Team ${made}`;
  await client.post('/teams', { name: team });
  folder = mkdtempSync(path.join(tmpdir(), 'espalier-set-'));
  return () => rmSync(folder, { recursive: true, force: true });
});

describe('apply', () => {
  it('plans, applies, and finds nothing to do the second time', async () => {
    write('wifi.mobileconfig', mobileconfig('wifi', 1));
    write('more/dock.mobileconfig', mobileconfig('dock', 2, { PayloadScope: 'User' }));
    write('notes.txt', Buffer.from('no profile'));
    write('espalier.json', { profiles: { 'more/dock.mobileconfig': { labels: ['here'], min_os: '14' } } });
    const plan = await apply(client, folder, { team, dryRun: true });
    expect(plan.said).toContain('would be: 2 created, 0 updated, 0 moved, 0 deleted, 0 unchanged');
    expect(plan.said).toContain('Nothing has been changed');
    expect(await client.get(`/profiles?team=${encodeURIComponent(team)}`)).toMatchObject({ profiles: [] });
    const applied = await apply(client, folder, { team, author: 'Ann' });
    expect(applied.said.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['ACTION', 'IDENTIFIER', 'CHANNEL', 'CHANGES', 'FILE'],
      ['create', 'com.example.dock', 'user', 'more/dock.mobileconfig'],
      ['create', 'com.example.wifi', 'device', 'wifi.mobileconfig'],
      ['2 created, 0 updated, 0 moved, 0 deleted, 0 unchanged'],
    ]);
    const again = await apply(client, folder, { team });
    expect([again.said, again.warnings]).toEqual(['0 created, 0 updated, 0 moved, 0 deleted, 2 unchanged', []]);
  });

  it('prints every finding with its file and line, and ends in a failure', async () => {
    const text = mobileconfig('wifi', 1, { PayloadVersion: 2 }).toString('utf8').replaceAll('<key>', '\n<key>');
    write('wifi.mobileconfig', Buffer.from(text));
    write('dock.mobileconfig', mobileconfig('dock', 2));
    write('espalier.json', { profiles: { 'dock.mobileconfig': { labels: ['nowhere'] } } });
    const line = text.split('\n').findIndex((one) => one.includes('PayloadVersion')) + 1;
    const error = await apply(client, folder, { team }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(Failure);
    const lines = (error as Failure).message.split('\n');
    expect(lines[0]).toBe('dock.mobileconfig: error: there is no label named "nowhere" (label_not_found)');
    expect(lines[1]).toContain(
      `wifi.mobileconfig:${line}:1: error: PayloadVersion must be 1, found 2 at PayloadVersion`,
    );
    expect(await client.get(`/profiles?team=${encodeURIComponent(team)}`)).toMatchObject({ profiles: [] });
  });

  it('an empty folder and too many removals are refused', async () => {
    write('wifi.mobileconfig', mobileconfig('wifi', 1));
    await apply(client, folder, { team });
    rmSync(path.join(folder, 'wifi.mobileconfig'));
    await expect(apply(client, folder, { team })).rejects.toThrow('--allow-empty');
    await expect(apply(client, folder, { team, allowEmpty: true, maxRemovals: 0 })).rejects.toThrow('1 of 1 profiles');
    expect((await apply(client, folder, { team, allowEmpty: true })).said).toContain('1 deleted');
  });

  it.each<[string, unknown, string]>([
    ['no JSON', 'x{', 'is not JSON'],
    ['an unknown key', { profiles: { 'wifi.mobileconfig': { label: 'here' } } }, 'profiles.wifi.mobileconfig'],
    ['a file that is not there', { profiles: { 'gone.mobileconfig': {} } }, 'gone.mobileconfig'],
    ['a file that is no profile', { profiles: { 'espalier.json': {} } }, 'is no .mobileconfig'],
  ])('an espalier.json with %s is refused before anything is sent', (_name, settings, said) => {
    write('wifi.mobileconfig', mobileconfig('wifi', 1));
    write('espalier.json', typeof settings === 'string' ? Buffer.from(settings) : (settings as object));
    expect(() => readSet(folder)).toThrow(said);
  });

  it('a JSON file elsewhere names its files itself', () => {
    write('wifi.mobileconfig', mobileconfig('wifi', 1));
    write('dock.mobileconfig', mobileconfig('dock', 2));
    write('half.json', { profiles: { 'dock.mobileconfig': { labels: ['here'] } } });
    expect(readSet(path.join(folder, 'half.json'))).toMatchObject([{ file: 'dock.mobileconfig', labels: ['here'] }]);
    expect(() => readSet(path.join(folder, 'nothing'))).toThrow('does not exist');
  });
});

describe('export', () => {
  it('of any team can be applied to it and changes nothing; to another it makes the same', async () => {
    const query = (more: string) => `/profiles?team=${encodeURIComponent(team)}&${more}`;
    const type = 'application/x-apple-aspen-config';
    await client.upload(query('name=Office&label=here&label=there&include=all'), mobileconfig('wifi', 1), type);
    await client.upload(query('exclude_label=there&min_os=14&max_os=15.1'), signed(mobileconfig('dock', 2)), type);
    await client.upload(query('delivery=resign'), signed(mobileconfig('re', 3)), type);
    await client.upload(query('label=here'), mobileconfig('../../etc/x', 4), type);
    await client.upload(query(''), mobileconfig('USER', 5, { PayloadScope: 'User' }), type);
    await client.upload(query(''), mobileconfig('user', 6), type);
    const exported = path.join(folder, 'out');
    expect(await exportSet(client, exported, team)).toBe(6);
    expect(readdirSync(exported).toSorted()).toEqual([
      'com.example..._.._etc_x.mobileconfig',
      'com.example.USER.mobileconfig',
      'com.example.dock.mobileconfig',
      'com.example.re.mobileconfig',
      'com.example.user-device.mobileconfig',
      'com.example.wifi.mobileconfig',
      'espalier.json',
    ]);
    expect(readFileSync(path.join(exported, 'com.example.wifi.mobileconfig'))).toEqual(mobileconfig('wifi', 1));
    expect((await apply(client, exported, { team })).said).toBe(
      '0 created, 0 updated, 0 moved, 0 deleted, 6 unchanged',
    );
    const other = `${team} again`;
    await client.post('/teams', { name: other });
    await apply(client, exported, { team: other });
    const copy = path.join(folder, 'copy');
    await exportSet(client, copy, other);
    for (const file of readdirSync(exported))
      expect([file, readFileSync(path.join(copy, file), 'utf8')]).toEqual([
        file,
        readFileSync(path.join(exported, file), 'utf8'),
      ]);
  });

  it('writes into no folder that holds something', async () => {
    write('mine.txt', Buffer.from('x'));
    await expect(exportSet(client, folder, team)).rejects.toThrow('is not empty');
    expect(readdirSync(folder)).toEqual(['mine.txt']);
  });
});

describe('one profile', () => {
  it('upload, show, diff, restore, delete, come back', async () => {
    const ref = { text: 'com.example.wifi', team };
    const first = await uploadOf(client, 'wifi.mobileconfig', mobileconfig('wifi', 1), { team, author: 'Ann' });
    expect(first.lines[0]).toMatch(/^created: com\.example\.wifi is new in this team/);
    const next = mobileconfig('wifi', 1, { PayloadDescription: 'b' });
    const dry = await uploadOf(client, 'wifi.mobileconfig', next, { team, dryRun: true });
    expect(dry.lines.join('\n')).toContain('Nothing has been changed');
    await uploadOf(client, 'wifi.mobileconfig', next, { team, author: 'Bob', label: ['here'] });
    expect((await diffLines(client, ref, undefined, undefined)).lines).toEqual(['+ PayloadDescription: "b"']);
    const shown = (await showLines(client, ref)).lines.join('\n');
    expect(shown).toContain('for any of here');
    expect(shown).toMatch(/Bob +updated/);
    const { raw } = await showLines(client, ref);
    const oldest = (raw as { versions: { id: number }[] }).versions.at(-1)?.id;
    expect((await restoreOf(client, ref, String(oldest), {})).lines[0]).toMatch(/: updated$/);
    expect((await removalOf(client, ref, { dryRun: true })).lines.join('\n')).toContain('It would be deleted.');
    expect((await removalOf(client, ref, {})).lines[0]).toMatch(/: deleted$/);
    await expect(showLines(client, ref)).rejects.toThrow('has no profile com.example.wifi');
    expect((await restoreOf(client, ref, undefined, {})).lines[0]).toMatch(/: restored$/);
  });

  it.each<[string, string, string]>([
    [
      'malformed',
      '<plist>\n<dict>\n  <key>A</key>\n  <integer>x</integer>\n</dict></plist>',
      'x.mobileconfig:4:3: error: ',
    ],
    ['empty', '', 'x.mobileconfig:1:1: error: '],
    ['text before <plist>', '\n  hello <plist><dict/></plist>', 'x.mobileconfig:2:3: error: '],
  ])('a file that is %s is told with file, line and column', async (_, text, start) => {
    const error = await uploadOf(client, 'x.mobileconfig', Buffer.from(text), { team }).catch(
      (cause: unknown) => cause,
    );
    expect(error).toBeInstanceOf(Failure);
    expect((error as Failure).message).toMatch(new RegExp(`^${start}.*\\(profile_malformed\\)\n`));
  });

  it('an encrypted file is called encrypted, alone and in a set', async () => {
    const bytes = encryptEnvelopedData({
      content: mobileconfig('wifi', 1),
      recipientCertificateDer: admin.der,
      cipher: 'aes128-cbc',
      random: randomBytes,
    });
    const said = /^wifi\.mobileconfig: error: the whole file is encrypted .*\(encrypted_content\)/;
    await expect(uploadOf(client, 'wifi.mobileconfig', bytes, { team })).rejects.toThrow(said);
    write('wifi.mobileconfig', bytes);
    await expect(apply(client, folder, { team })).rejects.toThrow(said);
  });

  it('a refused file is a line per finding', async () => {
    const bad = mobileconfig('wifi', 1, { PayloadUUID: 5, PayloadScope: 'x' });
    const error = await uploadOf(client, 'bad.mobileconfig', bad, { team }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(Failure);
    const lines = (error as Failure).message.split('\n');
    expect(lines.filter((line) => /^bad\.mobileconfig:3:\d+: error: /.test(line))).toHaveLength(2);
  });
});

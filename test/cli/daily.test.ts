/** What an admin types every day: labels, hosts, teams and profiles by the CLI's own requests against a whole server. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientFor } from '../../cli/client.ts';
import { listOf } from '../../cli/get.ts';
import { moveHost } from '../../cli/hosts.ts';
import { changeMembers, showLabel } from '../../cli/label-requests.ts';
import { planTable } from '../../cli/plan-table.ts';
import { profileId } from '../../cli/profile-ref.ts';
import {
  diffLines,
  downloadOf,
  editOf,
  removalOf,
  restoreOf,
  showLines,
  uploadOf,
} from '../../cli/profile-requests.ts';
import { readNamedFile } from '../../cli/read-file.ts';
import { table } from '../../cli/table.ts';
import { freePort, startTestServer, type TestServer } from '../http/started-server.ts';
import { type Dict, payload, upload } from '../profiles/mobileconfigs.ts';
import { endPglite } from '../support/pglite-pool.ts';

const HOST = '00000000-0000-7000-8000-00000000c0de';
let server: TestServer;
let client: Client;
let made = 0;

const mobileconfig = (name: string, more: Dict = {}): Buffer => {
  made += 1;
  return upload({
    PayloadIdentifier: `com.example.${name}`,
    PayloadDisplayName: name,
    PayloadContent: [payload(made)],
    ...more,
  });
};
const inTeam = (name: string) => ({ text: `com.example.${name}`, team: 'Default' });

beforeAll(async () => {
  server = await startTestServer('pglite', async (db) => {
    await sql`
      insert into host (id, serial_number, name, model, os_version, build_version, team_id, created_at, updated_at)
      values (${HOST}, 'C02NAMELESS', '', '', '15.1', '', 1, now(), now())
    `.execute(db.read);
  });
  client = clientFor(server.data);
  await client.post('/teams', { name: 'Other' });
  for (const name of ['Engineering', 'Kiosk']) await client.post('/labels', { name });
});
afterAll(async () => {
  await server.stop();
  await endPglite();
});

describe('hosts and labels', () => {
  it('a host without a name goes by its serial number', async () => {
    const { hosts } = (await client.get('/hosts')) as { hosts: { name: string; display_name: string }[] };
    expect(hosts).toMatchObject([{ name: '', display_name: 'C02NAMELESS' }]);
    expect(await moveHost(client, HOST, 'Other')).toBe('C02NAMELESS is in team Other.');
    expect(await moveHost(client, 'C02NAMELESS', 'Default')).toBe('C02NAMELESS is in team Default.');
  });

  it('get lists hosts by team, label, text and profile, and refuses a filter that a list does not have', async () => {
    const rows = async (filter: object, what = 'hosts') => (await listOf(client, what, filter)).rows.length;
    expect((await listOf(client, 'hosts', { team: 'Default' })).rows[0]?.[0]).toBe('C02NAMELESS');
    expect([await rows({ team: 'Other' }), await rows({ label: 'Kiosk' }), await rows({ query: 'C02' })]).toEqual([
      0, 0, 1,
    ]);
    await uploadOf(client, 'x', mobileconfig('listed'), { team: 'Default' });
    expect(await rows({ profile: 'com.example.listed' })).toBe(0);
    expect([await rows({ team: 'Default' }, 'profiles'), await rows({ team: 'Other' }, 'profiles')]).toEqual([1, 0]);
    await expect(rows({ profile: 'com.example.listed', label: 'Kiosk' })).rejects.toThrow('--profile goes with');
    await expect(rows({ label: 'Kiosk' }, 'profiles')).rejects.toThrow('--label is for hosts');
    await expect(rows({ team: 'Default' }, 'labels')).rejects.toThrow('--team is for hosts, profiles and drift');
  });

  it('members are added, removed and set; two wishes at once are refused', async () => {
    expect(await changeMembers(client, 'Kiosk', { add: ['C02NAMELESS'] })).toBe('Kiosk: 1 added, 0 removed.');
    expect((await showLabel(client, 'Kiosk')).lines[0]).toBe('Kiosk (manual): 1 of 1 hosts, 0 unknown, 0 leaving');
    expect(await changeMembers(client, 'Kiosk', { remove: [HOST] })).toBe('Kiosk: 0 added, 1 removed.');
    expect(await changeMembers(client, 'Kiosk', { set: [HOST] })).toBe('Kiosk: 1 added, 0 removed.');
    await expect(changeMembers(client, 'Kiosk', { set: [], add: [HOST] })).rejects.toThrow('say one of');
    await expect(changeMembers(client, 'Kiosk', {})).rejects.toThrow('say one of');
  });

  it('a label that does not exist: names that may be meant, and how to make it', async () => {
    await expect(showLabel(client, 'enginering')).rejects.toThrow('did you mean "Engineering"?');
    const wish = { team: 'Default', label: ['Enginering'] };
    await expect(uploadOf(client, 'x', mobileconfig('near'), wish)).rejects.toThrow(
      /did you mean "Engineering"\?.*\n.*espalier label create/,
    );
    await expect(client.get('/hosts?label=Kiosks')).rejects.toThrow('did you mean "Kiosk"?');
    await expect(showLabel(client, 'far away')).rejects.not.toThrow('did you mean');
  });

  it('an empty name is told in plain words', async () => {
    await expect(client.patch('/profiles/1', { name: '' })).rejects.toThrow('name: is empty');
    await expect(client.patch('/profiles/1', { nam: 'x' })).rejects.toThrow('there is no "nam" here');
  });
});

describe('profiles', () => {
  it('edit changes targets and name, says what it would, and finds nothing to say', async () => {
    await uploadOf(client, 'x', mobileconfig('edited'), { team: 'Default' });
    const wish = { label: ['Kiosk'], excludeLabel: ['Engineering'], minOs: '14', name: 'Renamed' };
    expect((await editOf(client, inTeam('edited'), { ...wish, dryRun: true })).lines.join('\n')).toContain(
      'Nothing has been changed',
    );
    await editOf(client, inTeam('edited'), wish);
    const { raw, lines } = await showLines(client, inTeam('edited'));
    expect(lines[1]).toBe('Renamed: for any of Kiosk, not Engineering');
    expect(raw).toMatchObject({ min_os: '14' });
    await editOf(client, inTeam('edited'), { include: 'none', minOs: 'none' });
    expect((await showLines(client, inTeam('edited'))).raw).toMatchObject({ include: 'none', min_os: null });
    await expect(editOf(client, inTeam('edited'), {})).rejects.toThrow('say what is to be changed');
  });

  it('a deleted profile whose label is gone names the label, and comes back with other targets', async () => {
    await client.post('/labels', { name: 'Summer' });
    await uploadOf(client, 'x', mobileconfig('summer'), { team: 'Default', label: ['Summer'] });
    await removalOf(client, inTeam('summer'), {});
    const warned = { deleted_profiles: [{ identifier: 'com.example.summer', role: 'include' }] };
    expect(await client.delete('/labels/Summer?dry_run=true')).toMatchObject(warned);
    expect(await client.delete('/labels/Summer')).toMatchObject(warned);
    await expect(restoreOf(client, inTeam('summer'), undefined, {})).rejects.toThrow(
      /the label "Summer".*\n.*--include none.*--label/,
    );
    const back = await restoreOf(client, inTeam('summer'), undefined, { label: ['Kiosk'] });
    expect(back.lines[0]).toMatch(/: restored$/);
    expect((await showLines(client, inTeam('summer'))).lines[1]).toContain('any of Kiosk');
  });

  it('after a scope move the older versions are shown, and what is said of them can be done', async () => {
    const before = mobileconfig('moved');
    await uploadOf(client, 'x', before, { team: 'Default' });
    const old = (await showLines(client, inTeam('moved'))).raw as { id: number; version: { id: number } };
    await uploadOf(client, 'x', mobileconfig('moved', { PayloadScope: 'User' }), { team: 'Default' });
    const shown = (await showLines(client, inTeam('moved'))).lines.join('\n');
    expect(shown).toContain(`Before, it was profile ${old.id} on the device channel, with these versions:`);
    expect(shown).toContain(`espalier profile download ${old.id} VERSION FILE`);
    await expect(restoreOf(client, inTeam('moved'), String(old.version.id), {})).rejects.toThrow(
      `espalier profile download ${old.id} ${old.version.id} FILE`,
    );
    const bytes = await downloadOf(client, { text: String(old.id), team: 'Default' }, String(old.version.id));
    expect(bytes).toEqual(before);
    expect((await uploadOf(client, 'x', bytes, { team: 'Default' })).lines[0]).toMatch(/^moved: /);
  });

  it('a profile is found by its identifier; what is no version id is told what one is', async () => {
    await uploadOf(client, 'x', mobileconfig('named'), { team: 'Default' });
    expect(await profileId(client, inTeam('named'), false)).toBeGreaterThan(0);
    await expect(diffLines(client, inTeam('named'), 'v1', 'v2')).rejects.toThrow(
      'first column of `espalier profile show`',
    );
  });
});

describe('words', () => {
  it('no parameter of the API is in what the command line says', async () => {
    await uploadOf(client, 'x', mobileconfig('aimed'), { team: 'Default', label: ['Engineering'] });
    await expect(client.delete('/labels/Engineering')).rejects.toThrow(/--detach takes it out.*--dry-run/);
    await expect(client.get('/profiles?team=Nobody')).rejects.toThrow('espalier team create');
  });

  it('a file that is not there is named', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'espalier-cli-'));
    expect(() => readNamedFile(path.join(folder, 'x.mobileconfig'))).toThrow(
      `cannot read ${folder}/x.mobileconfig: there is no such file`,
    );
    expect(() => readNamedFile(folder)).toThrow(`cannot read ${folder}: it is a folder`);
    rmSync(folder, { recursive: true });
  });

  it('a server that is not there: where, and how to start it', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'espalier-cli-'));
    const adminUrl = `http://127.0.0.1:${await freePort()}`;
    const endpoint = { adminUrl, publicUrl: adminUrl, tlsRoots: [] };
    writeFileSync(path.join(folder, 'endpoint.json'), JSON.stringify(endpoint));
    writeFileSync(path.join(folder, 'admin.token'), 'x');
    const said = await clientFor(folder)
      .get('/hosts')
      .catch((cause: unknown) => (cause as Error).message);
    rmSync(folder, { recursive: true });
    expect(said).toBe(`the server of ${folder} does not answer at ${adminUrl}; start it with \`espalier up\``);
  });

  it('a long name is cut, and the columns after it stay aligned', () => {
    const [, long, short] = table(
      ['a', 'b'],
      [
        ['x'.repeat(255), 'y'],
        ['z', 'y'],
      ],
    ).split('\n');
    expect(long).toBe(`${'x'.repeat(59)}…  y`);
    expect(short?.length).toBe(long?.length);
  });

  it('the last column is never cut: it is the reason', () => {
    const sentence = 'why '.repeat(40).trim();
    expect(table(['a', 'why'], [['x', sentence]])).toContain(sentence);
  });

  it('hold has a legend where a plan holds, and none where it does not', () => {
    const line = (action: string) => ({ host_id: 'h', host_name: 'h', channel: 'device', identifier: 'i', action });
    const plan = (action: string) =>
      planTable({
        as_of: '',
        hosts: 1,
        changed: 0,
        counts: { install: 0, replace: 0, remove: 0, hold: 0 },
        lines: [line(action)],
        truncated: false,
      });
    expect(plan('hold')).toContain('hold: stays as it is');
    expect(plan('install')).not.toContain('hold');
  });
});

import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildSignedData } from '../../cms/signed-data.ts';
import type { Database } from '../../db/database.ts';
import type { UploadOptions } from '../../profiles/profiles.ts';
import { issue, rsa } from '../cms/fixtures.ts';
import { eachDatabase } from '../support/databases.ts';
import { enrolledHost, NOW } from '../support/rows.ts';
import { binaryPlist } from './binary-plist.ts';
import { newLabel, profilesOn } from './house.ts';
import { type Dict, keyRing, payload, profile, upload, uuidOf } from './mobileconfigs.ts';

const keys = await keyRing();
const admin = issue(rsa());

function signed(content: Buffer): Buffer {
  const signer = { certificateDer: admin.der, key: admin.privateKey };
  return buildSignedData({ content, signer, certificates: [], signingTime: NOW });
}

eachDatabase((_kind, open) => {
  let db: Database;
  let wakes = 0;
  let made = 0;
  let identifier = '';
  const wakeAfter = () => {
    wakes += 1;
  };
  const everyone: UploadOptions = { teamId: 1, includeMode: 'none', includeLabels: [], excludeLabels: [] };
  const profiles = () => profilesOn(db, keys, wakeAfter);
  const content = (ssid: string) =>
    upload({
      PayloadIdentifier: identifier,
      PayloadDisplayName: identifier,
      PayloadContent: [payload(made, { SSID_STR: ssid })],
    });

  /** What an upload may change, in one value: epoch, wakes, queue, rows. */
  async function state() {
    const { rows } = await sql<{ epoch: number; profiles: number; versions: number; slots: number; queued: number }>`
      select (select epoch from catalogue) as epoch, (select count(*)::int from profile) as profiles,
        (select count(*)::int from profile_version) as versions, (select count(*)::int from slot) as slots,
        (select count(*)::int from recon_wave) as queued`.execute(db.read);
    return { ...rows[0], wakes };
  }

  beforeAll(async () => {
    db = await open();
    for (const team of [1, 1]) {
      const { enrollment } = await enrolledHost(db);
      await sql`insert into recon (enrollment_id, team_id) values (${enrollment}, ${team})`.execute(db.read);
    }
  });
  afterAll(() => db.close());
  beforeEach(async () => {
    made += 1;
    identifier = `com.example.number${made}`;
    await sql`delete from recon_wave`.execute(db.read);
  });

  describe('upload', () => {
    it('creates, leaves unchanged, updates: epoch, queue and wake move exactly when something changed', async () => {
      const start = await state();
      const first = await profiles().upload(content('A'), everyone);
      expect(first).toMatchObject({ outcome: 'created', identifier, warnings: [] });
      const created = await state();
      expect(created).toMatchObject({ epoch: (start.epoch ?? 0) + 1, queued: 1, wakes: start.wakes + 1 });

      expect(await profiles().upload(content('A'), everyone)).toMatchObject({ ...first, outcome: 'unchanged' });
      expect(await state()).toEqual(created);

      const second = await profiles().upload(content('B'), everyone);
      expect(second).toMatchObject({ outcome: 'updated', profileId: first.profileId });
      expect(second.versionId).not.toBe(first.versionId);
      expect(await state()).toMatchObject({ epoch: (start.epoch ?? 0) + 2, queued: 1, wakes: start.wakes + 2 });
    });

    it('versions are content-addressed: an older content again is its old version', async () => {
      const first = await profiles().upload(content('A'), everyone);
      await profiles().upload(content('B'), everyone);
      const again = await profiles().upload(content('A'), everyone);
      expect(again).toMatchObject({ outcome: 'updated', versionId: first.versionId });
      const { version, versions } = await profiles().get(first.profileId);
      expect([version.id, versions.length]).toEqual([first.versionId, 2]);
      expect(await profiles().original(first.profileId, first.versionId)).toEqual(content('A'));
      await expect(profiles().original(first.profileId + 1000, first.versionId)).rejects.toMatchObject({
        code: 'profile_not_found',
      });
    });

    it('delivers what was stored, and one content has one witness in every team', async () => {
      const { rows } = await sql<{ id: number }>`insert into team (name) values (${identifier}) returning id`.execute(
        db.read,
      );
      const teamId = rows[0]?.id ?? 0;
      const [here, there] = [
        await profiles().upload(content('A'), everyone),
        await profiles().upload(content('A'), { ...everyone, teamId }),
      ];
      expect(there).toMatchObject({ outcome: 'created' });
      expect(there.profileId).not.toBe(here.profileId);
      const witnesses = await Promise.all(
        [here, there].map(async ({ profileId }) => (await profiles().get(profileId)).version.witnessUuid),
      );
      expect(witnesses[0]).toBe(witnesses[1]);
      const bytes = await db.run((tx) => profiles().delivered(tx, here.versionId));
      expect(bytes.includes(witnesses[0] ?? '?')).toBe(true);
      expect((await profiles().list(teamId)).map((one) => one.id)).toEqual([there.profileId]);
    });

    it('only the team that has the profile is queued', async () => {
      const { rows } = await sql<{ id: number }>`insert into team (name) values (${identifier}) returning id`.execute(
        db.read,
      );
      const start = await state();
      await profiles().upload(content('A'), { ...everyone, teamId: rows[0]?.id ?? 0 });
      expect(await state()).toMatchObject({ queued: 1, epoch: (start.epoch ?? 0) + 1 });
      const waves = await sql`select team_id from recon_wave`.execute(db.read);
      expect(waves.rows).toEqual([{ team_id: rows[0]?.id }]);
    });

    it('uploads of one identifier at once: one creates, the others update or change nothing, and one profile is live', async () => {
      const outcomes = await Promise.all(
        ['A', 'A', 'B', 'B'].map((ssid) => profiles().upload(content(ssid), everyone)),
      );
      expect(outcomes.filter(({ outcome }) => outcome === 'created')).toHaveLength(1);
      expect(new Set(outcomes.map(({ profileId }) => profileId)).size).toBe(1);
      expect(new Set(outcomes.map(({ versionId }) => versionId)).size).toBe(2);
      expect((await profiles().list(1)).filter((one) => one.identifier === identifier)).toHaveLength(1);
    });

    it('a changed PayloadScope moves the profile: one channel loses it, the other gets it, aimed as it was', async () => {
      const label = `${identifier}-moves`;
      await newLabel(db, label);
      const device = await profiles().upload(content('A'), { ...everyone, includeMode: 'any', includeLabels: [label] });
      const before = await state();
      const user = await profiles().upload(
        upload({
          PayloadIdentifier: identifier,
          PayloadDisplayName: identifier,
          PayloadScope: 'User',
          PayloadContent: [payload(made)],
        }),
        {
          ...everyone,
          keepTargets: true,
        },
      );
      expect(user).toMatchObject({
        outcome: 'moved',
        channel: 'user',
        warnings: [],
        movedFrom: { profileId: device.profileId, channel: 'device' },
      });
      expect(await state()).toMatchObject({ epoch: (before.epoch ?? 0) + 1, wakes: before.wakes + 1 });
      const now = await profiles().get(user.profileId);
      expect(now).toMatchObject({ channel: 'user', includeMode: 'any', movedFrom: { channel: 'device' } });
      expect(now.includeLabels.map(({ name }) => name)).toEqual([label]);
      await expect(profiles().get(device.profileId)).rejects.toMatchObject({ code: 'profile_not_found' });
      const { rows } = await sql<{ channel: string }>`
        select s.channel from profile p join slot s on s.id = p.moved_from_slot_id where p.id = ${user.profileId}
      `.execute(db.read);
      expect(rows).toEqual([{ channel: 'device' }]);

      const back = await profiles().upload(content('A'), { ...everyone, keepTargets: true });
      expect(back).toMatchObject({ outcome: 'moved', channel: 'device', movedFrom: { channel: 'user' } });
      const live = (await profiles().list(1)).filter((one) => one.identifier === identifier);
      expect(live.map(({ id, channel }) => [id, channel])).toEqual([[back.profileId, 'device']]);
    });

    it('a name that was chosen stays until another is chosen', async () => {
      const { profileId } = await profiles().upload(content('A'), { ...everyone, name: 'Office Wi-Fi' });
      await profiles().upload(content('B'), everyone);
      expect((await profiles().get(profileId)).name).toBe('Office Wi-Fi');
      expect(await profiles().upload(content('B'), { ...everyone, name: 'Wi-Fi' })).toMatchObject({
        outcome: 'updated',
      });
    });
  });

  describe('what is refused changes nothing', () => {
    const refused: readonly (readonly [string, () => Buffer, Partial<UploadOptions>, string])[] = [
      ['an unknown label', () => content('A'), { includeMode: 'any', includeLabels: ['nobody'] }, 'label_not_found'],
      ['an unknown label to exclude', () => content('A'), { excludeLabels: ['nobody'] }, 'label_not_found'],
      ['a mode without labels', () => content('A'), { includeMode: 'all' }, 'request_malformed'],
      ['labels without a mode', () => content('A'), { includeLabels: ['a'] }, 'request_malformed'],
      [
        'a label named twice',
        () => content('A'),
        { includeMode: 'any', includeLabels: ['a', 'a'] },
        'request_malformed',
      ],
      [
        'too many labels',
        () => content('A'),
        { excludeLabels: Array.from({ length: 101 }, (_, i) => `l${i}`) },
        'request_malformed',
      ],
      ['a version of nothing', () => content('A'), { minOs: 'fourteen' }, 'request_malformed'],
      ['versions that exclude each other', () => content('A'), { minOs: '14', maxOs: '13.6' }, 'request_malformed'],
      [
        'versions that exclude each other late',
        () => content('A'),
        { minOs: '14.2.1', maxOs: '14.2.0' },
        'request_malformed',
      ],
      [
        'a label included and excluded',
        () => content('A'),
        { includeMode: 'any', includeLabels: ['a', 'b'], excludeLabels: ['b'] },
        'request_malformed',
      ],
      [
        'text that XML cannot carry',
        () => binaryPlist(profile({ PayloadIdentifier: identifier, ConsentText: 'a\u0001b' })),
        {},
        'profile_malformed',
      ],
      ['a version with a sign', () => content('A'), { maxOs: '-1' }, 'request_malformed'],
      ['an unreadable upload', () => Buffer.from('hello'), {}, 'profile_malformed'],
      ['an invalid upload', () => upload({ PayloadIdentifier: identifier, PayloadVersion: 2 }), {}, 'profile_invalid'],
    ];

    it.each(refused)('%s', async (_name, bytes, options, code) => {
      const before = await state();
      await expect(profiles().upload(bytes(), { ...everyone, ...options })).rejects.toMatchObject({ code });
      expect(await state()).toEqual(before);
    });

    it('a team that does not exist', async () => {
      const before = await state();
      await expect(profiles().upload(content('A'), { ...everyone, teamId: 987_654 })).rejects.toThrow();
      expect(await state()).toEqual(before);
    });

    it('an unknown label leaves a live profile as it was', async () => {
      const { profileId } = await profiles().upload(content('A'), everyone);
      const [before, rows] = [await profiles().get(profileId), await state()];
      await expect(profiles().upload(content('B'), { ...everyone, excludeLabels: ['nobody'] })).rejects.toMatchObject({
        code: 'label_not_found',
      });
      expect([await profiles().get(profileId), await state()]).toEqual([before, rows]);
    });
  });

  describe('targets', () => {
    it('an edit that names no targets keeps them, and aims a new profile at everyone', async () => {
      const label = `${identifier}-keeps`;
      await newLabel(db, label);
      const aimed = { ...everyone, includeMode: 'any' as const, includeLabels: [label] };
      const first = await profiles().upload(content('K1'), aimed);
      const edited = await profiles().upload(content('K2'), { ...everyone, keepTargets: true });
      expect([edited.profileId, edited.outcome]).toEqual([first.profileId, 'updated']);
      const targets = async () => {
        const { includeMode, includeLabels } = await profiles().get(first.profileId);
        return [includeMode, includeLabels.map((one) => one.name)];
      };
      expect(await targets()).toEqual(['any', [label]]);
      await profiles().upload(content('K2'), everyone);
      expect(await targets()).toEqual(['none', []]);
    });

    it('a change of labels or versions of macOS is a change without a new version; their order is none', async () => {
      for (const name of ['b', 'a']) await newLabel(db, `${identifier}-${name}`);
      const [a, b] = [`${identifier}-a`, `${identifier}-b`];
      const first = await profiles().upload(content('A'), { ...everyone, includeMode: 'any', includeLabels: [a, b] });
      const rows = await state();
      expect(
        await profiles().upload(content('A'), { ...everyone, includeMode: 'any', includeLabels: [b, a] }),
      ).toMatchObject({ outcome: 'unchanged' });
      expect(await state()).toEqual(rows);
      for (const options of [
        { includeMode: 'all' as const, includeLabels: [a, b] },
        { includeMode: 'all' as const, includeLabels: [a] },
        { includeMode: 'all' as const, includeLabels: [a], excludeLabels: [b] },
        { minOs: '14' },
        { minOs: '14', maxOs: '15.1' },
        { minOs: '14.2', maxOs: '14' },
        {},
      ]) {
        await sql`delete from recon_wave`.execute(db.read);
        const before = await state();
        expect(await profiles().upload(content('A'), { ...everyone, ...options })).toMatchObject({
          outcome: 'updated',
          versionId: first.versionId,
        });
        expect(await state()).toMatchObject({
          epoch: (before.epoch ?? 0) + 1,
          versions: before.versions,
          queued: 1,
        });
      }
      const { includeMode, includeLabels, excludeLabels, minOs } = await profiles().get(first.profileId);
      expect({ includeMode, includeLabels, excludeLabels, minOs }).toEqual({
        includeMode: 'none',
        includeLabels: [],
        excludeLabels: [],
        minOs: undefined,
      });
    });

    it('names come back with the labels', async () => {
      const name = `${identifier} "quoted' label`;
      await newLabel(db, name);
      const { profileId } = await profiles().upload(content('A'), { ...everyone, excludeLabels: [name] });
      expect((await profiles().get(profileId)).excludeLabels).toMatchObject([{ name }]);
    });
  });

  describe('delete', () => {
    it('takes the profile away and keeps its versions, since Macs still report them', async () => {
      const { profileId, versionId } = await profiles().upload(content('A'), everyone);
      await sql`delete from recon_wave`.execute(db.read);
      const before = await state();
      await profiles().delete(profileId);
      expect(await state()).toMatchObject({
        epoch: (before.epoch ?? 0) + 1,
        versions: before.versions,
        queued: 1,
        wakes: before.wakes + 1,
      });
      await expect(profiles().get(profileId)).rejects.toMatchObject({ code: 'profile_not_found' });
      expect((await profiles().list(undefined)).some(({ id }) => id === profileId)).toBe(false);
      expect((await db.run((tx) => profiles().delivered(tx, versionId))).length).toBeGreaterThan(0);
      expect(await profiles().upload(content('A'), everyone)).toMatchObject({ outcome: 'created' });
    });

    it('a second time, or of nothing, is refused and changes nothing', async () => {
      const { profileId } = await profiles().upload(content('A'), everyone);
      await profiles().delete(profileId);
      const before = await state();
      for (const id of [profileId, 987_654])
        await expect(profiles().delete(id)).rejects.toMatchObject({ code: 'profile_not_found' });
      expect(await state()).toEqual(before);
    });
  });

  describe('signed uploads', () => {
    it('travel octet for octet under their own UUID; two contents under one UUID are warned of', async () => {
      const bytes = signed(content('A'));
      const { profileId, versionId, warnings } = await profiles().upload(bytes, everyone);
      expect(warnings).toEqual([]);
      expect(await db.run((tx) => profiles().delivered(tx, versionId))).toEqual(bytes);
      expect((await profiles().get(profileId)).version).toMatchObject({ delivery: 'verbatim', witnessUuid: uuidOf(0) });
      const other = await profiles().upload(signed(content('B')), everyone);
      expect(other).toMatchObject({
        outcome: 'updated',
        warnings: [{ code: 'witness_shared', severity: 'warning', path: 'PayloadUUID' }],
      });
    });

    it('control characters in their name or UUID do not reach the database', async () => {
      const named = (more: Dict) => signed(binaryPlist(profile({ PayloadIdentifier: identifier, ...more })));
      const { profileId } = await profiles().upload(named({ PayloadDisplayName: 'a\u0001\nb' }), everyone);
      expect((await profiles().get(profileId)).name).toBe('a b');
      for (const [more, code] of [
        [{ PayloadUUID: 'a\u0001b' }, 'profile_invalid'],
        [{ PayloadUUID: 'a\0b' }, 'profile_malformed'],
        [{ PayloadDisplayName: 'a\0b' }, 'profile_malformed'],
      ] as const)
        await expect(profiles().upload(named(more), everyone)).rejects.toMatchObject({ code });
    });
  });
});

import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildSignedData } from '../../cms/signed-data.ts';
import type { Database } from '../../db/database.ts';
import { labelStore } from '../../db/label-store.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { createLabels } from '../../hosts/labels.ts';
import { decideSet, repeated } from '../../profiles/decide-set.ts';
import type { SlotKey } from '../../profiles/ports.ts';
import type { SetEntry } from '../../profiles/read-set.ts';
import type { SetReplaced } from '../../profiles/replace-set.ts';
import { ProfileSetInvalidError } from '../../profiles/types.ts';
import { issue, rsa } from '../cms/fixtures.ts';
import { eachDatabase } from '../support/databases.ts';
import { enrolledHost, NOW, TOPIC } from '../support/rows.ts';
import { newLabel, newTeam, profilesOn } from './house.ts';
import { type Dict, keyRing, payload, upload } from './mobileconfigs.ts';

const keys = await keyRing();
const admin = issue(rsa());

const nobody = { includeMode: 'none', includeLabels: [], excludeLabels: [] } as const;

function entry(number: number, more: Dict = {}, rest: Partial<SetEntry> = {}): SetEntry {
  const bytes = upload({
    PayloadIdentifier: `com.example.set.${number}`,
    PayloadDisplayName: `Set ${number}`,
    PayloadContent: [payload(number)],
    ...more,
  });
  return { bytes, file: `${number}.mobileconfig`, name: undefined, targets: nobody, delivery: undefined, ...rest };
}

describe('decideSet', () => {
  const key = fc.record({
    channel: fc.constantFrom('device' as const, 'user' as const),
    identifier: fc.constantFrom('a', 'b', 'c', 'd'),
  });
  const keysOf = fc.uniqueArray(key, {
    selector: ({ channel, identifier }) => `${channel} ${identifier}`,
    maxLength: 8,
  });
  const text = ({ channel, identifier }: SlotKey) => `${channel} ${identifier}`;

  it('every entry is there after, nothing else is, and nobody is both kept and removed', () => {
    fc.assert(
      fc.property(keysOf, keysOf, (wanted, live) => {
        const { pairs, removed } = decideSet(wanted, live);
        expect(pairs.map(({ index }) => index)).toEqual(wanted.map((_, index) => index));
        const kept = pairs.flatMap(({ live: own, gives }) => [own, gives]).filter((one) => one !== undefined);
        expect(new Set([...kept, ...removed].map(text))).toEqual(new Set(live.map(text)));
        expect(kept.length + removed.length).toBe(live.length);
        const gone = new Set([...removed, ...pairs.flatMap(({ gives }) => gives ?? [])].map(text));
        const after = new Set([...live.map(text).filter((one) => !gone.has(one)), ...wanted.map(text)]);
        expect(after).toEqual(new Set(wanted.map(text)));
      }),
    );
  });

  it('of what it has just made it changes nothing', () => {
    fc.assert(
      fc.property(keysOf, (wanted) => {
        const { pairs, removed } = decideSet(wanted, wanted);
        expect(removed).toEqual([]);
        expect(pairs.every(({ live, gives }) => live !== undefined && gives === undefined)).toBe(true);
      }),
    );
  });

  it('moves an identifier that is wanted on the other channel only', () => {
    const device = { channel: 'device', identifier: 'a' } as const;
    const user = { channel: 'user', identifier: 'a' } as const;
    expect(decideSet([user], [device])).toEqual({ pairs: [{ index: 0, live: undefined, gives: device }], removed: [] });
    expect(decideSet([user, device], [device]).pairs).toEqual([
      { index: 0, live: undefined, gives: undefined },
      { index: 1, live: device, gives: undefined },
    ]);
    expect(decideSet([device], [device, user]).removed).toEqual([user]);
  });

  it('repeated names the first of two that want one place', () => {
    const a = { channel: 'device', identifier: 'a' } as const;
    expect([...repeated([a, undefined, { ...a, channel: 'user' }, a, a])]).toEqual([
      [3, 0],
      [4, 0],
    ]);
  });
});

eachDatabase((_kind, open) => {
  let db: Database;
  let team = 0;
  let made = 0;
  const profiles = () => profilesOn(db, keys);

  async function state() {
    const { rows } = await sql<{ epoch: number; rows: string }>`
      select (select epoch from catalogue) as epoch,
        (select jsonb_agg(to_jsonb(p) order by id) from profile p)::text as rows,
        (select count(*)::int from profile_version) as versions, (select count(*)::int from slot) as slots,
        (select count(*)::int from profile_change) as changes, (select count(*)::int from recon_wave) as waves
    `.execute(db.read);
    return rows[0];
  }
  const brief = ({ entries, deleted }: SetReplaced) => [
    entries.map(({ identifier, outcome }) => `${outcome} ${identifier.slice(16)}`),
    deleted.map(({ identifier }) => identifier.slice(16)),
  ];
  const live = async () =>
    (await profiles().list(team)).map(({ identifier, channel }) => `${channel} ${identifier.slice(16)}`);

  beforeAll(async () => {
    db = await open();
    await newLabel(db, 'here');
  });
  afterAll(() => db.close());
  beforeEach(async () => {
    made += 1;
    team = await newTeam(db, `Team ${made}`);
    await sql`delete from recon_wave`.execute(db.read);
  });

  describe('a whole set', () => {
    it('makes the team what the list says, and once more changes nothing at all', async () => {
      const one = await profiles().replaceSet([entry(1), entry(2), entry(3)], { teamId: team });
      expect(brief(one)).toEqual([['created 1', 'created 2', 'created 3'], []]);
      const epoch = (await state())?.epoch ?? 0;
      const next = [entry(2), entry(3, { PayloadDescription: 'new' }), entry(4)];
      const two = await profiles().replaceSet(next, { teamId: team });
      expect(brief(two)).toEqual([['unchanged 2', 'updated 3', 'created 4'], ['1']]);
      expect(two.entries[1]).toMatchObject({ aspects: ['content'], replacesVersionId: one.entries[2]?.versionId });
      const before = await state();
      expect(before?.epoch).toBe(epoch + 1);
      const three = await profiles().replaceSet(next.toReversed(), { teamId: team });
      expect(brief(three)).toEqual([['unchanged 4', 'unchanged 3', 'unchanged 2'], []]);
      expect(await state()).toEqual(before);
      expect(await live()).toEqual(['device 2', 'device 3', 'device 4']);
    });

    it('says all faults of all entries at once, with their files and lines, and changes nothing', async () => {
      await profiles().replaceSet([entry(1)], { teamId: team });
      const before = await state();
      const bad = profiles().replaceSet(
        [
          entry(1),
          entry(2, { PayloadVersion: 2 }),
          { ...entry(3), bytes: Buffer.from('<plist>\n<dict>\n<key>A</key>\n<integer>x</integer></dict></plist>') },
          entry(4, {}, { targets: { ...nobody, includeMode: 'any', includeLabels: ['nobody', 'here'] } }),
          entry(5, {}, { targets: { ...nobody, minOs: 'fourteen' } }),
          entry(1, { PayloadDescription: 'again' }, { file: 'again.mobileconfig' }),
          entry(6, {}, { delivery: 'verbatim' }),
        ],
        { teamId: team },
      );
      const error = await bad.catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(ProfileSetInvalidError);
      const { entries } = error as ProfileSetInvalidError;
      const codes = entries.map(({ file, findings }) => [
        file,
        findings.filter(({ severity }) => severity === 'error').map(({ code }) => code),
      ]);
      expect(codes).toEqual([
        ['1.mobileconfig', []],
        ['2.mobileconfig', ['payload_version_unsupported']],
        ['3.mobileconfig', ['unreadable']],
        ['4.mobileconfig', ['label_not_found']],
        ['5.mobileconfig', ['targets_invalid']],
        ['again.mobileconfig', ['duplicate_entry']],
        ['6.mobileconfig', ['unreadable']],
      ]);
      expect(entries[1]?.findings[0]?.place?.line).toBe(3);
      expect(entries[2]?.findings[0]?.place?.line).toBe(4);
      expect(entries[5]?.findings[0]?.message).toContain('1.mobileconfig');
      expect(await state()).toEqual(before);
    });

    it('an empty list is said, not assumed', async () => {
      await profiles().replaceSet([entry(1)], { teamId: team });
      await expect(profiles().replaceSet([], { teamId: team })).rejects.toMatchObject({ code: 'request_malformed' });
      expect(await live()).toEqual(['device 1']);
      expect(brief(await profiles().replaceSet([], { teamId: team, allowEmpty: true }))).toEqual([[], ['1']]);
      expect(await live()).toEqual([]);
    });

    it('more removals than allowed are refused with their number and names', async () => {
      await profiles().replaceSet([entry(1), entry(2), entry(3)], { teamId: team });
      const before = await state();
      const two = profiles().replaceSet([entry(3)], { teamId: team, maxRemovals: 1 });
      await expect(two).rejects.toMatchObject({
        code: 'conflict',
        message: '2 of 3 profiles would be deleted and max_removals is 1: com.example.set.1, com.example.set.2',
      });
      expect(await state()).toEqual(before);
      await profiles().replaceSet([entry(3)], { teamId: team, maxRemovals: 2 });
      expect(await live()).toEqual(['device 3']);
    });

    it('moves a profile whose PayloadScope changed, keeps one wanted on both channels', async () => {
      const user = entry(1, { PayloadScope: 'User' });
      await profiles().replaceSet([entry(1)], { teamId: team });
      const moved = await profiles().replaceSet([user], { teamId: team });
      expect(brief(moved)).toEqual([['moved 1'], []]);
      expect(await live()).toEqual(['user 1']);
      expect(brief(await profiles().replaceSet([user, entry(1)], { teamId: team }))).toEqual([
        ['unchanged 1', 'created 1'],
        [],
      ]);
      expect(brief(await profiles().replaceSet([user, entry(1)], { teamId: team }))).toEqual([
        ['unchanged 1', 'unchanged 1'],
        [],
      ]);
      expect(brief(await profiles().replaceSet([entry(1)], { teamId: team }))).toEqual([['unchanged 1'], ['1']]);
    });

    it('what an entry does not say is the default; labels that go are warned of', async () => {
      const aimed = { ...nobody, includeMode: 'any' as const, includeLabels: ['here'], minOs: '14' };
      await profiles().replaceSet([entry(1, {}, { targets: aimed, name: 'Wi-Fi' })], { teamId: team });
      const [before] = await profiles().list(team);
      expect(before).toMatchObject({ name: 'Wi-Fi', includeMode: 'any', minOs: '14' });
      const { entries } = await profiles().replaceSet([entry(1)], { teamId: team });
      expect(entries[0]).toMatchObject({ outcome: 'updated', aspects: ['name', 'targets'] });
      expect(entries[0]?.findings.map(({ code }) => code)).toEqual(['targets_widened']);
      expect((await profiles().list(team))[0]).toMatchObject({ name: 'Set 1', includeMode: 'none', minOs: undefined });
    });

    it('any list after any other leaves exactly that list', async () => {
      const numbers = fc.subarray([1, 2, 3, 4], { minLength: 0 });
      const lists = fc.array(fc.tuple(numbers, fc.constantFrom(undefined, 'User'), fc.constantFrom('x', 'y')), {
        minLength: 2,
        maxLength: 4,
      });
      await fc.assert(
        fc.asyncProperty(lists, async (steps) => {
          for (const [wanted, scope, text] of steps) {
            const set = wanted.map((number) => entry(number, { PayloadScope: scope, PayloadDescription: text }));
            const told = await profiles().replaceSet(set, { teamId: team, allowEmpty: true });
            const channel = scope === 'User' ? 'user' : 'device';
            expect((await live()).toSorted()).toEqual(wanted.map((number) => `${channel} ${number}`));
            expect(told.entries.map(({ identifier }) => Number(identifier.slice(16)))).toEqual(wanted);
            const before = await state();
            await profiles().replaceSet(set, { teamId: team, allowEmpty: true });
            expect(await state()).toEqual(before);
          }
        }),
        { numRuns: 12 },
      );
    });

    it('uploads and sets of one team at once: one after the other, and never two of one identifier', async () => {
      const everyone = { teamId: team, ...nobody };
      await Promise.all([
        profiles().replaceSet([entry(1), entry(2)], { teamId: team }),
        profiles().upload(entry(2, { PayloadDescription: 'b' }).bytes, everyone),
        profiles().upload(entry(3).bytes, everyone),
        profiles().replaceSet([entry(2), entry(3), entry(4)], { teamId: team }),
        profiles().upload(entry(1, { PayloadScope: 'User' }).bytes, everyone),
      ]);
      const after = (await profiles().list(team)).map(({ identifier }) => identifier);
      expect(new Set(after).size).toBe(after.length);
    });
  });

  describe('a dry run', () => {
    it('changes nothing and plans what the change then does', async () => {
      const host = await enrolledHost(db);
      // Without it every Mac of the plan is held: no command can be pushed.
      await sql`
        insert into push_certificate (topic, certificate, sealed_key, not_after, created_at)
        values (${TOPIC}, 'c', 'k', '2100-01-01', ${NOW})
      `.execute(db.read);
      await sql`insert into recon (enrollment_id, team_id, actual_known) values (${host.enrollment}, ${team}, true)`.execute(
        db.read,
      );
      const before = await state();
      const dry = await profiles().replaceSet([entry(1), entry(2)], { teamId: team, dryRun: true });
      expect(brief(dry)).toEqual([['created 1', 'created 2'], []]);
      expect(dry.plan).toMatchObject({ changed: 1, counts: { install: 2, replace: 0, remove: 0, hold: 0 } });
      expect(dry.plan?.lines.map(({ identifier, action }) => [identifier, action])).toEqual([
        ['com.example.set.1', 'install'],
        ['com.example.set.2', 'install'],
      ]);
      expect(await state()).toEqual(before);

      const { bytes } = entry(1);
      const uploaded = await profiles().upload(bytes, { teamId: team, ...nobody, dryRun: true });
      expect([uploaded.outcome, uploaded.plan?.counts.install]).toEqual(['created', 1]);
      expect(await state()).toEqual(before);
      expect((await profiles().upload(bytes, { teamId: team, ...nobody })).plan).toBeUndefined();
      const [{ id = 0, version } = {}] = await profiles().list(team);
      const now = await state();
      // The Mac holds it: a deletion takes it away.
      await sql`update recon set applied = ${sql.val([version?.id ?? 0])}::int[] where enrollment_id = ${host.enrollment}`.execute(
        db.read,
      );
      expect((await profiles().delete(id, { dryRun: true })).plan?.counts).toMatchObject({ remove: 1, install: 0 });
      const aimed = { includeLabels: ['here'] };
      expect((await profiles().edit(id, aimed, { dryRun: true })).plan?.counts).toMatchObject({ remove: 1 });
      const moved = await profiles().upload(entry(1, { PayloadScope: 'User' }).bytes, {
        teamId: team,
        ...nobody,
        dryRun: true,
      });
      expect([moved.outcome, moved.plan?.counts.remove]).toEqual(['moved', 1]);
      expect(await state()).toEqual(now);
    });

    it('is refused as the change would be', async () => {
      const dry = { teamId: team, dryRun: true };
      await expect(profiles().replaceSet([], dry)).rejects.toMatchObject({ code: 'request_malformed' });
      await expect(profiles().replaceSet([entry(1, { PayloadVersion: 2 })], dry)).rejects.toMatchObject({
        code: 'profile_invalid',
      });
      await expect(profiles().delete(987_654, { dryRun: true })).rejects.toMatchObject({ code: 'profile_not_found' });
    });
  });

  describe('clashes', () => {
    const warned = async (bytes: Buffer) =>
      (await profiles().upload(bytes, { teamId: team, ...nobody })).warnings.map(({ code, path, message }) => ({
        code,
        path,
        message,
      }));
    const dock = (number: number, side: string, more: Dict = {}) =>
      entry(number, {
        PayloadContent: [
          payload(number, { SSID_STR: undefined, PayloadType: 'com.apple.dock', orientation: side, ...more }),
        ],
      }).bytes;

    it('another profile with the name: both are named', async () => {
      await warned(entry(1).bytes);
      expect(await warned(entry(2, { PayloadDisplayName: 'Set 1' }).bytes)).toEqual([
        {
          code: 'display_name_shared',
          path: 'PayloadDisplayName',
          message: 'com.example.set.1 of this team has the PayloadDisplayName "Set 1" too',
        },
      ]);
    });

    it('a payload type that a Mac takes once, set in two ways', async () => {
      await warned(dock(1, 'left'));
      expect(await warned(dock(2, 'left'))).toEqual([]);
      expect(await warned(dock(2, 'right'))).toEqual([
        {
          code: 'exclusive_type_clash',
          path: 'PayloadContent[0].PayloadType',
          message:
            'a Mac takes one com.apple.dock, and PayloadContent[0] (com.example.wifi.1) of com.example.set.1 sets it otherwise: Apple does not say which one wins',
        },
      ]);
    });

    it('inner identifiers and UUIDs of another profile', async () => {
      await warned(entry(1).bytes);
      const shared = payload(2, { PayloadIdentifier: 'com.example.wifi.1' });
      expect(
        (await warned(entry(2, { PayloadContent: [shared] }).bytes)).map(({ code, path }) => [code, path]),
      ).toEqual([['identifier_shared', 'PayloadContent[0].PayloadIdentifier']]);
      const uuid = payload(3, { PayloadUUID: payload(1)['PayloadUUID'] });
      expect((await warned(entry(3, { PayloadContent: [uuid] }).bytes)).map(({ code }) => code)).toEqual([
        'uuid_shared',
      ]);
    });

    it('not with an earlier version of itself, nor with another team', async () => {
      await warned(entry(1).bytes);
      expect(await warned(entry(1, { PayloadDescription: 'next' }).bytes)).toEqual([]);
      const elsewhere = await newTeam(db, `Other than ${team}`);
      expect((await profiles().upload(entry(1).bytes, { teamId: elsewhere, ...nobody })).warnings).toEqual([]);
    });

    it('with profiles from before summaries were kept: they are read once', async () => {
      await warned(dock(1, 'left'));
      await sql`update profile_version set payloads = null, signer = null`.execute(db.read);
      expect((await warned(dock(2, 'right'))).map(({ code }) => code)).toEqual(['exclusive_type_clash']);
      const { rows } = await sql`
        select from profile p join profile_version v on v.id = p.current_version_id
        where p.team_id = ${team} and v.payloads is null
      `.execute(db.read);
      expect(rows).toEqual([]);
    });

    it('what gates read changes with the epoch: a dry run reads older profiles too and notes nothing', async () => {
      const phones = upload({
        PayloadIdentifier: 'com.example.phones',
        TargetDeviceType: 1,
        PayloadContent: [payload(1)],
      });
      await profiles().upload(phones, { teamId: team, ...nobody });
      const catalogue = async () => {
        const { epoch, profiles: rows } = await reconcileStore(db).loadCatalogue();
        return {
          epoch,
          gates: rows
            .filter(({ teamId }) => teamId === team)
            .map(({ id, payloadTypes, targetDeviceType }) => [id, payloadTypes, targetDeviceType]),
        };
      };
      const kept = await catalogue();
      await sql`update profile_version set payloads = null, signer = null, target_device_type = null`.execute(db.read);
      const before = await catalogue();
      expect(before.gates).not.toEqual(kept.gates);

      await profiles().upload(phones, { teamId: team, ...nobody, dryRun: true });
      expect(await catalogue()).toEqual(before);
      expect((await profiles().upload(phones, { teamId: team, ...nobody })).outcome).toBe('unchanged');
      expect(await catalogue()).toEqual({ epoch: before.epoch + 1, gates: kept.gates });
    });

    it('inside a set, between its entries', async () => {
      const { entries } = await profiles().replaceSet(
        [
          { ...entry(1), bytes: dock(1, 'left') },
          { ...entry(2), bytes: dock(2, 'right') },
        ],
        { teamId: team },
      );
      expect(entries.map(({ findings }) => findings.map(({ code }) => code))).toEqual([
        ['exclusive_type_clash'],
        ['exclusive_type_clash'],
      ]);
    });
  });

  describe('signed uploads', () => {
    const signed = (number: number, more: Dict = {}, when = NOW) =>
      buildSignedData({
        content: entry(number, more).bytes,
        signer: { certificateDer: admin.der, key: admin.privateKey },
        certificates: [],
        signingTime: when,
      });
    const everyone = () => ({ teamId: team, ...nobody });

    it('the signer is shown with each version, and the original is kept', async () => {
      const { profileId, versionId, signer } = await profiles().upload(signed(1), { ...everyone(), by: 'Ann' });
      expect(signer).toMatchObject({ sha256: expect.stringMatching(/^[0-9a-f]{64}$/), expired: expect.any(Boolean) });
      await profiles().upload(entry(1, { PayloadDescription: 'plain' }).bytes, { ...everyone(), by: 'Bob' });
      const { versions, changes } = await profiles().get(profileId);
      expect(versions.map(({ signer: by, uploadedBy }) => [by?.sha256, uploadedBy])).toEqual([
        [undefined, 'Bob'],
        [signer?.sha256, 'Ann'],
      ]);
      expect(versions[1]?.signer?.notAfter).toEqual(signer?.notAfter);
      expect(changes.map(({ by, change }) => [by, change])).toEqual([
        ['Bob', 'updated'],
        ['Ann', 'created'],
      ]);
      expect(await profiles().original(profileId, versionId)).toEqual(signed(1));
    });

    it('re-signed: our witness, our signature, the admin’s file kept; and the choice stays with the profile', async () => {
      const { profileId, versionId } = await profiles().upload(signed(1), { ...everyone(), delivery: 'resign' });
      const { version } = await profiles().get(profileId);
      expect(version.delivery).toBe('resigned');
      expect(version.witnessUuid).not.toBe('11111111-2222-4333-8444-000000000000');
      const bytes = await db.run((tx) => profiles().delivered(tx, versionId));
      expect(bytes.includes(version.witnessUuid)).toBe(true);
      expect(await profiles().original(profileId, versionId)).toEqual(signed(1));
      await profiles().upload(signed(1, { PayloadDescription: 'next' }), everyone());
      expect((await profiles().get(profileId)).version.delivery).toBe('resigned');
      await profiles().upload(signed(1, { PayloadDescription: 'next' }), { ...everyone(), delivery: 'verbatim' });
      expect((await profiles().get(profileId)).version.delivery).toBe('verbatim');
    });

    it('verbatim is for what is signed', async () => {
      const plain = profiles().upload(entry(1).bytes, { ...everyone(), delivery: 'verbatim' });
      await expect(plain).rejects.toMatchObject({ code: 'request_malformed' });
    });

    it('a changed octet is refused with the reason', async () => {
      const bytes = signed(1);
      const at = bytes.indexOf('com.example.set.1');
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      await expect(profiles().upload(bytes, everyone())).rejects.toMatchObject({
        code: 'profile_malformed',
        message: expect.stringContaining('cannot be verified'),
      });
    });
  });

  describe('edits', () => {
    const everyone = () => ({ teamId: team, ...nobody });

    it('name and targets change without an upload, and only what is said', async () => {
      const { profileId, versionId } = await profiles().upload(entry(1).bytes, { ...everyone(), minOs: '14' });
      const before = await state();
      expect(await profiles().edit(profileId, { name: 'Other' })).toMatchObject({ outcome: 'updated', versionId });
      expect(await profiles().edit(profileId, { includeLabels: ['here'] })).toMatchObject({ outcome: 'updated' });
      expect(await profiles().get(profileId)).toMatchObject({ name: 'Other', includeMode: 'any', minOs: '14' });
      expect((await state())?.epoch).toBe((before?.epoch ?? 0) + 2);
      const now = await state();
      expect(await profiles().edit(profileId, { includeLabels: ['here'], name: 'Other' })).toMatchObject({
        outcome: 'unchanged',
      });
      expect(await state()).toEqual(now);
      await profiles().edit(profileId, { includeMode: 'none', minOs: null, maxOs: '15' });
      expect(await profiles().get(profileId)).toMatchObject({ includeMode: 'none', minOs: undefined, maxOs: '15' });
      for (const patch of [{ includeLabels: ['nobody'] }, { includeMode: 'all' as const }, { minOs: '16' }])
        await expect(profiles().edit(profileId, patch)).rejects.toMatchObject({
          code: expect.stringMatching(/^(label_not_found|request_malformed)$/),
        });
    });

    it('a profile of a deleted team stays deleted, and says why', async () => {
      const { profileId } = await profiles().upload(entry(1).bytes, everyone());
      await profiles().delete(profileId);
      await sql`update team set deleted_at = now(), moved_to = 1 where id = ${team}`.execute(db.read);
      await expect(profiles().restore(profileId, {})).rejects.toMatchObject({ code: 'team_not_found' });
      await expect(profiles().upload(entry(2).bytes, everyone())).rejects.toMatchObject({ code: 'team_not_found' });
    });

    it('edits, uploads, restores and the deletion of a label at once end, and no profile aims by a label that is gone', async () => {
      const names = [1, 2, 3, 4].map((number) => `busy ${team} ${number}`);
      const ids = await Promise.all(names.map((name) => newLabel(db, name)));
      const aimed = (name: string) => ({ includeMode: 'any' as const, includeLabels: [name], excludeLabels: [] });
      const made = await Promise.all(
        names.map((name, index) => profiles().upload(entry(index).bytes, { teamId: team, ...aimed(name) })),
      );
      const label = createLabels({
        store: labelStore(db),
        unitOfWork: db,
        clock: { now: () => NOW },
        wakeAfter: () => {},
        catalogueRows: (tx) => reconcileStore(db).loadCatalogue(tx),
        preview: () => Promise.reject(new Error('nobody previews')),
      });
      const work = names.flatMap((name, index) => [
        label.delete(name, { detach: true }),
        profiles().edit(made[index]?.profileId ?? 0, { includeLabels: names.slice(0, index + 1) }),
        profiles().upload(entry(index, { PayloadDescription: 'b' }).bytes, { ...everyone(), keepTargets: true }),
        profiles().delete(made[index]?.profileId ?? 0),
      ]);
      const codes = (await Promise.allSettled(work)).flatMap((done) =>
        done.status === 'rejected' ? [(done.reason as { code?: string }).code] : [],
      );
      expect(codes.filter((code) => code !== 'label_not_found' && code !== 'profile_not_found')).toEqual([]);
      const { rows } = await sql<{ labels: number[] }>`
        select include_label_ids as labels from profile where team_id = ${team} and deleted_at is null
      `.execute(db.read);
      expect(rows.flatMap(({ labels }) => labels).filter((id) => ids.includes(id))).toEqual([]);
    });

    it('an older version becomes current again, and the history says so', async () => {
      const first = await profiles().upload(entry(1).bytes, everyone());
      const second = await profiles().upload(entry(1, { PayloadDescription: 'b' }).bytes, everyone());
      const diff = await profiles().diff(first.profileId, first.versionId, second.versionId);
      expect(diff).toEqual({
        changes: [{ kind: 'added', path: 'PayloadDescription', after: 'b' }],
        truncated: false,
      });
      const epoch = (await state())?.epoch ?? 0;
      const restored = await profiles().restoreVersion(first.profileId, first.versionId, { by: 'Ann' });
      expect(restored).toMatchObject({ outcome: 'updated', versionId: first.versionId });
      expect((await state())?.epoch).toBe(epoch + 1);
      const { version, changes } = await profiles().get(first.profileId);
      expect(version.id).toBe(first.versionId);
      expect(changes[0]).toMatchObject({ change: 'version_restored', by: 'Ann', versionId: first.versionId });
      expect(await profiles().restoreVersion(first.profileId, first.versionId)).toMatchObject({ outcome: 'unchanged' });
      const other = await profiles().upload(entry(2).bytes, everyone());
      await expect(profiles().restoreVersion(first.profileId, other.versionId)).rejects.toMatchObject({
        code: 'profile_not_found',
      });
    });

    it('a deleted profile comes back as it was, unless its place is taken or its labels are gone', async () => {
      const label = await newLabel(db, `gone ${team}`);
      const aimed = { ...nobody, includeMode: 'any' as const, includeLabels: [`gone ${team}`] };
      const { profileId } = await profiles().upload(entry(1).bytes, { teamId: team, ...aimed });
      await profiles().delete(profileId);
      const deleted = await profiles().list(team, true);
      expect(deleted.map(({ id, deletedAt }) => [id, deletedAt])).toEqual([[profileId, NOW]]);
      await expect(profiles().edit(profileId, { name: 'x' })).rejects.toMatchObject({ code: 'profile_not_found' });
      expect(await profiles().restore(profileId, {})).toMatchObject({ outcome: 'restored' });
      expect(await profiles().get(profileId)).toMatchObject({ includeMode: 'any', deletedAt: undefined });
      await expect(profiles().restore(profileId, {})).rejects.toMatchObject({ code: 'profile_not_found' });

      await profiles().delete(profileId);
      await sql`delete from label where id = ${label}`.execute(db.read);
      await expect(profiles().restore(profileId, {})).rejects.toMatchObject({ code: 'label_not_found' });
      const other = await profiles().upload(entry(1, { PayloadScope: 'User' }).bytes, everyone());
      await expect(profiles().restore(profileId, { includeMode: 'none' })).rejects.toMatchObject({
        code: 'profile_identifier_exists',
        message: expect.stringContaining(`profile ${other.profileId}`),
      });
      await profiles().delete(other.profileId);
      expect(await profiles().restore(profileId, { includeMode: 'none' })).toMatchObject({ outcome: 'restored' });
      expect(await profiles().get(profileId)).toMatchObject({ includeMode: 'none', includeLabels: [] });
    });
  });
});

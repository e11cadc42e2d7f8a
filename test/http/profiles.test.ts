/** Profiles through the front door: every finding with its place, sets, dry runs, histories. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildSignedData } from '../../cms/signed-data.ts';
import type { Writable } from '../../plist/types.ts';
import { writePlistBytes } from '../../plist/write.ts';
import { FINDING_CODES, type FindingCode } from '../../profiles/types.ts';
import { issue, rsa } from '../cms/fixtures.ts';
import { BAD } from '../profiles/bad-mobileconfigs.ts';
import { binaryPlist } from '../profiles/binary-plist.ts';
import { type Dict, payload, profile, uuidOf } from '../profiles/mobileconfigs.ts';
import { hasPostgres } from '../support/databases.ts';
import { endPglite } from '../support/pglite-pool.ts';
import { startTestServer, type TestServer } from './started-server.ts';

interface Finding {
  readonly code: FindingCode;
  readonly severity: string;
  readonly message: string;
  readonly path: string;
  readonly line: number | null;
  readonly column: number | null;
  readonly payload: { readonly index: number; readonly type: string; readonly identifier: string } | null;
  readonly key: string | null;
}

const admin = issue(rsa());
const signed = (content: Buffer): Buffer =>
  buildSignedData({
    content,
    signer: { certificateDer: admin.der, key: admin.privateKey },
    certificates: [],
    signingTime: new Date(),
  });
const expired = issue(rsa(), {
  notAfter: new Date('2020-01-01T00:00:00Z'),
  notBefore: new Date('2019-01-01T00:00:00Z'),
});

let made = 0;
/** A profile that shares nothing with any other. */
function own(more: Dict = {}, inside: Dict = {}): Dict {
  made += 1;
  const content = payload(made, {
    PayloadUUID: uuidOf(1000 + made),
    PayloadIdentifier: `com.example.own.${made}.a`,
    ...inside,
  });
  return profile({
    PayloadIdentifier: `com.example.own.${made}`,
    PayloadDisplayName: `Own ${made}`,
    PayloadContent: [content],
    ...more,
  });
}
const bytes = (dict: Dict): Buffer => writePlistBytes(dict as Writable);

for (const kind of ['pglite', 'postgres'] as const) {
  describe.skipIf(kind === 'postgres' && !hasPostgres)(kind, () => {
    let server: TestServer;
    const reached = new Set<FindingCode>();

    beforeAll(async () => {
      server = await startTestServer(kind);
      await call('POST', '/labels', { name: 'here' });
      await call('POST', '/teams', { name: 'Sets' });
    });
    afterAll(async () => {
      await server.stop();
      await endPglite();
    });

    async function call(method: string, path: string, body?: object | Buffer) {
      const sent = body === undefined ? {} : { body: Buffer.isBuffer(body) ? body : JSON.stringify(body) };
      const { status, text } = await server.admin({ method, path: `/api/v1${path}`, ...sent });
      return { status, body: JSON.parse(text) };
    }
    const post = (body: Buffer, query = '') => call('POST', `/profiles${query}`, body);
    const put = (entries: object[], more: object = {}, query = '') =>
      call('PUT', `/teams/Sets/profiles${query}`, { profiles: entries, ...more });
    const note = (findings: readonly Finding[]) => {
      for (const { code } of findings) reached.add(code);
      return findings;
    };

    describe('findings', () => {
      it('each refused upload is answered with code, line, column, payload and key', async () => {
        const seen = new Set<string>();
        for (const { name, bytes: body, code, path } of BAD) {
          // One of each kind: the whole table is judged without a server elsewhere.
          if (seen.has(`${code} ${path}`)) continue;
          seen.add(`${code} ${path}`);
          const { status, body: problem } = await post(body);
          expect([name, status, problem.code, problem.lines_of]).toEqual([name, 422, 'profile_invalid', 'file']);
          const found = note(problem.findings).find((finding) => finding.code === code && finding.path === path);
          expect([name, found]).toMatchObject([name, { line: expect.any(Number), column: expect.any(Number) }]);
          const index = /^PayloadContent\[(\d+)\]/.exec(path)?.[1];
          expect([name, found?.payload?.index]).toEqual([name, index === undefined ? undefined : Number(index)]);
        }
      });

      it('keys that Apple requires or wants otherwise', async () => {
        const missing = await post(bytes(own({}, { PayloadType: 'com.apple.security.firewall', SSID_STR: undefined })));
        expect(missing.status).toBe(422);
        expect(note(missing.body.findings)).toMatchObject([
          {
            code: 'payload_key_missing',
            severity: 'error',
            path: 'PayloadContent[0].EnableFirewall',
            payload: { index: 0, type: 'com.apple.security.firewall' },
            key: 'EnableFirewall',
          },
        ]);
        const wrong = await post(bytes(own({}, { AutoJoin: 'yes' })));
        expect(note(wrong.body.findings)).toMatchObject([{ code: 'payload_key_wrong_type', key: 'AutoJoin' }]);
        const near = await post(bytes(own({}, { AutoJion: true, Autojoin: true })));
        expect([near.status, note(near.body.warnings)[0]?.code]).toEqual([201, 'payload_key_misspelt']);
      });

      it('what is taken with a warning', async () => {
        const taken: readonly (readonly [FindingCode, Buffer, object])[] = [
          ['uuid_malformed', bytes(own({ PayloadUUID: 'x' })), { line: 3 }],
          ['removes_itself', bytes(own({ RemovalDate: new Date(0) })), { key: 'RemovalDate' }],
          ['not_for_mac', bytes(own({ TargetDeviceType: 1 })), { key: 'TargetDeviceType' }],
          [
            'escrow_elsewhere',
            bytes(
              own(
                {},
                {
                  SSID_STR: undefined,
                  PayloadType: 'com.apple.security.FDERecoveryKeyEscrow',
                  Location: 'Example',
                  EncryptCertPayloadUUID: uuidOf(1),
                },
              ),
            ),
            { payload: { index: 0 } },
          ],
        ];
        for (const [code, body, more] of taken) {
          const { status, body: answer } = await post(body);
          expect([code, status]).toEqual([code, 201]);
          expect(note(answer.warnings)).toMatchObject([{ code, severity: 'warning', ...more }]);
        }
      });

      it('a binary list has no lines, and a signed one the lines of what it holds; both say so', async () => {
        const binary = await post(binaryPlist(own()));
        expect(binary.body).toMatchObject({ outcome: 'created', lines_of: 'nothing' });
        expect(note(binary.body.warnings)).toMatchObject([{ code: 'binary_plist', line: null, column: null }]);
        const inside = await post(signed(bytes(own({ PayloadVersion: 2 }))));
        expect(inside.body).toMatchObject({ lines_of: 'signed_content' });
        expect(note(inside.body.findings)[0]).toMatchObject({ code: 'payload_version_unsupported', line: 3 });
      });

      it('a signer is shown, and one that has expired is warned of', async () => {
        const dict = own();
        const fresh = await post(signed(bytes(dict)));
        expect(fresh.body.signer).toMatchObject({ subject: expect.any(String), expired: false });
        const { id } = fresh.body;
        const shared = await post(signed(bytes({ ...dict, PayloadDescription: 'other' })));
        expect(note(shared.body.warnings)).toMatchObject([{ code: 'witness_shared', key: 'PayloadUUID' }]);
        const { body } = await call('GET', `/profiles/${id}`);
        expect(body.versions).toMatchObject([
          { delivery: 'verbatim', signer: { expired: false }, uploaded_by: 'admin' },
          { delivery: 'verbatim', signer: { sha256: fresh.body.signer.sha256 } },
        ]);
        const old = buildSignedData({
          content: bytes(own()),
          signer: { certificateDer: expired.der, key: expired.privateKey },
          certificates: [],
          signingTime: new Date('2019-06-01T00:00:00Z'),
        });
        const late = await post(old, '?delivery=resign');
        expect(late.body).toMatchObject({ outcome: 'created', signer: { expired: true } });
        expect(note(late.body.warnings)).toMatchObject([{ code: 'signer_expired' }]);
        const broken = signed(bytes(own()));
        broken[broken.indexOf('Own ')] = 0x30;
        expect(await post(broken)).toMatchObject({ status: 400, body: { code: 'profile_malformed' } });
      });

      it('clashes say with what', async () => {
        const first = own({}, { PayloadType: 'com.apple.dock', SSID_STR: undefined, orientation: 'left' });
        await post(bytes(first));
        const [inner] = first['PayloadContent'] as Dict[];
        const second = own(
          { PayloadDisplayName: first['PayloadDisplayName'], PayloadContent: [{ ...inner, orientation: 'right' }] },
          {},
        );
        const { status, body } = await post(bytes(second));
        expect(status).toBe(201);
        expect(
          note(body.warnings).map(({ code, message }) => [code, message.includes(String(first['PayloadIdentifier']))]),
        ).toEqual([
          ['display_name_shared', true],
          ['exclusive_type_clash', true],
          ['identifier_shared', true],
          ['uuid_shared', true],
        ]);
      });

      it('a set is answered with the findings of all entries', async () => {
        const base64 = (dict: Dict) => bytes(dict).toString('base64');
        const twice = own();
        const { status, body } = await put([
          { mobileconfig: Buffer.from('hello').toString('base64'), file: 'a.mobileconfig' },
          { mobileconfig: base64(own()), file: 'b.mobileconfig', labels: ['nowhere'] },
          { mobileconfig: base64(own()), file: 'c.mobileconfig', min_os: 'x' },
          { mobileconfig: base64(twice), file: 'd.mobileconfig' },
          { mobileconfig: base64(twice), file: 'e.mobileconfig' },
          { mobileconfig: base64(own({ PayloadVersion: 2 })) },
        ]);
        expect([status, body.code]).toEqual([422, 'profile_invalid']);
        const said = body.entries.map((entry: { file: string | null; findings: Finding[] }) => [
          entry.file,
          ...note(entry.findings).map(({ code }) => code),
        ]);
        expect(said).toEqual([
          ['a.mobileconfig', 'unreadable'],
          ['b.mobileconfig', 'label_not_found'],
          ['c.mobileconfig', 'targets_invalid'],
          ['d.mobileconfig'],
          ['e.mobileconfig', 'duplicate_entry'],
          [null, 'payload_version_unsupported'],
        ]);
        expect((await call('GET', '/profiles?team=Sets')).body.profiles).toEqual([]);
      });
    });

    it('a whole set: plan, apply, apply again, widen, empty', async () => {
      const [one, two, three] = [own(), own(), own()];
      const entry = (dict: Dict, more: object = {}) => ({ mobileconfig: bytes(dict).toString('base64'), ...more });
      const plan = await put([entry(one), entry(two, { labels: ['here'] })], {}, '?dry_run=true');
      expect(plan.body).toMatchObject({
        dry_run: true,
        plan: { hosts: 0, counts: { install: 0, replace: 0, remove: 0, hold: 0 }, lines: [], truncated: false },
        created: [{ id: null, version_id: null }, { id: null }],
      });
      expect((await call('GET', '/profiles?team=Sets')).body.profiles).toEqual([]);
      const applied = await put([entry(one), entry(two, { labels: ['here'] })], {}, '?author=Ann');
      expect(applied.body.created).toHaveLength(2);
      expect(applied.body.plan).toBeUndefined();
      const again = await put([entry(one), entry(two, { labels: ['here'] })]);
      expect(again.body).toMatchObject({ created: [], updated: [], moved: [], deleted: [], unchanged: [{}, {}] });
      const next = await put([entry(two), entry(three), entry({ ...one, PayloadScope: 'User' })]);
      expect(next.body).toMatchObject({
        created: [{ index: 1 }],
        updated: [{ index: 0, changes: ['targets'], warnings: [{ code: 'targets_widened' }] }],
        moved: [{ index: 2, moved_from: { channel: 'device' } }],
        deleted: [],
      });
      note(next.body.updated[0].warnings);
      expect((await put([])).status).toBe(400);
      expect((await put([entry(two)], { max_removals: 1 })).body).toMatchObject({ code: 'conflict' });
      const empty = await put([], { allow_empty: true });
      expect(empty.body.deleted).toHaveLength(3);
      const deleted = (await call('GET', '/profiles?team=Sets&deleted=true')).body.profiles;
      expect(deleted.length).toBe(4);
      expect(deleted[0]).toMatchObject({ deleted_at: expect.any(String), version: { uploaded_by: 'Ann' } });
    });

    it('a profile’s life: upload, say so, diff, restore, edit, delete, come back', async () => {
      const dict = own();
      const first = (await post(bytes(dict), '?author=Ann')).body;
      expect(first.message).toContain('is new in this team');
      const dry = await post(bytes({ ...dict, PayloadDescription: 'b' }), '?dry_run=true');
      expect([dry.status, dry.body.outcome, dry.body.version_id, dry.body.dry_run]).toEqual([
        200,
        'updated',
        null,
        true,
      ]);
      const second = (await post(bytes({ ...dict, PayloadDescription: 'b' }), '?author=Bob')).body;
      expect(second).toMatchObject({ id: first.id, outcome: 'updated', replaces_version_id: first.version_id });
      expect(second.message).toContain(`replaces version ${first.version_id}`);
      const path = `/profiles/${first.id}`;
      expect((await call('GET', `${path}/versions/${first.version_id}/diff/${second.version_id}`)).body).toMatchObject({
        changes: [{ kind: 'added', path: 'PayloadDescription', after: 'b' }],
        truncated: false,
      });
      const back = await call('POST', `${path}/versions/${first.version_id}/restore?author=Cy`);
      expect(back.body).toMatchObject({ outcome: 'updated', version_id: first.version_id });
      const patched = await call('PATCH', path, { name: 'Other', labels: ['here'], min_os: '14' });
      expect([patched.status, patched.body.outcome]).toEqual([200, 'updated']);
      expect((await call('PATCH', `${path}?dry_run=true`, { name: 'No' })).body).toMatchObject({
        dry_run: true,
        plan: {},
      });
      const shown = (await call('GET', path)).body;
      expect(shown).toMatchObject({ name: 'Other', include: 'any', labels: ['here'], min_os: '14' });
      expect(shown.changes.map(({ change, by }: { change: string; by: string }) => `${by} ${change}`)).toEqual([
        'admin edited',
        'Cy version_restored',
        'Bob updated',
        'Ann created',
      ]);
      expect((await call('DELETE', `${path}?dry_run=true`)).body).toMatchObject({ outcome: 'deleted', dry_run: true });
      expect((await call('GET', path)).status).toBe(200);
      await call('DELETE', path);
      expect((await call('GET', path)).status).toBe(404);
      expect((await call('POST', `${path}/restore`)).body).toMatchObject({ outcome: 'restored', id: first.id });
      expect((await call('GET', path)).body).toMatchObject({ name: 'Other', deleted_at: null });
    });

    it('a changed PayloadScope moves it, and the answer says from where', async () => {
      const dict = own();
      const device = (await post(bytes(dict), '?label=here')).body;
      const user = await post(bytes({ ...dict, PayloadScope: 'User' }));
      expect(user).toMatchObject({
        status: 201,
        body: { outcome: 'moved', channel: 'user', moved_from: { channel: 'device', profile_id: device.id } },
      });
      expect((await call('GET', `/profiles/${user.body.id}`)).body).toMatchObject({
        labels: ['here'],
        moved_from: { channel: 'device', profile_id: device.id },
      });
    });

    it('every finding code was reached', () => {
      expect(FINDING_CODES.filter((code) => !reached.has(code))).toEqual([]);
    });
  });
}

import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OID } from '../../cms/oids.ts';
import type { Database } from '../../db/database.ts';
import { hashOfChallenge } from '../../scep/challenge.ts';
import { issue, NOW, rsa } from '../cms/fixtures.ts';
import { eachDatabase } from '../support/databases.ts';
import { authority, clientIdentity, countCertificates, FAIL, harness, send } from './support.ts';

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  describe('who may (S3)', () => {
    it('issues for PKCSReq and RenewalReq with the right challenge and for nothing else', async () => {
      const h = harness(db);
      const used = await h.challenge();
      await send(h, { challenge: used, keys: rsa('first to use') });
      const before = await countCertificates(db);
      const issued: string[] = [];
      const right = await h.challenge();
      for (let messageType = 0; messageType < 100; messageType++) {
        const cells = { none: undefined, empty: '', wrong: randomBytes(32).toString('base64url'), used, right };
        for (const [cell, text] of Object.entries(cells)) {
          const enrols = messageType === 17 || messageType === 19;
          const challenge = cell === 'right' && enrols ? await h.challenge() : text;
          const rep = await send(h, { messageType, ...(challenge === undefined ? {} : { challenge }) });
          if (rep.status === '0') issued.push(`${messageType} ${cell}`);
          else expect(rep.failInfo).toBe(messageType === 20 ? FAIL.badCertId : FAIL.badRequest);
        }
      }
      expect(issued).toEqual(['17 right', '19 right']);
      expect(await countCertificates(db)).toBe(before + 2);
      const { rows } = await sql<{ consumed_at: Date | null }>`
        select consumed_at from scep_challenge where hash = ${hashOfChallenge(right)}
      `.execute(db.read);
      expect(rows[0]?.consumed_at).toBeNull();
    });

    it('refuses an expired challenge, and a link used up by others, with badRequest', async () => {
      const h = harness(db);
      const challenge = await h.challenge();
      const { code } = await h.links.create({ uses: 1, ttlSeconds: 36_000, teamId: 1 });
      const [first, second] = [await h.links.mintChallenge(code, {}), await h.links.mintChallenge(code, {})];
      expect(await send(h, { challenge: first.challenge.reveal() })).toMatchObject({ status: '0' });
      expect(await send(h, { challenge: second.challenge.reveal() })).toMatchObject({ failInfo: FAIL.badRequest });
      h.advance(3_600_000);
      expect(await send(h, { challenge })).toMatchObject({ status: '2', failInfo: FAIL.badRequest });
    });

    it('wants the key of the request to have signed the message (SCE-05)', async () => {
      const h = harness(db);
      const challenge = await h.challenge();
      const stranger = clientIdentity(rsa('stranger'));
      expect(await send(h, { challenge, signer: stranger })).toMatchObject({ failInfo: FAIL.badRequest });
      expect(await send(h, { challenge })).toMatchObject({ status: '0' });
    });

    it('lets a certificate of ours sign only for the enrolment its challenge renews (SCE-14)', async () => {
      const h = harness(db);
      const old = await send(h, { challenge: await h.challenge(), keys: rsa('old') });
      if (old.certificate === undefined) throw new Error('no certificate');
      const signer = { ...rsa('old'), der: old.certificate.der, certificate: old.certificate };
      const enrolled = await enroll(db);
      await sql`update certificate set enrollment_id = ${enrolled} where sha256 = ${Buffer.from(old.certificate.sha256, 'hex')}`.execute(
        db.read,
      );

      const plain = await h.challenge();
      for (const messageType of [17, 19]) {
        expect(await send(h, { messageType, signer })).toMatchObject({ failInfo: FAIL.badRequest });
        expect(await send(h, { messageType, signer, challenge: plain })).toMatchObject({ failInfo: FAIL.badRequest });
      }
      expect(h.log.at(-1)?.fields).toMatchObject({ reason: expect.stringContaining('renews no enrolment') });
      const renews = async (enrollment: number): Promise<string> => {
        const challenge = await h.challenge();
        await sql`update scep_challenge set enrollment_id = ${enrollment} where hash = ${hashOfChallenge(challenge)}`.execute(
          db.read,
        );
        return challenge;
      };
      const another = await renews(await enroll(db));
      expect(await send(h, { messageType: 17, signer, challenge: another })).toMatchObject({
        failInfo: FAIL.badRequest,
      });
      const right = await renews(enrolled);
      expect(await send(h, { messageType: 17, signer, challenge: right })).toMatchObject({ status: '0' });
      await sql`update certificate set revoked_at = ${NOW} where sha256 = ${Buffer.from(old.certificate.sha256, 'hex')}`.execute(
        db.read,
      );
      const revoked = await renews(enrolled);
      expect(await send(h, { messageType: 17, signer, challenge: revoked })).toMatchObject({
        failInfo: FAIL.badRequest,
      });
    });
  });

  describe('hostile requests (S4)', () => {
    it('copies nothing but the key', async () => {
      const h = harness(db);
      const rep = await send(h, {
        challenge: await h.challenge(),
        csrChanges: {
          subject: [
            { type: 'CN', value: 'another device' },
            { type: 'O', value: 'Apple Inc.' },
          ],
          extensions: {
            isCa: true,
            pathLength: 5,
            keyUsage: ['keyCertSign', 'cRLSign'],
            extendedKeyUsage: [OID.serverAuth, OID.codeSigning],
            subjectAltName: { dns: ['mdm.example.com'], uri: ['urn:x'], email: ['root@example.com'], ip: ['10.0.0.1'] },
            other: [{ oid: '1.2.840.113635.100.6.1', critical: true, value: Buffer.from([5, 0]) }],
          },
        },
      });
      const { certificate } = rep;
      expect(certificate?.isCa).toBe(false);
      expect([...(certificate?.extensions.keys() ?? [])].sort()).toEqual(
        [
          OID.basicConstraints,
          OID.keyUsage,
          OID.extendedKeyUsage,
          OID.subjectKeyIdentifier,
          OID.authorityKeyIdentifier,
        ].sort(),
      );
      expect(certificate?.extendedKeyUsage).toEqual([OID.clientAuth]);
      expect(certificate?.subject.some(({ value }) => value === 'another device' || value === 'Apple Inc.')).toBe(
        false,
      );
    });

    it('refuses 10,000 extensions, a broken signature and keys too weak, and the challenge stays good', async () => {
      const h = harness(db);
      const challenge = await h.challenge();
      const other = Array.from({ length: 10_000 }, (_, i) => ({
        oid: `1.3.6.1.4.1.99999.${i}`,
        critical: false,
        value: Buffer.from([5, 0]),
      }));
      expect(await send(h, { challenge, csrChanges: { extensions: { other } } })).toMatchObject({
        failInfo: FAIL.badMessageCheck,
      });
      const mixed = { publicKey: rsa('device').publicKey, privateKey: rsa('stranger').privateKey };
      expect(await send(h, { challenge, csrChanges: { keyPair: mixed } })).toMatchObject({
        failInfo: FAIL.badMessageCheck,
      });
      expect(await send(h, { challenge, keys: rsa('weak', 1024) })).toMatchObject({ failInfo: FAIL.badAlg });
      expect(await send(h, { challenge })).toMatchObject({ status: '0' });
    });

    it('says one thing for every way the envelope can be wrong (H-25)', async () => {
      const h = harness(db);
      const challenge = await h.challenge();
      const stranger = issue(rsa('stranger'), { issuer: authority().ca });
      const wrongKey = { ...authority().ra.certificate, der: substituteKey(authority().ra.der) };
      for (const bad of [
        { challenge, recipient: stranger.certificate },
        { challenge, recipient: wrongKey },
        { challenge, csr: Buffer.from('not a CSR') },
        { challenge, csr: Buffer.alloc(0) },
      ]) {
        expect(await send(h, bad)).toMatchObject({ status: '2', failInfo: FAIL.badMessageCheck });
      }
    });
  });
});

/** The same certificate in name and serial number over another key: what a mix-up of CA files looks like. */
function substituteKey(ra: Buffer): Buffer {
  const { ra: own, ca } = authority();
  const twin = issue(rsa('stranger'), {
    subject: own.certificate.subject,
    issuer: ca,
    serial: Buffer.from(own.certificate.serial, 'hex'),
  });
  return twin.der.equals(ra) ? ra : twin.der;
}

/** A row of `enrollment`, made by hand: the room that owns it is not under test. */
async function enroll(db: Database): Promise<number> {
  const udid = randomBytes(8).toString('hex');
  const { rows } = await sql<{ id: number }>`
    with h as (
      insert into host (id, udid, created_at, updated_at) values (gen_random_uuid(), ${udid}, ${NOW}, ${NOW}) returning id
    )
    insert into enrollment (enrollment_id, type, channel, host_id, state, generation, topic, binding)
    select ${udid}::text, 'Device', 'device', id, 'enrolled', 1, 't', 'link_only' from h returning id
  `.execute(db.read);
  return rows[0]?.id ?? 0;
}

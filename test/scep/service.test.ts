import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OID } from '../../cms/oids.ts';
import { readCertificates } from '../../cms/signed-data.ts';
import { verifyChain } from '../../cms/x509.ts';
import { hasCode } from '../../core/errors.ts';
import type { Database } from '../../db/database.ts';
import { hashOfChallenge } from '../../scep/challenge.ts';
import { createCertificateSigner } from '../../scep/signer.ts';
import { days, ec, issue, NOW, rsa } from '../cms/fixtures.ts';
import { eachDatabase } from '../support/databases.ts';
import { authority, clientIdentity, harness, type MessageOptions, pkiRequest, readCertRep } from './support.ts';

const FAIL = { badAlg: '0', badMessageCheck: '1', badRequest: '2', badCertId: '4' };

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  const certificates = async (): Promise<number> => {
    const { rows } = await sql<{ count: number }>`select count(*)::int as count from certificate`.execute(db.read);
    return rows[0]?.count ?? 0;
  };
  const send = async (h: ReturnType<typeof harness>, options: MessageOptions, peer?: string) => {
    const request = pkiRequest(options);
    return readCertRep(await h.post(request.body, peer), request);
  };

  describe('enrolment', () => {
    it('issues from the template: our names, our extensions, the key of the request', async () => {
      const h = harness(db);
      const { certificate } = await send(h, { challenge: await h.challenge() });
      expect(certificate?.spkiDer.equals(clientIdentity(rsa('device')).certificate.spkiDer)).toBe(true);
      expect(certificate?.subject[0]).toEqual({ type: 'O', value: 'Espalier' });
      expect(certificate?.subject[1]?.value).toMatch(/^[0-9a-f-]{36}$/);
      expect(certificate?.extendedKeyUsage).toEqual([OID.clientAuth]);
      expect([...(certificate?.keyUsage ?? [])]).toEqual(['digitalSignature', 'keyEncipherment']);
      expect(certificate?.notBefore).toEqual(new Date(NOW.getTime() - 3_600_000));
      expect(certificate?.notAfter).toEqual(days(365));
      expect(certificate?.serial).toMatch(/^01[0-9a-f]{32}$/);
      if (certificate === undefined) throw new Error('no certificate');
      const { ca } = authority();
      expect(verifyChain(certificate, [], [ca.certificate], NOW).trusted).toBe(true);
      const { rows } = await sql<{ state: string; der: Buffer }>`
        select state, der from certificate where sha256 = ${Buffer.from(certificate.sha256, 'hex')}
      `.execute(db.read);
      expect(rows[0]?.state).toBe('issued');
      expect(rows[0]?.der.equals(certificate.der)).toBe(true);
    });

    it('names the certificate after the serial number of the link', async () => {
      const h = harness(db);
      const { certificate } = await send(h, { challenge: await h.challenge({ serialNumber: 'C02TEST1' }) });
      expect(certificate?.subject).toContainEqual({ type: 'CN', value: 'C02TEST1' });
    });

    it('counts a use of the link when it issues, and not before', async () => {
      const h = harness(db);
      const { id, code } = await h.links.create({ uses: 2, ttlSeconds: 3600, teamId: 1 });
      const minted = [await h.links.mintChallenge(code, {}), await h.links.mintChallenge(code, {})];
      const uses = async () =>
        (
          await sql<{
            uses: number;
            outstanding: number;
          }>`select uses, outstanding from enroll_link where id = ${id}`.execute(db.read)
        ).rows[0];
      expect(await uses()).toEqual({ uses: 0, outstanding: 2 });
      for (const { challenge } of minted) await send(h, { challenge: challenge.reveal() });
      expect(await uses()).toEqual({ uses: 2, outstanding: 0 });
    });

    it('answers with ciphers and digests no weaker than the client’s, and never single DES', async () => {
      const h = harness(db);
      const cases = [
        ['aes128-cbc', 'sha1', 'aes128-cbc', 'sha256'],
        ['aes256-cbc', 'sha512', 'aes256-cbc', 'sha512'],
        ['des-ede3-cbc', 'sha256', 'des-ede3-cbc', 'sha256'],
      ] as const;
      for (const [cipher, digest, answerCipher, answerDigest] of cases) {
        const rep = await send(h, { challenge: await h.challenge(), cipher, digest });
        expect(rep).toMatchObject({ status: '0', cipher: answerCipher, digest: answerDigest });
      }
    });
  });

  describe('who may (S3)', () => {
    it('issues for PKCSReq and RenewalReq with the right challenge and for nothing else', async () => {
      const h = harness(db);
      const used = await h.challenge();
      await send(h, { challenge: used, keys: rsa('first to use') });
      const before = await certificates();
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
      expect(await certificates()).toBe(before + 2);
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

  describe('one challenge, one key (S2)', () => {
    it('gives a retry the same certificate, octet for octet', async () => {
      const h = harness(db);
      const challenge = await h.challenge();
      const first = pkiRequest({ challenge, transactionId: 'retried' });
      const again = pkiRequest({ challenge, transactionId: 'retried', messageType: 17, digest: 'sha512' });
      const certificate = readCertRep(await h.post(first.body), first).certificate;
      const before = await certificates();
      h.advance(3 * 3_600_000);
      expect(readCertRep(await h.post(first.body), first).certificate?.sha256).toBe(certificate?.sha256);
      expect(readCertRep(await h.post(again.body), again).certificate?.sha256).toBe(certificate?.sha256);
      expect(await certificates()).toBe(before);
      expect(await send(h, { challenge, transactionId: 'other' })).toMatchObject({ failInfo: FAIL.badRequest });
      expect(await send(h, { challenge, transactionId: 'retried', keys: rsa('stranger') })).toMatchObject({
        failInfo: FAIL.badRequest,
      });
    });

    it('gives 50 parallel posts of one request one certificate', async () => {
      const h = harness(db);
      const request = pkiRequest({ challenge: await h.challenge({ uses: 100 }) });
      const before = await certificates();
      const reps = await Promise.all(Array.from({ length: 50 }, () => h.post(request.body)));
      const issued = reps.map((rep) => readCertRep(rep, request).certificate?.sha256);
      expect(new Set(issued).size).toBe(1);
      expect(issued[0]).toBeDefined();
      expect(await certificates()).toBe(before + 1);
    });

    it('gives 50 parallel posts of five keys one certificate', async () => {
      const h = harness(db);
      const challenge = await h.challenge({ uses: 100 });
      const keys = ['device', 'old', 'stranger', 'fourth', 'fifth'].map((name) => rsa(name));
      const requests = Array.from({ length: 50 }, (_, i) => {
        const pair = keys[i % keys.length];
        return pkiRequest({
          challenge,
          ...(pair === undefined ? {} : { keys: pair }),
          transactionId: `key ${i % keys.length}`,
        });
      });
      const before = await certificates();
      const reps = await Promise.all(requests.map(async (request) => readCertRep(await h.post(request.body), request)));
      const issued = reps.flatMap(({ certificate }) => (certificate === undefined ? [] : [certificate.sha256]));
      expect(new Set(issued).size).toBe(1);
      expect(issued.length).toBe(10);
      expect(await certificates()).toBe(before + 1);
    });

    it('gives parallel challenges of one link no more certificates than it has uses', async () => {
      const h = harness(db);
      const { id, code } = await h.links.create({ uses: 3, ttlSeconds: 3600, teamId: 1 });
      const minted = [];
      for (let i = 0; i < 12; i++) minted.push(await h.links.mintChallenge(code, {}));
      const before = await certificates();
      const reps = await Promise.all(minted.map(({ challenge }) => send(h, { challenge: challenge.reveal() })));
      expect(reps.filter(({ status }) => status === '0').length).toBe(3);
      expect(await certificates()).toBe(before + 3);
      const { rows } = await sql<{ uses: number }>`select uses from enroll_link where id = ${id}`.execute(db.read);
      expect(rows[0]?.uses).toBe(3);
    });
  });

  describe('crashes (S5)', () => {
    const states = async (challenge: string) => {
      const { rows } = await sql<{ state: string; der: Buffer | null; uses: number; consumed_at: Date | null }>`
        select c.state, c.der, l.uses, h.consumed_at from scep_challenge h
        join enroll_link l on l.id = h.enroll_link_id left join certificate c on c.challenge_id = h.id
        where h.hash = ${hashOfChallenge(challenge)}
      `.execute(db.read);
      return rows[0];
    };

    it('between intent and signature: the intent stays, and the retry gets what it says', async () => {
      const h = harness(db);
      const asked: string[] = [];
      const signer = {
        ...h.deps.signer,
        sign: async (_authorised: object, tbs: Buffer): Promise<Buffer> => {
          asked.push(tbs.toString('hex'));
          throw new Error('killed');
        },
      };
      const dying = harness(db, { signer });
      const challenge = await dying.challenge();
      const request = pkiRequest({ challenge });
      await expect(dying.post(request.body)).rejects.toThrow('killed');
      expect(await states(challenge)).toMatchObject({ state: 'intended', der: null, uses: 1 });
      const rep = readCertRep(await h.post(request.body), request);
      expect(rep.certificate?.tbsDer.toString('hex')).toBe(asked[0]);
      expect(await states(challenge)).toMatchObject({ state: 'issued', uses: 1 });
    });

    it('between signature and storing: the retry makes the same octets again', async () => {
      const h = harness(db);
      const signed: Buffer[] = [];
      const store = {
        ...h.deps.store,
        complete: async (_serial: Buffer, { der }: { der: Buffer }): Promise<Buffer> => {
          signed.push(der);
          throw new Error('killed');
        },
      };
      const dying = harness(db, { store });
      const challenge = await dying.challenge();
      const request = pkiRequest({ challenge });
      await expect(dying.post(request.body)).rejects.toThrow('killed');
      expect(await states(challenge)).toMatchObject({ state: 'intended', der: null });
      const rep = readCertRep(await h.post(request.body), request);
      expect(rep.certificate?.der.equals(signed[0] ?? Buffer.alloc(0))).toBe(true);
    });

    it('after the intent was written and before anybody heard of it: the retry finds it', async () => {
      const h = harness(db);
      const store = {
        ...h.deps.store,
        intend: async (...parameters: Parameters<typeof h.deps.store.intend>): Promise<boolean> => {
          await h.deps.store.intend(...parameters);
          throw new Error('killed');
        },
      };
      const dying = harness(db, { store });
      const challenge = await dying.challenge();
      const request = pkiRequest({ challenge });
      await expect(dying.post(request.body)).rejects.toThrow('killed');
      expect(await states(challenge)).toMatchObject({ state: 'intended', uses: 1 });
      expect(readCertRep(await h.post(request.body), request).status).toBe('0');
      expect(await states(challenge)).toMatchObject({ state: 'issued', uses: 1 });
    });

    it('twice between signature and storing, with a CA whose signatures differ: the first stored stays', async () => {
      const ca = issue(ec('ca'), {
        subject: [{ type: 'CN', value: 'EC CA' }],
        notAfter: days(3650),
        extensions: { isCa: true, keyUsage: ['keyCertSign'] },
      });
      const h = harness(db, { signer: createCertificateSigner({ certificate: ca.der, key: ca.privateKey }) });
      const request = pkiRequest({ challenge: await h.challenge() });
      const reps = await Promise.all(Array.from({ length: 10 }, () => h.post(request.body)));
      reps.push(await h.post(request.body));
      const issued = reps.map((rep) => readCertRep(rep, request).certificate?.sha256);
      expect(new Set(issued).size).toBe(1);
      expect(issued[0]).toBeDefined();
    });

    it('before the intent: nothing happened', async () => {
      const h = harness(db);
      const store = { ...h.deps.store, intend: async (): Promise<boolean> => Promise.reject(new Error('killed')) };
      const dying = harness(db, { store });
      const challenge = await dying.challenge();
      const request = pkiRequest({ challenge });
      await expect(dying.post(request.body)).rejects.toThrow('killed');
      expect(await states(challenge)).toMatchObject({ state: null, uses: 0, consumed_at: null });
      expect(readCertRep(await h.post(request.body), request).status).toBe('0');
    });
  });

  describe('failures are limited (S1), successes are not', () => {
    it('stops looking at challenges after 10 failures of one peer, and starts again a minute later', async () => {
      const h = harness(db);
      const wrong = () => ({ challenge: randomBytes(32).toString('base64url') });
      for (let i = 0; i < 10; i++) await send(h, wrong(), '192.0.2.7');
      const refusals = h.log.length;
      const challenge = await h.challenge();
      expect(await send(h, { challenge }, '192.0.2.7')).toMatchObject({ status: '2', failInfo: FAIL.badRequest });
      expect(h.log.length).toBe(refusals);
      expect(await send(h, { challenge: await h.challenge() }, '192.0.2.8')).toMatchObject({ status: '0' });
      h.advance(60_000);
      expect(await send(h, { challenge }, '192.0.2.7')).toMatchObject({ status: '0' });
    });

    it('lets a fleet enrol behind one address', async () => {
      const h = harness(db);
      for (let i = 0; i < 30; i++) {
        expect(await send(h, { challenge: await h.challenge() }, '192.0.2.9')).toMatchObject({ status: '0' });
      }
    });
  });

  describe('operations', () => {
    const ask = (h: ReturnType<typeof harness>, operation: string | undefined, more: object = {}) =>
      h.service.handle({ method: 'GET', operation, message: undefined, body: Buffer.alloc(0), peer: 'p', ...more });

    it('says what it can do in plain text, also with an empty message (SCE-01, SCE-03)', async () => {
      const { contentType, body } = await ask(harness(db), 'GetCACaps', { message: '' });
      expect(contentType).toBe('text/plain');
      expect(body.toString()).toBe('Renewal\nSHA-1\nSHA-256\nAES\nDES3\nSCEPStandard\nPOSTPKIOperation\n');
    });

    it('shows the RA first, then the CA (SCE-16)', async () => {
      const { contentType, body } = await ask(harness(db), 'GetCACert', { message: 'any name' });
      expect(contentType).toBe('application/x-x509-ca-ra-cert');
      const { ra, ca } = authority();
      expect(readCertificates(body).map(({ sha256 }) => sha256)).toEqual([
        ra.certificate.sha256,
        ca.certificate.sha256,
      ]);
    });

    it('takes the message from the query in every spelling met (SCE-02)', async () => {
      const h = harness(db);
      const spellings: ((base64: string) => string)[] = [
        (text) => text,
        (text) => text.replaceAll('+', ' '),
        (text) => encodeURIComponent(text),
        (text) => text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''),
      ];
      for (const spell of spellings) {
        const request = pkiRequest({ challenge: await h.challenge() });
        const message = spell(request.body.toString('base64'));
        const { contentType, body } = await ask(h, 'PKIOperation', { message });
        expect(contentType).toBe('application/x-pki-message');
        expect(readCertRep(body, request).status).toBe('0');
      }
    });

    it('refuses what is no operation and no message with a typed error', async () => {
      const h = harness(db);
      const codeOf = (run: Promise<unknown>) =>
        run.then(
          () => 'accepted',
          (error) => (error as { code: string }).code,
        );
      for (const operation of [undefined, '', 'getcacaps', 'GetCACaps ', 'GetNextCACert', '__proto__']) {
        expect(await codeOf(ask(h, operation))).toBe('scep_operation_unknown');
      }
      expect(await codeOf(ask(h, 'PKIOperation', { method: 'PUT' }))).toBe('method_not_allowed');
      for (const message of [undefined, '', '%', 'a!', '====', 'é']) {
        expect(await codeOf(ask(h, 'PKIOperation', { message }))).toBe('scep_message_malformed');
      }
      const pem = `-----BEGIN CMS-----\n${pkiRequest().body.toString('base64')}\n-----END CMS-----\n`;
      for (const body of [Buffer.alloc(0), Buffer.from(pem), Buffer.from('3080', 'hex'), randomBytes(2000)]) {
        expect(await codeOf(ask(h, 'PKIOperation', { method: 'POST', body }))).toMatch(/^(asn1|cms)_/);
      }
    });

    it('answers nothing to a message whose outer signature does not fit', async () => {
      const h = harness(db);
      const { body } = pkiRequest({ challenge: await h.challenge() });
      const broken = Buffer.from(body);
      broken[broken.length - 1] = (broken[broken.length - 1] ?? 0) ^ 1;
      await expect(h.post(broken)).rejects.toSatisfy((error) => hasCode(error, 'cms_signature_invalid'));
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

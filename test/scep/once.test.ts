import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../db/database.ts';
import { hashOfChallenge } from '../../scep/challenge.ts';
import { createCertificateSigner } from '../../scep/signer.ts';
import { days, ec, issue, rsa } from '../cms/fixtures.ts';
import { eachDatabase } from '../support/databases.ts';
import { countCertificates, FAIL, harness, pkiRequest, readCertRep, send } from './support.ts';

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  describe('one challenge, one key (S2)', () => {
    it('gives a retry the same certificate, octet for octet', async () => {
      const h = harness(db);
      const challenge = await h.challenge();
      const first = pkiRequest({ challenge, transactionId: 'retried' });
      const again = pkiRequest({ challenge, transactionId: 'retried', messageType: 17, digest: 'sha512' });
      const certificate = readCertRep(await h.post(first.body), first).certificate;
      const before = await countCertificates(db);
      h.advance(3 * 3_600_000);
      expect(readCertRep(await h.post(first.body), first).certificate?.sha256).toBe(certificate?.sha256);
      expect(readCertRep(await h.post(again.body), again).certificate?.sha256).toBe(certificate?.sha256);
      expect(await countCertificates(db)).toBe(before);
      expect(await send(h, { challenge, transactionId: 'other' })).toMatchObject({ failInfo: FAIL.badRequest });
      expect(await send(h, { challenge, transactionId: 'retried', keys: rsa('stranger') })).toMatchObject({
        failInfo: FAIL.badRequest,
      });
    });

    it('gives 50 parallel posts of one request one certificate', async () => {
      const h = harness(db);
      const request = pkiRequest({ challenge: await h.challenge({ uses: 100 }) });
      const before = await countCertificates(db);
      const reps = await Promise.all(Array.from({ length: 50 }, () => h.post(request.body)));
      const issued = reps.map((rep) => readCertRep(rep, request).certificate?.sha256);
      expect(new Set(issued).size).toBe(1);
      expect(issued[0]).toBeDefined();
      expect(await countCertificates(db)).toBe(before + 1);
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
      const before = await countCertificates(db);
      const reps = await Promise.all(requests.map(async (request) => readCertRep(await h.post(request.body), request)));
      const issued = reps.flatMap(({ certificate }) => (certificate === undefined ? [] : [certificate.sha256]));
      expect(new Set(issued).size).toBe(1);
      expect(issued.length).toBe(10);
      expect(await countCertificates(db)).toBe(before + 1);
    });

    it('gives parallel challenges of one link no more certificates than it has uses', async () => {
      const h = harness(db);
      const { id, code } = await h.links.create({ uses: 3, ttlSeconds: 3600, teamId: 1 });
      const minted = [];
      for (let i = 0; i < 12; i++) minted.push(await h.links.mintChallenge(code, {}));
      const before = await countCertificates(db);
      const reps = await Promise.all(minted.map(({ challenge }) => send(h, { challenge: challenge.reveal() })));
      expect(reps.filter(({ status }) => status === '0').length).toBe(3);
      expect(await countCertificates(db)).toBe(before + 3);
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
});

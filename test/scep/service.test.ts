import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OID } from '../../cms/oids.ts';
import { readCertificates } from '../../cms/signed-data.ts';
import { verifyChain } from '../../cms/x509.ts';
import { hasCode } from '../../core/errors.ts';
import type { Database } from '../../db/database.ts';
import { days, NOW, rsa } from '../cms/fixtures.ts';
import { eachDatabase } from '../support/databases.ts';
import { authority, clientIdentity, harness, pkiRequest, readCertRep, send } from './support.ts';

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

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

  describe('failures are limited (S1), successes are not', () => {
    it('stops looking at challenges after 60 failures of one peer, and starts again a minute later', async () => {
      const h = harness(db);
      const wrong = () => ({ challenge: randomBytes(32).toString('base64url') });
      for (let i = 0; i < 60; i++) await send(h, wrong(), '192.0.2.7');
      const refusals = h.log.length;
      const challenge = await h.challenge();
      await expect(send(h, { challenge }, '192.0.2.7')).rejects.toMatchObject({ code: 'service_unavailable' });
      expect(h.log.length).toBe(refusals);
      expect(await send(h, { challenge: await h.challenge() }, '192.0.2.8')).toMatchObject({ status: '0' });
      h.advance(60_000);
      expect(await send(h, { challenge }, '192.0.2.7')).toMatchObject({ status: '0' });
    });

    it('lets a fleet enrol behind one address', async () => {
      const h = harness(db);
      for (let i = 0; i < 65; i++) {
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

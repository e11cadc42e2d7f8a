import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EspalierError } from '../../core/errors.ts';
import { systemRandom } from '../../core/system.ts';
import type { Database } from '../../db/database.ts';
import { hashOfEnrollCode, newEnrollCode } from '../../scep/enroll-code.ts';
import { eachDatabase } from '../support/databases.ts';
import { harness } from './support.ts';

const HOUR = 3_600_000;

const codeOf = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => 'accepted',
    (error: unknown) => (error instanceof EspalierError ? error.code : Promise.reject(error)),
  );

describe('codes', () => {
  it('are groups of easy characters with 150 bits between them', () => {
    const code = newEnrollCode(systemRandom);
    expect(code).toMatch(/^[0-9a-hjkmnp-tv-z]{5}(-[0-9a-hjkmnp-tv-z]{5}){5}$/);
    const all = new Set(Array.from({ length: 1000 }, () => newEnrollCode(systemRandom)));
    expect(all.size).toBe(1000);
    expect(newEnrollCode({ bytes: (length) => Buffer.alloc(length, 0xff) })).toBe(Array(6).fill('zzzzz').join('-'));
  });

  it('survive being copied by hand', () => {
    const hash = hashOfEnrollCode('01abc-de0f1-00000-11111-zzzzz-99999').toString('hex');
    for (const copy of [
      'O1ABC-DE0FI-OOOOO-LLLLL-ZZZZZ-99999',
      ' 01abc de0f1 00000 11111 zzzzz 99999 ',
      '01abcde0f10000011111zzzzz99999',
    ]) {
      expect(hashOfEnrollCode(copy).toString('hex')).toBe(hash);
    }
    expect(hashOfEnrollCode('01abc-de0f1-00000-11111-zzzzz-99998').toString('hex')).not.toBe(hash);
  });
});

eachDatabase((_kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());
  const link = (changes: object = {}) => ({ uses: 1, ttlSeconds: 3600, teamId: 1, ...changes });

  it('stores neither codes nor challenges, and gives what the link says', async () => {
    const h = harness(db);
    const { id, code, expiresAt } = await h.links.create(link({ serialNumber: 'C02LINK1' }));
    expect(expiresAt).toEqual(new Date(h.deps.clock.now().getTime() + HOUR));
    const frozen = { Topic: 'com.apple.mgmt.x', ServerURL: 'https://mdm.example.com/mdm' };
    const minted = await h.links.mintChallenge(code, frozen);
    expect(minted).toMatchObject({ serialNumber: 'C02LINK1', teamId: 1 });
    expect(String(minted.challenge)).toBe('[redacted]');
    expect(Buffer.from(minted.challenge.reveal(), 'base64url').length).toBe(32);
    const { rows } = await sql<{ text: string; frozen: unknown }>`
      select h::text || l::text as text, h.frozen from scep_challenge h join enroll_link l on l.id = h.enroll_link_id
      where l.id = ${id}
    `.execute(db.read);
    expect(rows[0]?.frozen).toEqual(frozen);
    for (const secret of [code, code.replaceAll('-', ''), minted.challenge.reveal()]) {
      expect(rows[0]?.text.includes(secret)).toBe(false);
      expect(rows[0]?.text.includes(Buffer.from(secret).toString('hex'))).toBe(false);
    }
  });

  it('tells an unknown code from one that is over', async () => {
    const h = harness(db);
    expect(await codeOf(h.links.mintChallenge('', {}))).toBe('enroll_code_invalid');
    expect(await codeOf(h.links.mintChallenge(newEnrollCode(systemRandom), {}))).toBe('enroll_code_invalid');
    const { id, code } = await h.links.create(link());
    await sql`update enroll_link set uses = 1 where id = ${id}`.execute(db.read);
    expect(await codeOf(h.links.mintChallenge(code, {}))).toBe('enroll_code_exhausted');
    const expiring = await h.links.create(link());
    h.advance(HOUR);
    expect(await codeOf(h.links.mintChallenge(expiring.code, {}))).toBe('enroll_code_exhausted');
  });

  it('bounds the challenges out, also when fetched in parallel, and frees them when they expire', async () => {
    const h = harness(db);
    const { code } = await h.links.create(link({ uses: 2, ttlSeconds: 86_400 }));
    const fetched = await Promise.all(Array.from({ length: 30 }, () => codeOf(h.links.mintChallenge(code, {}))));
    expect(fetched.filter((outcome) => outcome === 'accepted').length).toBe(22);
    expect(new Set(fetched)).toEqual(new Set(['accepted', 'enroll_code_exhausted']));
    h.advance(HOUR - 1);
    expect(await codeOf(h.links.mintChallenge(code, {}))).toBe('enroll_code_exhausted');
    h.advance(1);
    for (let i = 0; i < 22; i++) expect(await codeOf(h.links.mintChallenge(code, {}))).toBe('accepted');
    expect(await codeOf(h.links.mintChallenge(code, {}))).toBe('enroll_code_exhausted');
  });

  it('sweeps what expired unspent a week ago', async () => {
    const h = harness(db);
    h.advance(400 * 24 * HOUR);
    await h.links.sweep();
    await h.challenge();
    h.advance(HOUR + 7 * 24 * HOUR);
    expect(await h.links.sweep()).toBe(0);
    h.advance(1);
    expect(await h.links.sweep()).toBe(1);
  });

  it('takes part in a unit of work', async () => {
    const h = harness(db);
    let code = '';
    const rolledBack = db.run(async (tx) => {
      ({ code } = await h.links.create(link(), tx));
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    expect(await codeOf(h.links.mintChallenge(code, {}))).toBe('enroll_code_invalid');
  });

  it('refuses numbers and serial numbers that mean nothing', async () => {
    const h = harness(db);
    const bad = [
      { uses: 0 },
      { uses: 1.5 },
      { uses: Number.NaN },
      { uses: 2 ** 31 },
      { ttlSeconds: 0 },
      { serialNumber: '' },
      { serialNumber: 'a\nb' },
      { serialNumber: 'x'.repeat(65) },
    ];
    for (const changes of bad) expect(await codeOf(h.links.create(link(changes)))).toBe('request_malformed');
    expect(await codeOf(h.links.create(link({ teamId: 999_999 })))).toBe('team_not_found');
  });
});

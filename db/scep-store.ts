import { sql } from 'kysely';
import { EspalierError } from '../core/errors.ts';
import type { CertificateStore, EnrollLinkStore } from '../scep/ports.ts';
import type { ChallengeRecord, StoredCertificate } from '../scep/types.ts';
import { type Database, executorOf } from './database.ts';

interface ChallengeAndCertificateRow {
  id: string;
  link_id: string | null;
  uses: number;
  uses_allowed: number;
  enrollment_id: number | null;
  serial_number: string | null;
  expires_at: Date;
  consumed_at: Date | null;
  serial: Buffer | null;
  tbs: Buffer;
  der: Buffer | null;
  transaction_id: string;
  public_key_sha256: Buffer;
  not_after: Date;
  revoked_at: Date | null;
}

export function certificateStore(db: Database): CertificateStore {
  return {
    async findChallenge(hash) {
      const { rows } = await sql<ChallengeAndCertificateRow>`
        select h.id, l.id as link_id, l.uses, l.uses_allowed, h.enrollment_id, h.serial_number, h.expires_at,
               h.consumed_at, c.serial, c.tbs, c.der, c.transaction_id, c.public_key_sha256, c.not_after, c.revoked_at
        from scep_challenge h
        left join enroll_link l on l.id = h.enroll_link_id
        left join certificate c on c.challenge_id = h.id
        where h.hash = ${hash}
      `.execute(db.read);
      const row = rows[0];
      return row && { challenge: challengeOf(row), certificate: certificateOf(row) };
    },

    async findIdentity(sha256) {
      const { rows } = await sql<{ enrollment_id: number | null; not_after: Date; revoked_at: Date | null }>`
        select enrollment_id, not_after, revoked_at from certificate where sha256 = ${sha256}
      `.execute(db.read);
      const row = rows[0];
      return (
        row && {
          enrollment: row.enrollment_id ?? undefined,
          notAfter: row.not_after,
          revokedAt: row.revoked_at ?? undefined,
        }
      );
    },

    async intend(intent) {
      const { rows } = await sql`
        with challenge as (
          select id, enroll_link_id from scep_challenge
          where id = ${intent.challengeId} and consumed_at is null and expires_at > ${intent.intendedAt}
          for update
        ), link as (
          select id from enroll_link
          where id = (select enroll_link_id from challenge) and uses < uses_allowed
          for update
        ), granted as (
          select id, enroll_link_id from challenge where enroll_link_id is null or exists (select from link)
        ), spent as (
          update scep_challenge set consumed_at = ${intent.intendedAt} where id = (select id from granted)
        ), used as (
          update enroll_link set uses = uses + 1, outstanding = greatest(outstanding - 1, 0)
          where id = (select enroll_link_id from granted)
        )
        insert into certificate (serial, state, tbs, challenge_id, transaction_id, public_key_sha256, subject,
                                 not_before, not_after, intended_at)
        select ${intent.serial}::bytea, 'intended', ${intent.tbs}::bytea, id, ${intent.transactionId}::text,
               ${intent.publicKeySha256}::bytea, ${intent.subject}::text, ${intent.notBefore}::timestamptz,
               ${intent.notAfter}::timestamptz, ${intent.intendedAt}::timestamptz
        from granted returning 1
      `.execute(db.read);
      return rows.length === 1;
    },

    async complete(serial, { der, sha256, issuedAt }) {
      const { rows } = await sql<{ der: Buffer }>`
        update certificate set state = 'issued', der = coalesce(der, ${der}), sha256 = coalesce(sha256, ${sha256}),
                               issued_at = coalesce(issued_at, ${issuedAt})
        where serial = ${serial} returning der
      `.execute(db.read);
      const row = rows[0];
      if (row === undefined) throw new EspalierError('internal_error', 'a certificate without an intent');
      return row.der;
    },
  };
}

function challengeOf(row: ChallengeAndCertificateRow): ChallengeRecord {
  return {
    id: row.id,
    link: row.link_id === null ? undefined : { id: row.link_id, uses: row.uses, usesAllowed: row.uses_allowed },
    renews: row.enrollment_id ?? undefined,
    serialNumber: row.serial_number ?? undefined,
    expiresAt: row.expires_at,
    consumedAt: row.consumed_at ?? undefined,
  };
}

function certificateOf(row: ChallengeAndCertificateRow): StoredCertificate | undefined {
  if (row.serial === null) return undefined;
  return {
    serial: row.serial,
    tbs: row.tbs,
    der: row.der ?? undefined,
    transactionId: row.transaction_id,
    publicKeySha256: row.public_key_sha256,
    notAfter: row.not_after,
    revokedAt: row.revoked_at ?? undefined,
  };
}

interface LinkRow {
  id: string;
  code_hash: Buffer;
  serial_number: string | null;
  team_id: number;
  uses_allowed: number;
  uses: number;
  expires_at: Date;
  created_at: Date;
}

export const enrollLinkStore: EnrollLinkStore = {
  async insertLink(tx, link) {
    try {
      await sql`
        insert into enroll_link (id, code_hash, serial_number, team_id, uses_allowed, expires_at, created_at)
        values (${link.id}, ${link.codeHash}, ${link.serialNumber ?? null}, ${link.teamId}, ${link.usesAllowed},
                ${link.expiresAt}, ${link.createdAt})
      `.execute(executorOf(tx));
    } catch (error) {
      // foreign_key_violation: the row's only reference is the team.
      if ((error as { code?: unknown }).code !== '23503') throw error;
      throw new EspalierError('team_not_found', `there is no team ${link.teamId}`, { cause: error });
    }
  },

  async findLink(tx, codeHash) {
    const { rows } = await sql<LinkRow>`
      select id, code_hash, serial_number, team_id, uses_allowed, uses, expires_at, created_at
      from enroll_link where code_hash = ${codeHash} for update
    `.execute(executorOf(tx));
    const row = rows[0];
    return (
      row && {
        id: row.id,
        codeHash: row.code_hash,
        serialNumber: row.serial_number ?? undefined,
        teamId: row.team_id,
        usesAllowed: row.uses_allowed,
        uses: row.uses,
        expiresAt: row.expires_at,
        createdAt: row.created_at,
      }
    );
  },

  async takePlace(tx, linkId, spare, now) {
    const take = async (): Promise<boolean> => {
      const { rows } = await sql`
        update enroll_link set outstanding = outstanding + 1
        where id = ${linkId} and outstanding < uses_allowed - uses + ${spare} returning 1
      `.execute(executorOf(tx));
      return rows.length === 1;
    };
    if (await take()) return true;
    // Counting is linear in a link's challenges, so it is done only when the counter, which never counts too few, is full.
    await sql`
      update enroll_link set outstanding = (
        select count(*) from scep_challenge
        where enroll_link_id = ${linkId} and consumed_at is null and expires_at > ${now})
      where id = ${linkId}
    `.execute(executorOf(tx));
    return take();
  },

  async insertChallenge(tx, challenge) {
    await sql`
      insert into scep_challenge (id, hash, enroll_link_id, serial_number, team_id, frozen, expires_at, created_at)
      values (${challenge.id}, ${challenge.hash}, ${challenge.linkId}, ${challenge.serialNumber ?? null},
              ${challenge.teamId}, ${JSON.stringify(challenge.frozen)}::jsonb, ${challenge.expiresAt},
              ${challenge.createdAt})
    `.execute(executorOf(tx));
  },

  async deleteExpired(tx, before) {
    const { rows } = await sql`
      delete from scep_challenge where consumed_at is null and expires_at < ${before} returning 1
    `.execute(executorOf(tx));
    return rows.length;
  },
};

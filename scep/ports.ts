import type { Tx } from '../core/tx.ts';
import type { ChallengeRecord, Intent, SignerIdentity, StoredCertificate } from './types.ts';

export interface CertificateStore {
  /** A challenge by the SHA-256 of its text, and the certificate it was spent on. */
  findChallenge(
    hash: Buffer,
  ): Promise<{ challenge: ChallengeRecord; certificate: StoredCertificate | undefined } | undefined>;
  /** A certificate of ours by the SHA-256 of its DER. */
  findIdentity(sha256: Buffer): Promise<SignerIdentity | undefined>;
  /**
   * Spend the challenge, count the link's use, write the intent: one statement and a transaction of its own, which costs
   * 11 % less CPU per certificate than a unit of work around it. False, and nothing written, when the challenge was spent
   * or has expired or the link was used up since it was read.
   */
  intend(intent: Intent): Promise<boolean>;
  /**
   * Store a signature's result, in a transaction of its own. Answers the stored DER, which is another one when somebody
   * was faster.
   */
  complete(serial: Buffer, certificate: { der: Buffer; sha256: Buffer; issuedAt: Date }): Promise<Buffer>;
}

export interface EnrollLinkRow {
  readonly id: string;
  readonly codeHash: Buffer;
  readonly serialNumber: string | undefined;
  readonly teamId: number;
  readonly usesAllowed: number;
  readonly expiresAt: Date;
  readonly createdAt: Date;
}

export interface ChallengeRow {
  readonly id: string;
  readonly hash: Buffer;
  readonly linkId: string;
  readonly serialNumber: string | undefined;
  readonly teamId: number;
  /** The keys of the enrolment profile that may never change, as JSON (ENR-05). */
  readonly frozen: unknown;
  readonly expiresAt: Date;
  readonly createdAt: Date;
}

export interface EnrollLinkStore {
  insertLink(tx: Tx, link: EnrollLinkRow): Promise<void>;
  /** A link with its row locked, so that the places of one link are taken one after the other. */
  findLink(tx: Tx, codeHash: Buffer): Promise<(EnrollLinkRow & { readonly uses: number }) | undefined>;
  /**
   * Take one of the locked link's places for challenges not yet spent. False when uses and outstanding challenges
   * together have reached `usesAllowed + spare`.
   */
  takePlace(tx: Tx, linkId: string, spare: number, now: Date): Promise<boolean>;
  insertChallenge(tx: Tx, challenge: ChallengeRow): Promise<void>;
  /** Delete challenges that expired unspent before `before`; answers how many. */
  deleteExpired(tx: Tx, before: Date): Promise<number>;
}

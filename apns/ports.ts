import type { EnrollmentRef } from '../core/enrollment.ts';
import type { Secret } from '../core/secret.ts';
import type { Tx } from '../core/tx.ts';
import type { DuePush, PushAnswer, PushOutcome } from './types.ts';

export interface PushStore {
  /** One waiting push per enrolment at most: an earlier due time wins, a later one is swallowed (PSH-03). */
  request(tx: Tx, enrollments: readonly EnrollmentRef[], reason: string, dueAt: Date): Promise<void>;
  /** Lease up to `limit` due pushes of live enrolments with a token, until `leaseUntil`. */
  lease(owner: string, now: Date, leaseUntil: Date, limit: number): Promise<readonly DuePush[]>;
  /** Write what came of leased pushes, in one statement each for accepted and not accepted. */
  settle(owner: string, outcomes: readonly PushOutcome[], now: Date): Promise<void>;
  /** Ask again for enrolments that have live commands, no waiting push, and no poll since `silentSince`. */
  requestForSilent(now: Date, silentSince: Date, limit: number): Promise<number>;
  /**
   * After a start: whoever has a live command is pushed, at most `perSecond` a second. A poll that met a server which was
   * just ending failed, and a Mac does not repeat it by itself.
   */
  requestForWaiting(now: Date, perSecond: number): Promise<number>;
}

export interface PushCertificate {
  readonly topic: string;
  /** DER, leaf only. */
  readonly certificate: Buffer;
  /** PKCS#8 PEM. */
  readonly privateKey: Secret<string>;
  readonly notAfter: Date;
}

export interface PushCertificateStore {
  save(tx: Tx, certificate: PushCertificate, sealedKey: Buffer, now: Date): Promise<void>;
  list(): Promise<readonly { topic: string; certificate: Buffer; sealedKey: Buffer; notAfter: Date }[]>;
}

/** The wire. Never throws: a fault of the wire is an answer too. */
export interface PushClient {
  send(push: DuePush): Promise<PushAnswer>;
  close(): Promise<void>;
}

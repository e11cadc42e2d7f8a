import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { readAsn1 } from '../../cms/asn1.ts';
import { octetString, printable } from '../../cms/der.ts';
import { type DecryptedEnvelopedData, decryptEnvelopedData, encryptEnvelopedData } from '../../cms/enveloped-data.ts';
import { decodeString } from '../../cms/names.ts';
import { OID } from '../../cms/oids.ts';
import { buildCertificationRequest, type CertificationRequestInput } from '../../cms/pkcs10.ts';
import {
  buildSignedData,
  type Digest,
  readCertificates,
  type SignedAttribute,
  verifySignedData,
} from '../../cms/signed-data.ts';
import type { Certificate } from '../../cms/x509.ts';
import { monotonicIds } from '../../core/ids.ts';
import { systemRandom } from '../../core/system.ts';
import type { Database } from '../../db/database.ts';
import { certificateStore, enrollLinkStore } from '../../db/scep-store.ts';
import { createEnrollLinks } from '../../scep/enroll-links.ts';
import { createScepService, type ScepRequest, type ScepServiceDeps } from '../../scep/service.ts';
import { createCertificateSigner } from '../../scep/signer.ts';
import { days, type Identity, issue, type KeyPair, NOW, rsa } from '../cms/fixtures.ts';

export interface Authority {
  readonly ca: Identity;
  readonly ra: Identity;
}

let shared: Authority | undefined;

/** A device-identity CA and the RA below it, made once per test file. */
export function authority(): Authority {
  if (shared !== undefined) return shared;
  const ca = issue(rsa('ca'), {
    subject: [{ type: 'CN', value: 'Espalier test device CA' }],
    notAfter: days(3650),
    extensions: { isCa: true, keyUsage: ['keyCertSign', 'cRLSign'] },
  });
  const ra = issue(rsa('ra'), {
    subject: [{ type: 'CN', value: 'Espalier test SCEP RA' }],
    issuer: ca,
    notAfter: days(3650),
    extensions: { isCa: false, keyUsage: ['digitalSignature', 'keyEncipherment'] },
  });
  shared = { ca, ra };
  return shared;
}

/** The service over a real store, with a clock that moves by hand and the log kept. */
export function harness(db: Database, changes: Partial<ScepServiceDeps> = {}) {
  let now = NOW.getTime();
  const clock = { now: () => new Date(now) };
  const { ca, ra } = authority();
  const log: { fields: object; message: string }[] = [];
  const keep = (fields: object, message: string): void => void log.push({ fields, message });
  const deps: ScepServiceDeps = {
    store: certificateStore(db),
    signer: createCertificateSigner({ certificate: ca.der, key: ca.privateKey }),
    ra: { certificate: ra.der, chain: [ca.der], key: ra.privateKey },
    organization: 'Espalier',
    clock,
    random: systemRandom,
    log: { debug: keep, info: keep, warn: keep, error: keep },
    ...changes,
  };
  const links = createEnrollLinks({
    store: enrollLinkStore,
    unitOfWork: db,
    clock,
    random: systemRandom,
    ids: monotonicIds(clock, systemRandom),
  });
  const service = createScepService(deps);
  let peers = 0;
  return {
    deps,
    links,
    service,
    log,
    advance: (milliseconds: number) => {
      now += milliseconds;
    },
    /** Each call is a peer of its own unless one is named, so that the failure limit stays out of the way. */
    async post(body: Buffer, peer = `peer ${peers++}`): Promise<Buffer> {
      const request: ScepRequest = { method: 'POST', operation: 'PKIOperation', message: undefined, body, peer };
      return (await service.handle(request)).body;
    },
    async challenge(options: { uses?: number; serialNumber?: string } = {}): Promise<string> {
      const { code } = await links.create({ uses: 1, ttlSeconds: 3600, teamId: 1, ...options });
      return (await links.mintChallenge(code, { Topic: 'com.apple.mgmt.test' })).challenge.reveal();
    },
  };
}

export interface MessageOptions {
  readonly keys?: KeyPair;
  readonly challenge?: string;
  readonly messageType?: number | string;
  readonly transactionId?: string;
  readonly cipher?: 'aes128-cbc' | 'aes256-cbc' | 'des-ede3-cbc';
  readonly digest?: Digest;
  readonly csr?: Buffer;
  readonly csrChanges?: Partial<CertificationRequestInput>;
  readonly signer?: Identity;
  readonly recipient?: Certificate;
  /** In place of the signed attributes of RFC 8894 3.2.1. */
  readonly attributes?: readonly SignedAttribute[];
  /** In place of the EnvelopedData. */
  readonly envelope?: Buffer;
}

const selfSigned = new Map<KeyPair, Identity>();

/** What a client signs its first request with. */
export function clientIdentity(keys: KeyPair): Identity {
  const made =
    selfSigned.get(keys) ?? issue(keys, { extensions: { keyUsage: ['digitalSignature', 'keyEncipherment'] } });
  selfSigned.set(keys, made);
  return made;
}

export interface PkiRequest {
  readonly body: Buffer;
  readonly senderNonce: Buffer;
  readonly transactionId: string;
  readonly signer: Identity;
}

/** A PKIOperation message (RFC 8894 3.2), made with our cms and nothing of the room under test. */
export function pkiRequest(options: MessageOptions = {}): PkiRequest {
  const keys = options.keys ?? rsa('device');
  const signer = options.signer ?? clientIdentity(keys);
  const transactionId = options.transactionId ?? randomBytes(16).toString('hex');
  const senderNonce = randomBytes(16);
  const csr =
    options.csr ??
    buildCertificationRequest({
      subject: [{ type: 'CN', value: 'what the client would like' }],
      keyPair: keys,
      ...(options.challenge === undefined ? {} : { challengePassword: options.challenge }),
      ...options.csrChanges,
    });
  const envelope =
    options.envelope ??
    encryptEnvelopedData({
      content: csr,
      recipientCertificateDer: (options.recipient ?? authority().ra.certificate).der,
      cipher: options.cipher ?? 'aes128-cbc',
      random: randomBytes,
    });
  const body = buildSignedData({
    content: envelope,
    signer: { certificateDer: signer.der, key: signer.privateKey },
    digest: options.digest ?? 'sha256',
    extraSignedAttributes: options.attributes ?? [
      { oid: OID.scepMessageType, value: printable(String(options.messageType ?? 19)) },
      { oid: OID.scepTransactionId, value: printable(transactionId) },
      { oid: OID.scepSenderNonce, value: octetString(senderNonce) },
    ],
  });
  return { body, senderNonce, transactionId, signer };
}

export interface CertRep {
  readonly status: string;
  readonly failInfo: string | undefined;
  readonly certificate: Certificate | undefined;
  readonly cipher: DecryptedEnvelopedData['cipher'] | undefined;
  readonly digest: Digest;
}

/** Read an answer as a strict client would: signature, RA, nonce and transaction first. */
export function readCertRep(ber: Buffer, request: PkiRequest): CertRep {
  const signed = asFailure(ber) ?? verifySignedData(ber);
  const text = (oid: string): string | undefined => {
    const [value] = signed.signedAttributes.get(oid) ?? [];
    return value === undefined ? undefined : decodeString(readAsn1(value));
  };
  const octets = (oid: string): Buffer => readAsn1(signed.signedAttributes.get(oid)?.[0] ?? Buffer.alloc(0)).body;
  if (!signed.signer.der.equals(authority().ra.der)) throw new Error('not signed by the RA');
  if (text(OID.scepMessageType) !== '3') throw new Error('not a CertRep');
  if (text(OID.scepTransactionId) !== request.transactionId) throw new Error('another transactionID');
  if (!octets(OID.scepRecipientNonce).equals(request.senderNonce)) throw new Error('recipientNonce is not ours');
  if (octets(OID.scepSenderNonce).length !== 16) throw new Error('senderNonce is not 16 octets');
  const status = text(OID.scepPkiStatus) ?? '';
  const failInfo = text(OID.scepFailInfo);
  const digest = signed.digestAlgorithm;
  if (status !== '0') return { status, failInfo, certificate: undefined, cipher: undefined, digest };
  const { certificate: own, privateKey: key } = request.signer;
  const opened = decryptEnvelopedData(signed.content, {
    recipients: [{ certificate: own, key }],
    allowTripleDes: true,
  });
  const [certificate] = readCertificates(opened.content);
  return { status, failInfo, certificate, cipher: opened.cipher, digest };
}

/** A failure has no content at all (RFC 8894 3.3.2.2), so the digest is that of nothing. */
function asFailure(ber: Buffer) {
  try {
    return verifySignedData(ber, { detachedContent: Buffer.alloc(0) });
  } catch {
    return undefined;
  }
}

/** What a strict client makes of the service's answer to one message. */
export async function send(h: ReturnType<typeof harness>, options: MessageOptions, peer?: string): Promise<CertRep> {
  const request = pkiRequest(options);
  return readCertRep(await h.post(request.body, peer), request);
}

/** RFC 8894 3.2.1.4, as sent. */
export const FAIL = { badAlg: '0', badMessageCheck: '1', badRequest: '2', badCertId: '4' } as const;

export async function countCertificates(db: Database): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*)::int as count from certificate`.execute(db.read);
  return rows[0]?.count ?? 0;
}

import { randomBytes } from 'node:crypto';
import type { Name } from '../cms/names.ts';
import { nameValue } from '../cms/names.ts';
import { readCertificates } from '../cms/signed-data.ts';
import { type Certificate, parseCertificate, verifyChain } from '../cms/x509.ts';
import { matchesFingerprint, type ScepSettings } from './enrollment-profile.ts';
import type { MacIdentity } from './identity.ts';
import type { KeyPair } from './key-pool.ts';
import { readOr, refusal } from './refusal.ts';
import {
  buildCertPoll,
  buildPkcsReq,
  type CertRep,
  FAIL_INFO,
  type RequestCipher,
  readCertRep,
  type ScepTransaction,
  selfSign,
} from './scep-message.ts';
import { type MacResponse, type Transport, Unreachable } from './transport.ts';

export interface ScepDeps {
  readonly transport: Transport;
  readonly identity: MacIdentity;
  readonly keyPair: KeyPair;
  readonly now: () => Date;
  readonly sleep: (ms: number) => Promise<void>;
}

/** GetCACaps, GetCACert, PKCSReq, CertPoll while PENDING: the issued identity certificate, or what the Mac refuses. */
export async function enrollWithScep(settings: ScepSettings, deps: ScepDeps): Promise<Certificate> {
  const caps = await getCaCaps(settings, deps);
  const ca = await getCaCert(settings, deps);
  const subject = subjectFor(settings, deps.identity);
  const scep: ScepTransaction = {
    // RFC 8894 3.2.1.1 suggests a hash of the key; keys are shared here, so that would not be unique.
    transactionId: randomBytes(20).toString('hex').toUpperCase(),
    subject,
    keyPair: deps.keyPair,
    selfSigned: selfSign(subject, deps.keyPair, randomBytes(16), deps.now()),
    recipient: ca.recipient,
    cipher: caps.cipher,
    random: randomBytes,
  };
  for (let attempt = 0; ; attempt += 1) {
    const answer = await ask(settings, deps, scep, ca, caps.post, attempt > 0);
    if (answer.status === 'success') return requireIdentity(answer.certificates, scep, ca, deps.now());
    if (answer.status === 'failure') {
      const info = FAIL_INFO.get(answer.failInfo) ?? answer.failInfo;
      throw refusal('MAC-39', 'MCSCEP', 22013, `The SCEP server refused the request: ${info}`);
    }
    if (attempt >= settings.retries) throw refusal('MAC-39', 'MCSCEP', 22013, 'The SCEP request is still pending');
    // The first retry comes without the delay (apple-protocol 3.3).
    if (attempt > 0) await deps.sleep(settings.retryDelaySeconds * 1000);
  }
}

interface Capabilities {
  readonly cipher: RequestCipher;
  readonly post: boolean;
}

async function getCaCaps(settings: ScepSettings, deps: ScepDeps): Promise<Capabilities> {
  const answer = await get(settings, deps, 'GetCACaps', settings.name ?? '');
  if (answer.status !== 200) throw refusal('MAC-30', 'MCSCEP', 22006, `GetCACaps was answered ${answer.status}`);
  const caps = new Set(
    answer.body
      .toString('latin1')
      .split(/\r?\n/)
      .map((line) => line.trim()),
  );
  const has = (name: string): boolean => caps.has(name) || caps.has('SCEPStandard');
  if (!has('SHA-256')) throw refusal('MAC-30', 'MCSCEP', 22006, 'The CA does not offer SHA-256');
  if (!has('AES') && !caps.has('DES3')) throw refusal('MAC-30', 'MCSCEP', 22006, 'The CA offers neither AES nor DES3');
  return { cipher: has('AES') ? 'aes128-cbc' : 'des-ede3-cbc', post: has('POSTPKIOperation') };
}

interface CaCertificates {
  readonly all: readonly Certificate[];
  readonly recipient: Certificate;
  readonly issuers: readonly Certificate[];
}

async function getCaCert(settings: ScepSettings, deps: ScepDeps): Promise<CaCertificates> {
  const answer = await get(settings, deps, 'GetCACert', settings.name ?? '');
  const all = readCaCertificates(answer);
  if (settings.caFingerprint !== undefined) {
    const fingerprint = settings.caFingerprint;
    if (!all.some((certificate) => matchesFingerprint(certificate.der, fingerprint))) {
      throw refusal('MAC-32', 'MCSCEP', 22002, 'No certificate of the CA has the fingerprint of the profile');
    }
  }
  const issuers = all.filter((certificate) => certificate.isCa);
  const encrypts = (certificate: Certificate): boolean => certificate.keyUsage?.has('keyEncipherment') ?? true;
  const recipient = all.find((certificate) => !certificate.isCa && encrypts(certificate)) ?? all.find(encrypts);
  if (issuers.length === 0 || recipient?.publicKey().asymmetricKeyType !== 'rsa') {
    throw refusal('MAC-31', 'MCSCEP', 22002, 'GetCACert names no CA, or nobody an RSA envelope can be sent to');
  }
  if (!verifyChain(recipient, all, issuers, deps.now()).trusted) {
    throw refusal('MAC-31', 'MCSCEP', 22003, 'The RA certificate was not issued by the CA');
  }
  return { all, recipient, issuers };
}

function readCaCertificates(answer: MacResponse): readonly Certificate[] {
  const unreadable = (detail: string, cause?: unknown) =>
    refusal('MAC-31', 'MCSCEP', 22002, `The answer to GetCACert is not valid: ${detail}`, cause);
  if (answer.status !== 200) throw unreadable(`status ${answer.status}`);
  switch (answer.mediaType) {
    case 'application/x-x509-ca-cert':
      return [readOr(() => parseCertificate(answer.body), unreadable)];
    case 'application/x-x509-ca-ra-cert':
      return readOr(() => readCertificates(answer.body), unreadable);
    default:
      throw unreadable(`media type ${answer.mediaType}`);
  }
}

async function ask(
  settings: ScepSettings,
  deps: ScepDeps,
  scep: ScepTransaction,
  ca: CaCertificates,
  post: boolean,
  poll: boolean,
): Promise<CertRep> {
  const senderNonce = randomBytes(16);
  const [issuer] = ca.issuers;
  const message =
    poll && issuer !== undefined ? buildCertPoll(scep, issuer, senderNonce) : buildPkcsReq(scep, settings, senderNonce);
  const answer = await resent(() =>
    post
      ? deps.transport.send({
          method: 'POST',
          url: scepUrl(settings.url, 'PKIOperation'),
          headers: { 'content-type': 'application/x-pki-message' },
          body: message,
        })
      : get(settings, deps, 'PKIOperation', message.toString('base64')),
  );
  if (answer.status !== 200 || answer.mediaType !== 'application/x-pki-message') {
    const got = `${answer.status} ${answer.mediaType}`;
    throw refusal('MAC-38', 'MCSCEP', 22013, `PKIOperation was answered ${got}`);
  }
  return readCertRep(answer.body, scep, senderNonce, ca.all);
}

/** SCE-09: the same octets once more after a lost answer. */
async function resent(send: () => Promise<MacResponse>): Promise<MacResponse> {
  try {
    return await send();
  } catch (error) {
    if (error instanceof Unreachable) return send();
    throw error;
  }
}

function requireIdentity(
  certificates: readonly Certificate[],
  scep: ScepTransaction,
  ca: CaCertificates,
  now: Date,
): Certificate {
  const invalid = (rule: string, why: string) =>
    refusal(rule, 'MCSCEP', 22007, `The issued certificate is not valid: ${why}`);
  const [issued] = certificates;
  if (issued === undefined) throw invalid('MAC-37', 'there is none');
  if (!issued.spkiDer.equals(scep.selfSigned.spkiDer)) throw invalid('MAC-37', 'it is not about the key that asked');
  const commonName = nameValue(issued.subject, 'CN');
  if (commonName === undefined || commonName === '') throw invalid('MAC-40', 'its subject has no common name');
  const chain = verifyChain(issued, certificates, ca.issuers, now);
  if (!chain.trusted) throw invalid('MAC-37', `it does not chain to the CA (${chain.reason})`);
  if (issued.isCa) throw invalid('MAC-37', 'it is a CA');
  return issued;
}

const EXPANSIONS: Readonly<Record<string, (identity: MacIdentity) => string>> = {
  '%ComputerName%': (identity) => identity.deviceName,
  '%HardwareUUID%': (identity) => identity.udid,
  '%SerialNumber%': (identity) => identity.serialNumber,
  '%HostName%': (identity) => identity.hostName,
  '%LocalHostName%': (identity) => identity.hostName.replace(/\.local$/, ''),
};

/** SCP-01: macOS expands its own variables, and takes the PayloadIdentifier where there is no CN. */
function subjectFor(settings: ScepSettings, identity: MacIdentity): Name {
  const subject = settings.subject.map(([type, value]) => ({
    type,
    value: value.replace(/%\w+%/g, (variable) => EXPANSIONS[variable]?.(identity) ?? variable),
  }));
  const hasName = subject.some(({ type }) => type === 'CN' || type === '2.5.4.3');
  return hasName ? subject : [...subject, { type: 'CN', value: settings.payload.identifier }];
}

function scepUrl(base: string, operation: string, message?: string): string {
  const url = new URL(base);
  url.searchParams.set('operation', operation);
  // An empty `message=` is sent all the same, as older systems do (SCE-01).
  if (message !== undefined) url.searchParams.set('message', message);
  return url.href;
}

const get = (settings: ScepSettings, deps: ScepDeps, operation: string, message: string): Promise<MacResponse> =>
  deps.transport.send({ method: 'GET', url: scepUrl(settings.url, operation, message) });

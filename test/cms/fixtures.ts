import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeName, type Name } from '../../cms/names.ts';
import { derToPem } from '../../cms/pem.ts';
import {
  buildTbsCertificate,
  type Certificate,
  type CertificateExtensions,
  keyIdentifier,
  parseCertificate,
  signCertificate,
} from '../../cms/x509.ts';
import { EspalierError } from '../../core/errors.ts';
import { toolPath } from '../support/tool.ts';

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface Identity extends KeyPair {
  readonly der: Buffer;
  readonly certificate: Certificate;
}

const pool = new Map<string, KeyPair>();

/** An RSA key costs 158 ms, so tests of one file share them by name. */
export function rsa(name = 'first', modulusLength = 2048): KeyPair {
  const made = pool.get(`rsa ${name}`) ?? generateKeyPairSync('rsa', { modulusLength });
  pool.set(`rsa ${name}`, made);
  return made;
}

export function ec(name = 'first', namedCurve = 'P-256'): KeyPair {
  const made = pool.get(`ec ${name}`) ?? generateKeyPairSync('ec', { namedCurve });
  pool.set(`ec ${name}`, made);
  return made;
}

export const spki = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' });

export const NOW = new Date('2026-03-01T12:00:00Z');
export const days = (count: number): Date => new Date(NOW.getTime() + count * 86_400_000);

export interface IssueOptions {
  readonly subject?: Name;
  readonly issuer?: Identity;
  readonly extensions?: CertificateExtensions;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly serial?: Uint8Array;
}

/** Self-signed unless an issuer is given. */
export function issue(keys: KeyPair, options: IssueOptions = {}): Identity {
  const subject = options.subject ?? [
    { type: 'O', value: 'Espalier test' },
    { type: 'CN', value: 'device' },
  ];
  const signer = options.issuer?.privateKey ?? keys.privateKey;
  const der = signCertificate(
    buildTbsCertificate({
      serial: options.serial ?? Buffer.concat([Buffer.from([1]), randomBytes(15)]),
      issuer: options.issuer?.certificate.subjectDer ?? encodeName(subject),
      subject,
      notBefore: options.notBefore ?? days(-1),
      notAfter: options.notAfter ?? days(365),
      spkiDer: spki(keys.publicKey),
      extensions: {
        subjectKeyId: keyIdentifier(spki(keys.publicKey)),
        authorityKeyId: keyIdentifier(spki(options.issuer?.publicKey ?? keys.publicKey)),
        ...options.extensions,
      },
      signatureAlgorithm: signer.asymmetricKeyType === 'ec' ? 'ecdsaWithSHA256' : 'sha256WithRSA',
    }),
    signer,
  );
  return { ...keys, der, certificate: parseCertificate(der) };
}

export const openssl = toolPath('openssl');

/** A folder of named files, and openssl run inside it. */
export function workbench(files: Record<string, Uint8Array | string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-cms-'));
  const write = (name: string, content: Uint8Array | string): void => writeFileSync(join(folder, name), content);
  for (const [name, content] of Object.entries(files)) write(name, content);
  return {
    write,
    read: (name: string): Buffer => readFileSync(join(folder, name)),
    run: (...args: string[]): Buffer =>
      execFileSync(openssl ?? 'openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }),
    /** Exit status and everything printed, for commands that report on stderr. */
    ask: (...args: string[]): { status: number | null; text: string } => {
      const result = spawnSync(openssl ?? 'openssl', args, { cwd: folder, encoding: 'utf8' });
      return { status: result.status, text: result.stdout + result.stderr };
    },
    close: (): void => rmSync(folder, { recursive: true, force: true }),
  };
}

export const keyPem = (key: KeyObject): string => key.export({ format: 'pem', type: 'pkcs8' }).toString();
export const certPem = (identity: Identity): string => derToPem(identity.der, 'CERTIFICATE');

/** The code of what `run` throws; anything but a typed error fails the test. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof EspalierError) return error.code;
    throw error;
  }
  return 'accepted';
}

/** The same octets from the same seed: for round trips that must repeat themselves. */
export function seededRandom(seed: number): (octets: number) => Buffer {
  let state = seed >>> 0;
  return (octets) =>
    Buffer.from(
      Array.from({ length: octets }, () => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state >>> 24;
      }),
    );
}

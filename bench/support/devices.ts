/** Enrolled Macs as rows, with certificates of the installation's own CA: what SCEP and check-in would have left. */
import { createPublicKey, generateKeyPair, hash, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { prepareSignedData } from '../../cms/signed-data.ts';
import { assembleCertificate, buildTbsCertificate, type Certificate, parseCertificate } from '../../cms/x509.ts';
import type { Database } from '../../db/database.ts';
import type { SigningIdentity } from '../../keys/types.ts';
import type { Writable } from '../../plist/types.ts';
import { writePlist } from '../../plist/write.ts';
import { requestBytes } from './wire.ts';

/** In the thread pool: preparing 10,000 Macs on one thread would take longer than measuring them. */
const signOnThread = promisify(sign);
const generate = promisify(generateKeyPair);
const DAY_MS = 86_400_000;
const AT_ONCE = 8;
const ROWS_PER_STATEMENT = 1000;
const TOPIC = 'com.apple.mgmt.External.bench';

export interface Device {
  readonly udid: string;
  readonly certificate: Buffer;
  readonly key: KeyObject;
}

export interface DeviceKeys {
  readonly privateKey: KeyObject;
  readonly spkiDer: Buffer;
}

/** A key costs 158 ms; the server sees distinct certificates and does not know that keys are shared. */
export async function makeKeys(count: number): Promise<DeviceKeys[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const { privateKey } = await generate('rsa', { modulusLength: 2048 });
      return { privateKey, spkiDer: createPublicKey(privateKey).export({ format: 'der', type: 'spki' }) };
    }),
  );
}

export async function makeDevices(count: number, keys: readonly DeviceKeys[], ca: SigningIdentity): Promise<Device[]> {
  const issuer = parseCertificate(ca.certificate);
  return pooled(count, async (index) => {
    const key = keys[index % keys.length] as DeviceKeys;
    const number = index.toString(16).padStart(12, '0').toUpperCase();
    return {
      udid: `BE9C0000-0000-4000-8000-${number}`,
      certificate: await issue(index, key, issuer, ca.key),
      key: key.privateKey,
    };
  });
}

async function issue(index: number, key: DeviceKeys, issuer: Certificate, caKey: KeyObject): Promise<Buffer> {
  const now = Math.floor(Date.now() / 1000) * 1000;
  const tbs = buildTbsCertificate({
    serial: Buffer.concat([Buffer.from([1]), hash('sha256', `bench ${index}`, 'buffer').subarray(0, 16)]),
    issuer: issuer.subjectDer,
    subject: [
      { type: 'O', value: 'Bench' },
      { type: 'CN', value: `bench-${index}` },
    ],
    notBefore: new Date(now - 3_600_000),
    notAfter: new Date(now + 365 * DAY_MS),
    spkiDer: key.spkiDer,
    signatureAlgorithm: 'sha256WithRSA',
    extensions: { keyUsage: ['digitalSignature', 'keyEncipherment'], extendedKeyUsage: ['1.3.6.1.5.5.7.3.2'] },
  });
  return assembleCertificate(tbs, 'sha256WithRSA', await signOnThread('sha256', tbs, caKey));
}

export async function pooled<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = new Array<T>(count);
  let next = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let index = next++; index < count; index = next++) made[index] = await make(index);
    }),
  );
  return made;
}

/** Live since today, nothing applied, asked for its profiles just now: nothing for the reconciler to do. */
export async function enrolDevices(db: Database, devices: readonly Device[], teamOf: (index: number) => number) {
  for (let from = 0; from < devices.length; from += ROWS_PER_STATEMENT) {
    const part = devices.slice(from, from + ROWS_PER_STATEMENT);
    const certificates = part.map(({ certificate }) => parseCertificate(certificate));
    const column = (values: readonly unknown[]) => sql.val([...values]);
    await sql`
      with d as (
        select * from unnest(
          ${column(part.map(({ udid }) => udid))}::text[], ${column(part.map((_, index) => teamOf(from + index)))}::int[],
          ${column(certificates.map(({ sha256 }) => Buffer.from(sha256, 'hex')))}::bytea[],
          ${column(part.map(({ certificate }) => certificate))}::bytea[],
          ${column(certificates.map(({ serial }) => Buffer.from(serial, 'hex')))}::bytea[]
        ) as d (udid, team_id, sha256, der, serial)
      ), h as (
        insert into host (id, udid, serial_number, os_version, team_id, created_at, updated_at)
        select udid::uuid, udid, right(udid, 12), '15.1', team_id, now(), now() from d returning id
      ), e as (
        insert into enrollment (enrollment_id, type, channel, host_id, state, generation, topic, push_token, push_magic,
          token_updated_at, frozen, certificate_sha256, binding, enrolled_at)
        select udid, 'Device', 'device', udid::uuid, 'enrolled', 1, ${TOPIC}, sha256, udid, now(), '{}', sha256, 'link_only', now()
        from d returning id, enrollment_id
      ), r as (
        insert into recon (enrollment_id, team_id, actual_known, rev, osquery_at, osquery_state, profile_list_at)
        select e.id, d.team_id, true, 1, now(), 'rows', now() from e join d on d.udid = e.enrollment_id
      ), s as (
        insert into scep_challenge (id, hash, team_id, frozen, expires_at, created_at, consumed_at)
        select udid::uuid, sha256, team_id, '{}', now(), now(), now() from d
      )
      insert into certificate (serial, state, tbs, der, sha256, challenge_id, transaction_id, public_key_sha256, subject,
        not_before, not_after, intended_at, issued_at, enrollment_id, standing, pinned_at)
      select d.serial, 'issued', ''::bytea, d.der, d.sha256, d.udid::uuid, d.udid, d.sha256, 'CN=bench', now(),
        now() + interval '1 year', now(), now(), e.id, 'current', now()
      from d join e on e.enrollment_id = d.udid
    `.execute(db.read);
  }
}

/** A signed `PUT /mdm`. The signature covers the body alone, so the same bytes can be sent for ever. */
export async function signedPut({ certificate, key }: Device, message: Record<string, Writable>): Promise<Buffer> {
  const body = Buffer.from(writePlist(message));
  const input = { content: body, detached: true, signer: { certificateDer: certificate, key } };
  const prepared = prepareSignedData(input);
  const signature = prepared.finish(await signOnThread(prepared.digest, prepared.toBeSigned, key));
  const headers = {
    'user-agent': 'MDM-OSX/1.0 mdmclient/1803',
    'content-type': 'application/x-apple-aspen-mdm; charset=UTF-8',
    'mdm-signature': signature.toString('base64'),
  };
  return requestBytes('PUT', '/mdm', headers, body);
}

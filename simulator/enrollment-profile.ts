import { createHash } from 'node:crypto';
import type { KeysOf } from './keys-of.ts';
import { MDM_PAYLOAD, SCEP_PAYLOAD } from './payload-types.ts';
import type { ConfigurationProfile, Payload } from './profile.ts';
import { refusal } from './refusal.ts';

/** The `com.apple.mdm` payload as installed: what an update is held against (apple-protocol 3.2). */
export interface MdmSettings {
  readonly topic: string;
  readonly serverUrl: string;
  readonly checkInUrl: string;
  readonly signMessage: boolean;
  readonly accessRights: number;
  readonly checkOutWhenRemoved: boolean;
  readonly serverCapabilities: readonly string[];
  readonly serverPins: readonly string[];
  readonly checkInPins: readonly string[];
}

/** The `com.apple.security.scep` payload, its nested dictionary read. */
export interface ScepSettings {
  readonly payload: Payload;
  readonly url: string;
  readonly name: string | undefined;
  /** OID or shortcut, and value; in order. */
  readonly subject: readonly (readonly [string, string])[];
  readonly challenge: string | undefined;
  readonly keySize: number;
  readonly keyUsage: number;
  readonly caFingerprint: Uint8Array | undefined;
  readonly retries: number;
  readonly retryDelaySeconds: number;
}

export interface EnrollmentProfile {
  readonly profile: ConfigurationProfile;
  readonly mdm: MdmSettings;
  readonly scep: ScepSettings;
}

const PER_USER = 'com.apple.mdm.per-user-connections';
const CAPABILITIES: ReadonlySet<string> = new Set([PER_USER, 'com.apple.mdm.bootstraptoken', 'com.apple.mdm.token']);
const ALL_RIGHTS = 8191;

export const isEnrollmentProfile = (profile: ConfigurationProfile): boolean =>
  profile.payloads.some((payload) => payload.type === MDM_PAYLOAD);

/** What a Mac refuses in an enrolment profile before it has asked any server anything. */
export function readEnrollmentProfile(profile: ConfigurationProfile): EnrollmentProfile {
  const [payload, second] = profile.payloads.filter((candidate) => candidate.type === MDM_PAYLOAD);
  if (payload === undefined) throw refusal('MAC-15', 'MCInstallation', 4015, 'The profile has no MDM payload');
  if (second !== undefined) throw refusal('MAC-15', 'MCMDM', 12001, 'The profile has more than one MDM payload');
  if (profile.scope === 'User') throw profile.keys.unacceptable('MAC-15', 'PayloadScope', 'MDM belongs to the device');
  const mdm = readMdm(payload.keys);
  const identity = payload.keys.string('IdentityCertificateUUID');
  const scep = profile.payloads.find((candidate) => candidate.uuid === identity);
  if (scep?.type !== SCEP_PAYLOAD) {
    throw refusal('MAC-16', 'MCMDM', 12016, 'IdentityCertificateUUID does not name a SCEP payload');
  }
  return { profile, mdm, scep: readScep(scep) };
}

function readMdm(keys: KeysOf): MdmSettings {
  const topic = keys.string('Topic');
  if (!/^com\.apple\.mgmt\../.test(topic)) throw refusal('MAC-17', 'MCMDM', 12022, `The topic ${topic} is not valid`);
  const serverUrl = httpsUrl(keys, 'ServerURL', keys.string('ServerURL'));
  const checkInUrl = httpsUrl(keys, 'CheckInURL', keys.optionalString('CheckInURL') ?? serverUrl);
  const serverCapabilities = keys.optionalStrings('ServerCapabilities') ?? [];
  for (const capability of serverCapabilities) {
    if (!CAPABILITIES.has(capability))
      throw keys.unacceptable('MAC-19', 'ServerCapabilities', `${capability} is unknown`);
  }
  if (new Set(serverCapabilities).size !== serverCapabilities.length) {
    throw keys.unacceptable('MAC-19', 'ServerCapabilities', 'a capability stands twice');
  }
  return {
    topic,
    serverUrl,
    checkInUrl,
    signMessage: keys.optionalBoolean('SignMessage') ?? false,
    accessRights: readRights(keys.integer('AccessRights')),
    checkOutWhenRemoved: keys.optionalBoolean('CheckOutWhenRemoved') ?? false,
    serverCapabilities,
    serverPins: keys.optionalStrings('ServerURLPinningCertificateUUIDs') ?? [],
    checkInPins: keys.optionalStrings('CheckInURLPinningCertificateUUIDs') ?? [],
  };
}

/** Schema: `^https://`. A real Mac would take http for SCEP, where the CAFingerprint stands in; this one never does. */
function httpsUrl(keys: KeysOf, key: string, value: string): string {
  if (!value.startsWith('https://') || !URL.canParse(value)) {
    throw refusal('MAC-01', 'MCMDM', 12034, `${keys.path}.${key} is not an https URL`);
  }
  return value;
}

/** ENR-01: 2 needs 1, 128 needs 64, 0 and everything above 8191 mean nothing. */
function readRights(rights: number): number {
  const lonely = ((rights & 2) !== 0 && (rights & 1) === 0) || ((rights & 128) !== 0 && (rights & 64) === 0);
  if (rights < 1 || rights > ALL_RIGHTS || lonely) {
    throw refusal('MAC-18', 'MCMDM', 12000, `The access rights ${rights} are not valid`);
  }
  return rights;
}

function readScep(payload: Payload): ScepSettings {
  const keys = payload.keys.dictAt('PayloadContent');
  const keySize = keys.optionalInteger('Keysize') ?? 1024;
  if (![1024, 2048, 4096].includes(keySize)) throw keys.unacceptable('MAC-20', 'Keysize', `${keySize} bits`);
  if ((keys.optionalString('Key Type') ?? 'RSA') !== 'RSA') throw keys.unacceptable('MAC-20', 'Key Type', 'not RSA');
  const keyUsage = keys.optionalInteger('Key Usage') ?? 0;
  if (![0, 1, 4, 5].includes(keyUsage)) throw refusal('MAC-20', 'MCSCEP', 22000, `Key Usage ${keyUsage} is not valid`);
  keys.optionalBoolean('KeyIsExtractable');
  keys.optionalBoolean('AllowAllAppsAccess');
  return {
    payload,
    url: httpsUrl(keys, 'URL', keys.string('URL')),
    name: keys.optionalString('Name'),
    subject: readSubject(keys),
    challenge: keys.optionalString('Challenge'),
    keySize,
    keyUsage,
    caFingerprint: keys.optionalData('CAFingerprint'),
    retries: keys.optionalInteger('Retries') ?? 3,
    retryDelaySeconds: keys.optionalInteger('RetryDelay') ?? 10,
  };
}

/** `[[["O","Acme"]],[["CN","..."]]]`: arrays of arrays of pairs. */
function readSubject(keys: KeysOf): (readonly [string, string])[] {
  return (keys.optionalArray('Subject') ?? []).flatMap((rdn) => {
    if (!Array.isArray(rdn)) throw keys.unacceptable('MAC-20', 'Subject', 'it must be arrays of arrays of pairs');
    return rdn.map((pair) => {
      const [type, value, extra] = Array.isArray(pair) ? pair : [];
      if (typeof type !== 'string' || typeof value !== 'string' || extra !== undefined) {
        throw keys.unacceptable('MAC-20', 'Subject', 'it must be arrays of arrays of pairs of strings');
      }
      return [type, value] as const;
    });
  });
}

/** What an update of the installed profile may not touch (apple-protocol 3.2, last column). */
export function requireFrozenKeys(installed: MdmSettings, update: MdmSettings): void {
  const mismatch = (key: string): Error =>
    refusal('MAC-21', 'MCMDM', 12012, `The replacement profile changes ${key}, which an update may not`);
  if (update.topic !== installed.topic) throw mismatch('Topic');
  if (update.serverUrl !== installed.serverUrl) throw mismatch('ServerURL');
  if (update.checkInUrl !== installed.checkInUrl) throw mismatch('CheckInURL');
  if ((update.accessRights & ~installed.accessRights) !== 0) throw mismatch('AccessRights (adds a right)');
  if (update.serverCapabilities.includes(PER_USER) !== installed.serverCapabilities.includes(PER_USER)) {
    throw mismatch(`ServerCapabilities (${PER_USER})`);
  }
}

/** Apple documents neither the digest nor the form; its length says which digest was meant. */
export function matchesFingerprint(certificateDer: Uint8Array, fingerprint: Uint8Array): boolean {
  const digest = new Map([
    [16, 'md5'],
    [20, 'sha1'],
    [32, 'sha256'],
  ]).get(fingerprint.length);
  return digest !== undefined && createHash(digest).update(certificateDer).digest().equals(fingerprint);
}

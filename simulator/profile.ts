import { Asn1Budget } from '../cms/asn1.ts';
import { verifySignedData } from '../cms/signed-data.ts';
import { type Certificate, verifyChain } from '../cms/x509.ts';
import { PROFILE_LIMITS, readPlist } from '../plist/read.ts';
import { isDict, type PlistDict, type PlistValue } from '../plist/types.ts';
import { KeysOf } from './keys-of.ts';
import { readOr, refusal } from './refusal.ts';

/** As `profiles` shows it: chain to a trusted root, some signature, or none (design: signing identity). */
export type Verification = 'verified' | 'unverified' | 'unsigned';

export interface Payload {
  readonly type: string;
  readonly identifier: string;
  readonly uuid: string;
  readonly displayName: string | undefined;
  readonly keys: KeysOf;
}

/** A configuration profile as a Mac understood it. */
export interface ConfigurationProfile {
  readonly keys: KeysOf;
  readonly identifier: string;
  readonly uuid: string;
  readonly scope: 'System' | 'User' | undefined;
  readonly payloads: readonly Payload[];
  readonly verification: Verification;
  readonly signers: readonly Certificate[];
}

/** A DER SEQUENCE, or BER with an indefinite length: nothing a property list could start with. */
const SEQUENCE = 0x30;
/** A signed profile of 32 MB in the 1 KB segments of a streaming encoder. */
const MAX_SIGNED_NODES = 200_000;

export function readProfile(bytes: Uint8Array, roots: readonly Certificate[], now: Date): ConfigurationProfile {
  const opened = bytes[0] === SEQUENCE ? openSigned(bytes, roots, now) : unsigned(bytes);
  const plist = readOr(
    () => readPlist(opened.content, PROFILE_LIMITS),
    (detail, cause) => refusal('MAC-11', 'MCProfile', 1000, `The profile is malformed: ${detail}`, cause),
  );
  if (!isDict(plist)) throw refusal('MAC-11', 'MCProfile', 1000, 'The profile is malformed: not a dictionary');
  const keys = new KeysOf(plist, 'profile', 'Profile');
  if (keys.string('PayloadType') !== 'Configuration') {
    throw keys.unacceptable('MAC-11', 'PayloadType', 'it must be Configuration');
  }
  requireVersion(keys, 'MCProfile', 1001);
  const payloads = readPayloads(keys);
  const profile = {
    keys,
    identifier: keys.string('PayloadIdentifier'),
    uuid: keys.string('PayloadUUID'),
    scope: readScope(keys),
    payloads,
    verification: opened.verification,
    signers: opened.signers,
  };
  requireUnique(profile.uuid, payloads);
  requireReferences(plist, payloads);
  return profile;
}

interface Opened {
  readonly content: Uint8Array;
  readonly verification: Verification;
  readonly signers: readonly Certificate[];
}

const unsigned = (content: Uint8Array): Opened => ({ content, verification: 'unsigned', signers: [] });

function openSigned(bytes: Uint8Array, roots: readonly Certificate[], now: Date): Opened {
  const signed = readOr(
    () => verifySignedData(bytes, { budget: new Asn1Budget({ maxNodes: MAX_SIGNED_NODES }) }),
    (detail, cause) => refusal('MAC-10', 'MCProfile', 1004, `The profile's signature is not valid: ${detail}`, cause),
  );
  const chain = verifyChain(signed.signer, signed.certificates, roots, now);
  return {
    content: signed.content,
    verification: chain.trusted ? 'verified' : 'unverified',
    signers: signed.certificates,
  };
}

function requireVersion(keys: KeysOf, domain: string, code: number): void {
  const version = keys.integer('PayloadVersion');
  if (version !== 1) throw refusal('MAC-11', domain, code, `${keys.path}.PayloadVersion ${version} is not supported`);
}

function readScope(keys: KeysOf): 'System' | 'User' | undefined {
  const scope = keys.optionalString('PayloadScope');
  if (scope === undefined || scope === 'System' || scope === 'User') return scope;
  throw keys.unacceptable('MAC-11', 'PayloadScope', 'it must be System or User');
}

function readPayloads(profile: KeysOf): Payload[] {
  const content = profile.array('PayloadContent');
  if (content.length === 0) throw refusal('MAC-11', 'MCProfile', 1005, 'The profile is empty');
  return content.map((item, index) => {
    const path = `PayloadContent[${index}]`;
    if (!isDict(item)) throw refusal('MAC-12', 'MCProfile', 1003, `${path} must be a dictionary`);
    const keys = new KeysOf(item, 'payload', path);
    requireVersion(keys, 'MCPayload', 2001);
    return {
      type: keys.string('PayloadType'),
      identifier: keys.string('PayloadIdentifier'),
      uuid: keys.string('PayloadUUID'),
      displayName: keys.optionalString('PayloadDisplayName'),
      keys,
    };
  });
}

function requireUnique(profileUuid: string, payloads: readonly Payload[]): void {
  const uuids = new Set([profileUuid.toUpperCase()]);
  const identifiers = new Set<string>();
  for (const payload of payloads) {
    const uuid = payload.uuid.toUpperCase();
    if (uuids.has(uuid)) throw refusal('MAC-13', 'MCProfile', 1007, `The PayloadUUID ${payload.uuid} is not unique`);
    if (identifiers.has(payload.identifier)) {
      throw refusal('MAC-13', 'MCProfile', 1008, `The PayloadIdentifier ${payload.identifier} is not unique`);
    }
    uuids.add(uuid);
    identifiers.add(payload.identifier);
  }
}

/** Keys whose strings are PayloadUUIDs of the same profile, at any depth (Wi-Fi keeps its own in EAPClientConfiguration). */
const REFERENCES: ReadonlySet<string> = new Set([
  'IdentityCertificateUUID',
  'ServerURLPinningCertificateUUIDs',
  'CheckInURLPinningCertificateUUIDs',
  'PayloadCertificateUUID',
  'PayloadCertificateAnchorUUID',
  'EncryptCertPayloadUUID',
]);

function requireReferences(profile: PlistDict, payloads: readonly Payload[]): void {
  const uuids = new Set(payloads.map((payload) => payload.uuid));
  const check = (key: string, reference: PlistValue): void => {
    if (typeof reference === 'string' && !uuids.has(reference)) {
      throw refusal('MAC-14', 'MCPayload', 2004, `${key} names ${reference}, which is no payload of this profile`);
    }
  };
  const visit = (value: PlistValue): void => {
    if (Array.isArray(value)) value.forEach(visit);
    if (!isDict(value)) return;
    for (const [key, member] of value) {
      if (!REFERENCES.has(key)) visit(member);
      else if (Array.isArray(member)) for (const item of member) check(key, item);
      else check(key, member);
    }
  };
  visit(profile);
}

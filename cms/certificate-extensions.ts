import { isIP } from 'node:net';
import { EspalierError } from '../core/errors.ts';
import {
  type Asn1Element,
  boolean,
  Fields,
  namedBits,
  objectIdentifier,
  octets,
  readAsn1,
  smallInteger,
  TAG,
} from './asn1.ts';
import { bool, explicit, ia5Octets, implicit, int, namedBitString, octetString, oid, seq } from './der.ts';
import { OID } from './oids.ts';

const MAX_EXTENSIONS = 64;
const MAX_GENERAL_NAMES = 256;

/** RFC 5280 4.2.1.3, in bit order. */
export const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
export type KeyUsage = (typeof KEY_USAGES)[number];

export interface SubjectAltName {
  readonly dns: readonly string[];
  readonly uri: readonly string[];
  readonly ip: readonly string[];
  readonly email: readonly string[];
}

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** The DER inside extnValue. */
  readonly value: Buffer;
}

/** What a certificate or a request may ask for. Fields are named as in `Certificate`. */
export interface CertificateExtensions {
  /** Present: basicConstraints is written, critical. */
  readonly isCa?: boolean;
  readonly pathLength?: number;
  readonly keyUsage?: readonly KeyUsage[];
  readonly extendedKeyUsage?: readonly string[];
  readonly subjectAltName?: Partial<SubjectAltName>;
  readonly subjectKeyId?: Uint8Array;
  readonly authorityKeyId?: Uint8Array;
  readonly other?: readonly { readonly oid: string; readonly critical: boolean; readonly value: Uint8Array }[];
}

/** RFC 5280 4.2: a certificate must not carry one extension twice. Two readers would take different ones. */
export function readExtensions(element: Asn1Element): ReadonlyMap<string, Extension> {
  const items = new Fields(element, TAG.sequence, 'certificate_malformed', 'Extensions').all();
  if (items.length > MAX_EXTENSIONS) throw malformed(`more than ${MAX_EXTENSIONS} extensions`);
  const extensions = new Map<string, Extension>();
  for (const item of items) {
    const fields = new Fields(item, TAG.sequence, 'certificate_malformed', 'Extension');
    const dotted = objectIdentifier(fields.next(TAG.oid));
    const critical = fields.optional(TAG.boolean);
    const value = octets(fields.next(TAG.octetString));
    fields.end();
    if (extensions.has(dotted)) throw malformed(`extension ${dotted} twice`);
    extensions.set(dotted, { oid: dotted, critical: critical !== undefined && boolean(critical), value });
  }
  return extensions;
}

function malformed(detail: string): EspalierError {
  return new EspalierError('certificate_malformed', detail);
}

export function readBasicConstraints(value: Buffer): { isCa: boolean; pathLength: number | undefined } {
  const fields = new Fields(readAsn1(value), TAG.sequence, 'certificate_malformed', 'BasicConstraints');
  const flag = fields.optional(TAG.boolean);
  const length = fields.optional(TAG.integer);
  fields.end();
  return {
    isCa: flag !== undefined && boolean(flag),
    pathLength: length === undefined ? undefined : smallInteger(length),
  };
}

export function readKeyUsage(value: Buffer): ReadonlySet<KeyUsage> {
  const usages = namedBits(readAsn1(value)).map((bit) => KEY_USAGES[bit]);
  return new Set(usages.filter((usage) => usage !== undefined));
}

export function readExtendedKeyUsage(value: Buffer): string[] {
  const items = new Fields(readAsn1(value), TAG.sequence, 'certificate_malformed', 'ExtKeyUsage').all();
  return items.map(objectIdentifier);
}

export function readKeyIdentifier(value: Buffer): Buffer {
  const element = readAsn1(value);
  if (element.tag !== TAG.octetString) throw malformed('SubjectKeyIdentifier');
  return element.body;
}

export function readAuthorityKeyIdentifier(value: Buffer): Buffer | undefined {
  return new Fields(readAsn1(value), TAG.sequence, 'certificate_malformed', 'AuthorityKeyIdentifier').optional(0x80)
    ?.body;
}

/** RFC 5280 4.2.1.6. Kinds not listed (directoryName, otherName) stay readable in the raw extension. */
export function readSubjectAltName(value: Buffer): SubjectAltName {
  const names = { dns: [] as string[], uri: [] as string[], ip: [] as string[], email: [] as string[] };
  const items = new Fields(readAsn1(value), TAG.sequence, 'certificate_malformed', 'GeneralNames').all();
  if (items.length > MAX_GENERAL_NAMES) throw malformed(`more than ${MAX_GENERAL_NAMES} alternative names`);
  for (const item of items) {
    if (item.tag === 0x81) names.email.push(ia5Text(item));
    else if (item.tag === 0x82) names.dns.push(ia5Text(item));
    else if (item.tag === 0x86) names.uri.push(ia5Text(item));
    else if (item.tag === 0x87) names.ip.push(ipText(item.body));
  }
  return names;
}

/** A NUL or a non-ASCII octet here is how one name is made to look like another. */
function ia5Text(element: Asn1Element): string {
  for (const octet of element.body)
    if (octet < 0x20 || octet > 0x7e) throw malformed('alternative name is not IA5 text');
  return element.body.toString('latin1');
}

function ipText(body: Buffer): string {
  if (body.length === 4) return body.join('.');
  if (body.length !== 16) throw malformed('iPAddress of neither 4 nor 16 octets');
  const groups = Array.from({ length: 8 }, (_, i) => body.readUInt16BE(i * 2).toString(16)).join(':');
  return new URL(`http://[${groups}]/`).hostname.slice(1, -1);
}

function ipOctets(text: string): Buffer {
  if (isIP(text) === 4) return Buffer.from(text.split('.').map(Number));
  if (isIP(text) !== 6 || text.includes('%')) throw malformed(`not an IP address: ${text}`);
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain =
    dotted === null ? text : `${dotted[1]}${hex16(dotted[2]!, dotted[3]!)}:${hex16(dotted[4]!, dotted[5]!)}`;
  const [head, tail] = plain.split('::') as [string, string | undefined];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

const hex16 = (high: string, low: string): string => (Number(high) * 256 + Number(low)).toString(16);

function extension(dotted: string, critical: boolean, value: Uint8Array): Buffer {
  // DER leaves a DEFAULT FALSE out (X.690 11.5).
  return critical ? seq(oid(dotted), bool(true), octetString(value)) : seq(oid(dotted), octetString(value));
}

/** The Extension values in a fixed order; criticality as RFC 5280 4.2.1 advises. */
export function encodeExtensions(wanted: CertificateExtensions): Buffer[] {
  const list: Buffer[] = [];
  if (wanted.isCa !== undefined) {
    const length = wanted.isCa && wanted.pathLength !== undefined ? [int(wanted.pathLength)] : [];
    list.push(extension(OID.basicConstraints, true, wanted.isCa ? seq(bool(true), ...length) : seq()));
  }
  if (wanted.keyUsage !== undefined && wanted.keyUsage.length > 0) {
    const bits = wanted.keyUsage.map((usage) => KEY_USAGES.indexOf(usage));
    list.push(extension(OID.keyUsage, true, namedBitString(bits)));
  }
  if (wanted.extendedKeyUsage !== undefined && wanted.extendedKeyUsage.length > 0) {
    list.push(extension(OID.extendedKeyUsage, false, seq(...wanted.extendedKeyUsage.map(oid))));
  }
  const names = generalNames(wanted.subjectAltName ?? {});
  if (names.length > 0) list.push(extension(OID.subjectAltName, false, seq(...names)));
  if (wanted.subjectKeyId !== undefined) {
    list.push(extension(OID.subjectKeyIdentifier, false, octetString(wanted.subjectKeyId)));
  }
  if (wanted.authorityKeyId !== undefined) {
    list.push(extension(OID.authorityKeyIdentifier, false, seq(implicit(0, wanted.authorityKeyId))));
  }
  for (const { oid: dotted, critical, value } of wanted.other ?? []) list.push(extension(dotted, critical, value));
  return list;
}

function generalNames(names: Partial<SubjectAltName>): Buffer[] {
  const text = (number: number, value: string): Buffer => implicit(number, ia5Octets(value));
  return [
    ...(names.email ?? []).map((value) => text(1, value)),
    ...(names.dns ?? []).map((value) => text(2, value)),
    ...(names.uri ?? []).map((value) => text(6, value)),
    ...(names.ip ?? []).map((value) => implicit(7, ipOctets(value))),
  ];
}

/** The `[3] EXPLICIT Extensions` of a TBSCertificate, or nothing when there are none. */
export function encodeTbsExtensions(wanted: CertificateExtensions): Buffer[] {
  const list = encodeExtensions(wanted);
  return list.length === 0 ? [] : [explicit(3, seq(...list))];
}

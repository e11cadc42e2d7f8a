import type { KeyObject } from 'node:crypto';
import { EspalierError, hasCode } from '../core/errors.ts';
import { type Asn1Element, bitStringOctets, Fields, objectIdentifier, readAsn1, smallInteger, TAG } from './asn1.ts';
import {
  type CertificateExtensions,
  type Extension,
  encodeExtensions,
  readExtensions,
} from './certificate-extensions.ts';
import { bitString, implicitConstructed, int, isPrintable, oid, printable, seq, set, utf8 } from './der.ts';
import { decodeString, encodeName, type Name, readName } from './names.ts';
import { OID } from './oids.ts';
import { readPublicKey } from './public-key.ts';
import {
  readSignatureAlgorithm,
  signatureAlgorithmDer,
  signatureAlgorithmFor,
  signSha256,
  verifySignature,
} from './signature-algorithm.ts';

const MAX_REQUEST_BYTES = 64 * 1024;
const MAX_REQUEST_NODES = 4_000;
const MAX_ATTRIBUTES = 32;
const CODE = 'certificate_request_malformed';

export interface CertificationRequestInput {
  readonly subject: Name;
  readonly keyPair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  readonly challengePassword?: string;
  readonly extensions?: CertificateExtensions;
}

export function buildCertificationRequest(input: CertificationRequestInput): Buffer {
  const attributes: Buffer[] = [];
  const challenge = input.challengePassword;
  if (challenge !== undefined) {
    // RFC 2985 5.4.1 prefers PrintableString.
    const text = isPrintable(challenge) ? printable(challenge) : utf8(challenge);
    attributes.push(seq(oid(OID.challengePassword), set(text)));
  }
  const extensions = encodeExtensions(input.extensions ?? {});
  if (extensions.length > 0) attributes.push(seq(oid(OID.extensionRequest), set(seq(...extensions))));
  const info = seq(
    int(0),
    encodeName(input.subject),
    input.keyPair.publicKey.export({ format: 'der', type: 'spki' }),
    implicitConstructed(0, ...attributes.toSorted(Buffer.compare)),
  );
  const algorithm = signatureAlgorithmFor(input.keyPair.privateKey);
  return seq(info, signatureAlgorithmDer(algorithm), bitString(signSha256(info, input.keyPair.privateKey)));
}

export interface CertificationRequest {
  readonly der: Buffer;
  readonly subject: Name;
  readonly subjectDer: Buffer;
  readonly spkiDer: Buffer;
  readonly challengePassword: string | undefined;
  /** What the client asks for, for showing. Issuing copies from a template, never from here. */
  readonly requestedExtensions: readonly Extension[];
  /** Throws `certificate_request_malformed` for a key this server does not accept. */
  publicKey(): KeyObject;
  /** Proof of possession: the request is signed with its own key. */
  verify(options?: { readonly allowSha1?: boolean }): boolean;
}

export function parseCertificationRequest(bytes: Uint8Array): CertificationRequest {
  if (bytes.length > MAX_REQUEST_BYTES) throw new EspalierError(CODE, 'certification request too large');
  const der = Buffer.from(bytes);
  const outer = new Fields(readAsn1(der, { maxNodes: MAX_REQUEST_NODES }), TAG.sequence, CODE, 'CertificationRequest');
  const info = outer.next(TAG.sequence);
  const algorithm = outer.next(TAG.sequence);
  const signature = bitStringOctets(outer.next());
  outer.end();

  const fields = new Fields(info, TAG.sequence, CODE, 'CertificationRequestInfo');
  const version = fields.next(TAG.integer);
  const subject = fields.next(TAG.sequence);
  const spkiDer = fields.next(TAG.sequence).raw;
  // RFC 2986 4.1 requires the attributes field even when empty; older clients leave it out.
  const attributesField = fields.optional(0xa0);
  fields.end();
  if (smallInteger(version) !== 0) throw new EspalierError(CODE, 'unknown request version');

  const attributes = readAttributes(attributesField);
  const challenge = attributes.get(OID.challengePassword);
  const challengePassword = challenge === undefined ? undefined : decodeString(challenge);
  if (challenge !== undefined && challengePassword === undefined) {
    throw new EspalierError(CODE, 'challengePassword is no string');
  }
  const extensions = attributes.get(OID.extensionRequest);
  let key: KeyObject | undefined;
  const publicKey = (): KeyObject => {
    key ??= readPublicKey(spkiDer, CODE);
    return key;
  };

  return {
    der,
    subject: readName(subject),
    subjectDer: subject.raw,
    spkiDer,
    challengePassword,
    requestedExtensions: extensions === undefined ? [] : [...readExtensions(extensions).values()],
    publicKey,
    verify(options = {}) {
      try {
        const scheme = readSignatureAlgorithm(algorithm);
        if (scheme.digest === undefined || (scheme.digest === 'sha1' && options.allowSha1 !== true)) return false;
        return verifySignature(scheme, scheme.digest, publicKey(), info.raw, signature);
      } catch (error) {
        if (hasCode(error, 'cms_algorithm_refused', 'cms_malformed', 'asn1_malformed')) return false;
        throw error;
      }
    },
  };
}

/** Attribute type → its single value; the two read here are single-valued (RFC 2985 5.4). */
function readAttributes(field: Asn1Element | undefined): ReadonlyMap<string, Asn1Element> {
  const attributes = new Map<string, Asn1Element>();
  const items = field?.children ?? [];
  if (items.length > MAX_ATTRIBUTES) throw new EspalierError(CODE, `more than ${MAX_ATTRIBUTES} attributes`);
  for (const item of items) {
    const fields = new Fields(item, TAG.sequence, CODE, 'Attribute');
    const dotted = objectIdentifier(fields.next(TAG.oid));
    const values = new Fields(fields.next(), TAG.set, CODE, 'Attribute values').all();
    fields.end();
    if (attributes.has(dotted)) throw new EspalierError(CODE, `attribute ${dotted} twice`);
    const [value, extra] = values;
    const isRead = dotted === OID.challengePassword || dotted === OID.extensionRequest;
    if (isRead && (value === undefined || extra !== undefined)) {
      throw new EspalierError(CODE, `attribute ${dotted} without exactly one value`);
    }
    if (value !== undefined) attributes.set(dotted, value);
  }
  return attributes;
}

import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { EspalierError } from '../core/errors.ts';
import { bitStringOctets, Fields, integerOctets, objectIdentifier, readAsn1, TAG } from './asn1.ts';
import { OID } from './oids.ts';

/** Below 1024 anyone forges; above 8192 a verification costs the server more than it proves. */
const RSA_BITS = { least: 1024, most: 8192 };
/** RFC 8017 3.1: e odd and at least 3 (with e = 1 every signature is valid); the limit bounds the work of a check. */
const MAX_EXPONENT_OCTETS = 4;

interface Curve {
  readonly crv: string;
  readonly octets: number;
}

const CURVES: ReadonlyMap<string, Curve> = new Map([
  ['1.2.840.10045.3.1.7', { crv: 'P-256', octets: 32 }],
  ['1.3.132.0.34', { crv: 'P-384', octets: 48 }],
  ['1.3.132.0.35', { crv: 'P-521', octets: 66 }],
]);

export type PublicKeyCode = 'certificate_malformed' | 'certificate_request_malformed';

/**
 * A public key this server is willing to use. Handed to OpenSSL as its numbers, not as DER: OpenSSL 3's decoder takes
 * 114 µs for an RSA-2048 key where the numbers take 4 (measured), and a Mac not in the cache pays it on every request.
 */
export function readPublicKey(spkiDer: Uint8Array, code: PublicKeyCode): KeyObject {
  const unacceptable = (cause?: unknown) =>
    new EspalierError(code, 'the public key is neither RSA of 1024 to 8192 bits nor a point on P-256, P-384 or P-521', {
      cause,
    });
  const fields = new Fields(readAsn1(spkiDer), TAG.sequence, code, 'SubjectPublicKeyInfo');
  const algorithm = new Fields(fields.next(), TAG.sequence, code, 'AlgorithmIdentifier');
  const bits = bitStringOctets(fields.next(TAG.bitString));
  fields.end();
  const type = objectIdentifier(algorithm.next(TAG.oid));
  let jwk: JsonWebKey | undefined;
  const curve = type === OID.ecPublicKey ? objectIdentifier(algorithm.next(TAG.oid)) : undefined;
  // RFC 3279 2.3.1: NULL, which some leave out.
  if (type === OID.rsaEncryption) algorithm.optional(TAG.null);
  if (type === OID.rsaEncryption || type === OID.rsassaPss) jwk = rsaNumbers(bits, code);
  else if (curve !== undefined) jwk = ecNumbers(bits, curve);
  if (type !== OID.rsassaPss) algorithm.end();
  if (jwk === undefined) throw unacceptable();
  try {
    // A key restricted to PSS keeps its restriction only in its own form (RFC 4055 1.2).
    if (type === OID.rsassaPss) return createPublicKey({ key: Buffer.from(spkiDer), format: 'der', type: 'spki' });
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (cause) {
    throw unacceptable(cause);
  }
}

function rsaNumbers(bits: Buffer, code: PublicKeyCode): JsonWebKey | undefined {
  const fields = new Fields(readAsn1(bits), TAG.sequence, code, 'RSAPublicKey');
  const n = positive(integerOctets(fields.next(TAG.integer)));
  const e = positive(integerOctets(fields.next(TAG.integer)));
  fields.end();
  if (n === undefined || e === undefined) return undefined;
  const modulusBits = n.length * 8 - (Math.clz32(n[0]!) - 24);
  if (modulusBits < RSA_BITS.least || modulusBits > RSA_BITS.most || n.at(-1)! % 2 === 0) return undefined;
  if (e.length === 0 || e.length > MAX_EXPONENT_OCTETS) return undefined;
  if (e.at(-1)! % 2 === 0 || (e.length === 1 && e[0]! < 3)) return undefined;
  return { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') };
}

function positive(octets: Buffer): Buffer | undefined {
  if (octets[0]! >= 0x80) return undefined;
  return octets[0] === 0 ? octets.subarray(1) : octets;
}

/** RFC 5480 2.2. The compressed form is left out: nothing that enrols sends it, and it cannot be passed as numbers. */
function ecNumbers(point: Buffer, curveOid: string): JsonWebKey | undefined {
  const curve = CURVES.get(curveOid);
  if (curve === undefined || point[0] !== 4 || point.length !== 1 + 2 * curve.octets) return undefined;
  const x = point.toString('base64url', 1, 1 + curve.octets);
  const y = point.toString('base64url', 1 + curve.octets);
  return { kty: 'EC', crv: curve.crv, x, y };
}

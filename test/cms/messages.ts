import { createHash, sign } from 'node:crypto';
import { contentInfo, issuerAndSerial } from '../../cms/content-info.ts';
import * as der from '../../cms/der.ts';
import { OID } from '../../cms/oids.ts';
import { buildSignedData } from '../../cms/signed-data.ts';
import { ec, issue, rsa } from './fixtures.ts';

export const device = issue(rsa());
export const elliptic = issue(ec());
export const body = Buffer.from('<plist/>');
export const good = buildSignedData({
  content: body,
  detached: true,
  signer: { certificateDer: device.der, key: device.privateKey },
});

export const digestOf = (content: Uint8Array, name = 'sha256'): Buffer => createHash(name).update(content).digest();
export const attribute = (type: string, ...values: Buffer[]): Buffer => der.seq(der.oid(type), der.set(...values));
export const contentType = attribute(OID.contentType, der.oid(OID.data));
export const messageDigest = (content: Uint8Array = body): Buffer =>
  attribute(OID.messageDigest, der.octetString(digestOf(content)));
export const rsaAlgorithm = der.seq(der.oid(OID.rsaEncryption), der.nul());
export const SHA256 = der.seq(der.oid(OID.sha256));

export interface Parts {
  version?: Buffer;
  sid?: Buffer;
  digest?: Buffer;
  attributes?: Buffer[] | null;
  /** The attribute field as sent, when it is not the DER that was signed. */
  sentAttributes?: Buffer;
  algorithm?: Buffer;
  signature?: Buffer;
  hash?: string;
  signerInfos?: (info: Buffer) => Buffer[];
  certificates?: Buffer[];
  eContentType?: string;
  eContent?: Buffer;
  content?: Buffer;
}

/** A message that verifies when nothing is changed, so that each case is refused for its own fault only. */
export function message(parts: Parts = {}): Buffer {
  const content = parts.content ?? body;
  const attributes = parts.attributes === undefined ? [contentType, messageDigest(content)] : parts.attributes;
  const signed = attributes === null ? content : der.set(...attributes);
  const sent = Buffer.from(signed);
  sent[0] = 0xa0;
  const info = der.seq(
    parts.version ?? der.int(1),
    parts.sid ?? issuerAndSerial(device.certificate),
    parts.digest ?? SHA256,
    ...(attributes === null ? [] : [parts.sentAttributes ?? sent]),
    parts.algorithm ?? rsaAlgorithm,
    der.octetString(parts.signature ?? sign(parts.hash ?? 'sha256', signed, device.privateKey)),
  );
  return contentInfo(
    OID.signedData,
    der.seq(
      der.int(1),
      der.set(SHA256),
      der.seq(
        der.oid(parts.eContentType ?? OID.data),
        ...(parts.eContent === undefined ? [] : [der.explicit(0, parts.eContent)]),
      ),
      der.implicitConstructed(0, ...(parts.certificates ?? [device.der])),
      der.set(...(parts.signerInfos?.(info) ?? [info])),
    ),
  );
}

/** One value inside many levels of the same opening and closing octets. */
export const nested = (levels: number, innermost: Buffer, open: number[], close: number[]): Buffer =>
  Buffer.concat([
    Buffer.from(Array.from({ length: levels }, () => open).flat()),
    innermost,
    Buffer.from(Array.from({ length: levels }, () => close).flat()),
  ]);

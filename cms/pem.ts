import { EspalierError } from '../core/errors.ts';

/** A chain of 100 RSA-4096 certificates is 300 KB; nothing legitimate is larger. */
const MAX_PEM_CHARACTERS = 2 * 1024 * 1024;
const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,64})-----([A-Za-z0-9+/=\s]*)-----END ([A-Z0-9 ]{1,64})-----/g;

export interface PemBlock {
  readonly label: string;
  readonly der: Buffer;
}

/** All RFC 7468 blocks; text around them (openssl's -text) is skipped. */
export function readPem(text: string): PemBlock[] {
  if (text.length > MAX_PEM_CHARACTERS) throw new EspalierError('asn1_malformed', 'PEM text too large');
  const blocks: PemBlock[] = [];
  for (const [, label, base64, end] of text.matchAll(BLOCK)) {
    if (label !== end) throw new EspalierError('asn1_malformed', `PEM block ${label} ends as ${end}`);
    blocks.push({ label: label!, der: Buffer.from(base64!, 'base64') });
  }
  return blocks;
}

/** The first block, or the first with this label. */
export function pemToDer(text: string, label?: string): Buffer {
  const block = readPem(text).find((candidate) => label === undefined || candidate.label === label);
  if (block === undefined) {
    throw new EspalierError('asn1_malformed', `no PEM block${label === undefined ? '' : ` with the label ${label}`}`);
  }
  return block.der;
}

export function derToPem(der: Uint8Array, label: string): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.map((line) => `${line}\n`).join('')}-----END ${label}-----\n`;
}

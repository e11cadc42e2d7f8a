import { createHash } from 'node:crypto';

/** Crockford's base 32, lower case: no i, l, o, u. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const GROUPS = 6;
const GROUP_LENGTH = 5;
/** 30 characters of 5 bits: 150 bits. */
const CODE_BYTES = Math.ceil((GROUPS * GROUP_LENGTH * 5) / 8);

/** A new link code such as `k3m9x-7q2pd-…`: what an admin reads out or mails. */
export function newEnrollCode(random: { bytes(length: number): Buffer }): string {
  let bits = BigInt(`0x${random.bytes(CODE_BYTES).toString('hex')}`);
  const groups: string[] = [];
  for (let group = 0; group < GROUPS; group++) {
    let text = '';
    for (let i = 0; i < GROUP_LENGTH; i++) {
      text += ALPHABET[Number(bits & 31n)];
      bits >>= 5n;
    }
    groups.push(text);
  }
  return groups.join('-');
}

/** Undo what copying by hand does: case, hyphens, spaces, o for 0, i or l for 1. */
function normalise(code: string): string {
  return code.toLowerCase().replace(/[\s-]/g, '').replace(/o/g, '0').replace(/[il]/g, '1');
}

/** What is stored and looked up. */
export function hashOfEnrollCode(code: string): Buffer {
  return createHash('sha256').update(normalise(code), 'utf8').digest();
}

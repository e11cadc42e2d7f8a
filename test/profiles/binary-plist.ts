/** A profile as a binary property list: enough of the format for texts, small integers, booleans, dicts and arrays. */
import type { Writable } from '../../plist/types.ts';
import { bplist } from '../plist/support.ts';

export function binaryPlist(value: Writable): Buffer {
  const objects: number[][] = [];
  add(value);
  return bplist({ objects, refSize: 2 });

  function add(one: Writable | undefined): number {
    const at = objects.push([]) - 1;
    objects[at] = encode(one);
    return at;
  }

  function encode(one: Writable | undefined): number[] {
    if (typeof one === 'string') return [...head(0x60, one.length), ...Buffer.from(one, 'utf16le').swap16()];
    if (typeof one === 'boolean') return [one ? 0x09 : 0x08];
    if (typeof one === 'number') return [0x12, ...word(one)];
    if (Array.isArray(one))
      return [...head(0xa0, one.length), ...one.flatMap((item: Writable) => reference(add(item)))];
    const entries = Object.entries(one as { [key: string]: Writable | undefined }).filter(
      ([, item]) => item !== undefined,
    );
    const keys = entries.flatMap(([key]) => reference(add(key)));
    return [...head(0xd0, entries.length), ...keys, ...entries.flatMap(([, item]) => reference(add(item)))];
  }
}

const reference = (index: number): number[] => [index >> 8, index & 0xff];
const word = (value: number): number[] => [
  (value >>> 24) & 0xff,
  (value >>> 16) & 0xff,
  (value >>> 8) & 0xff,
  value & 0xff,
];
const head = (kind: number, count: number): number[] =>
  count < 15 ? [kind | count] : [kind | 15, 0x12, ...word(count)];

import { describe, expect, test } from 'vitest';
import { ENROLLMENT_PROFILE_IDENTIFIER } from '../../mdm/enrollment-profile.ts';
import { REQUEST_TYPES } from '../../mdm/request-types.ts';
import { DEVICE_CHANNEL_ONLY, isReservedIdentifier, USER_CHANNEL_ONLY } from '../../profiles/payload-rules.ts';
import { EXCLUSIVE_PAYLOAD_TYPES, PAYLOAD_SCHEMA } from '../../profiles/payload-schema.ts';
import { payloadSupport } from '../../reconciler/payload-platforms.ts';
import { channelsOf, payloadTypesOnlyOn, supportOf } from './apple-schema/channels.ts';
import { loadSchema } from './apple-schema/index.ts';
import type { SchemaItem, SchemaNode } from './apple-schema/types.ts';

/** Tables in the code that were copied from Apple's data, held to it. */

const schema = loadSchema();

const LETTERS: Readonly<Record<string, string>> = {
  string: 's',
  integer: 'i',
  real: 'r',
  boolean: 'b',
  date: 't',
  data: 'x',
  array: 'a',
  dictionary: 'd',
  any: '*',
};
/** Keys of a profile that `validate.ts` has rules of its own for. */
const JUDGED_BY_HAND = new Set([
  'PayloadIdentifier',
  'PayloadUUID',
  'PayloadType',
  'PayloadVersion',
  'PayloadScope',
  'PayloadContent',
  'EncryptedPayloadContent',
  'IsEncrypted',
]);

const nameOf = (node: SchemaNode): string => ('key' in node ? node.key : '');
const isForMac = ({ os }: SchemaItem): boolean => os?.macOS !== undefined && os.macOS.introduced !== 'n/a';
const isRequiredOnMac = (node: SchemaNode): boolean =>
  'key' in node && node.presence === 'required' && node.os?.macOS?.introduced !== 'n/a';

/** A row without what stands in brackets. */
function topLevelOf(row: string): string {
  let depth = 0;
  return [...row].reduce((kept, character) => {
    if (character === ')') depth -= 1;
    const shown = depth === 0 && character !== ')' && character !== '(' ? kept + character : kept;
    if (character === '(') depth += 1;
    return shown;
  }, '');
}

describe.skipIf(schema === undefined)('tables copied from Apple’s data', () => {
  test('payload types of one channel, as uploads are judged', () => {
    expect([...DEVICE_CHANNEL_ONLY].toSorted()).toEqual(payloadTypesOnlyOn('device'));
    expect([...USER_CHANNEL_ONLY].toSorted()).toEqual(payloadTypesOnlyOn('user'));
  });

  test('payload types by system, and what a User Enrolment forbids', () => {
    for (const [type, blocks] of schema?.payloads ?? [])
      expect([type, payloadSupport(type)]).toEqual([type, supportOf(blocks)]);
  });

  test('keys of the payloads of macOS, as uploads are judged', () => {
    const missing: string[] = [];
    for (const [type, items] of schema?.payloads ?? []) {
      const forMac = items.filter(isForMac);
      const row = PAYLOAD_SCHEMA.get(type);
      expect([type, row !== undefined]).toEqual([type, forMac.length > 0]);
      if (row === undefined) continue;
      for (const key of new Set(forMac.flatMap(({ keys }) => keys.map(nameOf)))) {
        const of = forMac.flatMap(({ keys }) => keys.filter((node) => nameOf(node) === key));
        const written = new RegExp(`(?:^|\\|)${key.replaceAll('.', '\\.')}:(.)(!?)`).exec(topLevelOf(row));
        const isRequired = of.length === forMac.length && of.every(isRequiredOnMac);
        const letters = new Set(of.map((node) => ('type' in node ? LETTERS[node.type] : '*')));
        if (written === null || !letters.has(written[1] ?? '') || (written[2] === '!') !== isRequired)
          missing.push(`${type} ${key}: ${written?.[0]}`);
      }
      const isExclusive = forMac.every(({ os }) => os?.macOS?.multiple === false);
      expect([type, EXCLUSIVE_PAYLOAD_TYPES.has(type)]).toEqual([type, isExclusive]);
    }
    expect(missing).toEqual([]);
    expect([...PAYLOAD_SCHEMA.keys()].filter((type) => type !== 'TopLevel' && !schema?.payloads.has(type))).toEqual([]);
    for (const node of schema?.topLevel.keys ?? []) {
      const row = PAYLOAD_SCHEMA.get('TopLevel') ?? '';
      if (!JUDGED_BY_HAND.has(nameOf(node))) expect(row).toMatch(new RegExp(`(^|\\|)${nameOf(node)}:`));
    }
  });

  test('every command is known, with its channels', () => {
    for (const [id, { os }] of schema?.commands ?? []) {
      const block = os?.macOS?.introduced === 'n/a' ? undefined : os?.macOS;
      expect(REQUEST_TYPES.get(id), `${id} is not known`).toBeDefined();
      if (block !== undefined) expect([id, ...(REQUEST_TYPES.get(id) ?? [])]).toEqual([id, ...channelsOf(block)]);
    }
  });

  test('no upload can take the place of the enrolment profile', () => {
    expect(isReservedIdentifier(ENROLLMENT_PROFILE_IDENTIFIER)).toBe(true);
  });
});

import { describe, expect, test } from 'vitest';
import { ENROLLMENT_PROFILE_IDENTIFIER } from '../../mdm/enrollment-profile.ts';
import { REQUEST_TYPES } from '../../mdm/request-types.ts';
import { DEVICE_CHANNEL_ONLY, isReservedIdentifier, USER_CHANNEL_ONLY } from '../../profiles/payload-rules.ts';
import { isAllowedOn } from '../../simulator/payload-types.ts';
import { loadSchema } from './apple-schema/index.ts';
import type { OsBlock } from './apple-schema/types.ts';

/** Tables in the code that were copied from Apple's data, held to it. */

const schema = loadSchema();

const channelsOf = (block: OsBlock | undefined): readonly string[] => [
  ...(block?.devicechannel === false ? [] : ['device']),
  ...(block?.userchannel === false ? [] : ['user']),
];

/** Payload types of which every description for macOS names only this channel. */
function onlyOn(channel: 'device' | 'user'): readonly string[] {
  return [...(schema?.payloads ?? [])]
    .filter(([, items]) =>
      items.every(({ os }) => {
        const block = os?.macOS;
        return block !== undefined && block.introduced !== 'n/a' && channelsOf(block).join() === channel;
      }),
    )
    .map(([type]) => type)
    .toSorted();
}

describe.skipIf(schema === undefined)('tables copied from Apple’s data', () => {
  test('payload types of one channel, as uploads are judged', () => {
    expect([...DEVICE_CHANNEL_ONLY].toSorted()).toEqual(onlyOn('device'));
    expect([...USER_CHANNEL_ONLY].toSorted()).toEqual(onlyOn('user'));
  });

  test('payload types of one channel, as a simulated Mac takes them', () => {
    const types = [...(schema?.payloads.keys() ?? [])].toSorted();
    expect(types.filter((type) => !isAllowedOn('user', type))).toEqual(onlyOn('device'));
    expect(types.filter((type) => !isAllowedOn('device', type))).toEqual(onlyOn('user'));
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

import { describe, expect, test } from 'vitest';
import { ENROLLMENT_PROFILE_IDENTIFIER } from '../../mdm/enrollment-profile.ts';
import { REQUEST_TYPES } from '../../mdm/request-types.ts';
import { DEVICE_CHANNEL_ONLY, isReservedIdentifier, USER_CHANNEL_ONLY } from '../../profiles/payload-rules.ts';
import { payloadSupport } from '../../reconciler/payload-platforms.ts';
import { channelsOf, payloadTypesOnlyOn, supportOf } from './apple-schema/channels.ts';
import { loadSchema } from './apple-schema/index.ts';

/** Tables in the code that were copied from Apple's data, held to it. */

const schema = loadSchema();

describe.skipIf(schema === undefined)('tables copied from Apple’s data', () => {
  test('payload types of one channel, as uploads are judged', () => {
    expect([...DEVICE_CHANNEL_ONLY].toSorted()).toEqual(payloadTypesOnlyOn('device'));
    expect([...USER_CHANNEL_ONLY].toSorted()).toEqual(payloadTypesOnlyOn('user'));
  });

  test('payload types by system, and what a User Enrolment forbids', () => {
    for (const [type, blocks] of schema?.payloads ?? [])
      expect([type, payloadSupport(type)]).toEqual([type, supportOf(blocks)]);
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

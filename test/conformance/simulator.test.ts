import { describe, expect, test } from 'vitest';
import { isAllowedOn } from '../../simulator/payload-types.ts';
import { payloadTypesOnlyOn } from './apple-schema/channels.ts';
import { loadSchema } from './apple-schema/index.ts';

const schema = loadSchema();

describe.skipIf(schema === undefined)('a simulated Mac, held to Apple’s data', () => {
  test('payload types of one channel', () => {
    const types = [...(schema?.payloads.keys() ?? [])].toSorted();
    expect(types.filter((type) => !isAllowedOn('user', type))).toEqual(payloadTypesOnlyOn('device'));
    expect(types.filter((type) => !isAllowedOn('device', type))).toEqual(payloadTypesOnlyOn('user'));
  });
});

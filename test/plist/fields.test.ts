import { expect, test } from 'vitest';
import * as fields from '../../plist/fields.ts';
import { type PlistValue, Real } from '../../plist/types.ts';

const dict = new Map<string, PlistValue>([
  ['s', 'x'],
  ['empty', ''],
  ['b', false],
  ['i', 0],
  ['big', 2n ** 60n],
  ['r', new Real(0.5)],
  ['d', Buffer.from('x')],
  ['t', new Date(0)],
  ['a', [new Map([['k', 'v']]), 'x']],
  ['m', new Map()],
]);

test('fields of the right type, falsy ones included', () => {
  expect(fields.stringAt(dict, 's')).toBe('x');
  expect(fields.optionalString(dict, 'empty')).toBe('');
  expect(fields.booleanAt(dict, 'b')).toBe(false);
  expect(fields.integerAt(dict, 'i')).toBe(0);
  expect(fields.optionalReal(dict, 'i')).toBe(0);
  expect(fields.optionalReal(dict, 'r')).toBe(0.5);
  expect(fields.dataAt(dict, 'd')).toEqual(Buffer.from('x'));
  expect(fields.dateAt(dict, 't')).toEqual(new Date(0));
  expect(fields.arrayAt(dict, 'a')).toHaveLength(2);
  expect(fields.dictAt(dict, 'm').size).toBe(0);
  expect(fields.dictsAt(dict, 'absent')).toEqual([]);
  expect(fields.stringsAt(new Map([['x', ['a', 'b']]]), 'x')).toEqual(['a', 'b']);
  for (const read of [
    fields.optionalString,
    fields.optionalBoolean,
    fields.optionalData,
    fields.optionalDate,
    fields.optionalInteger,
    fields.optionalArray,
    fields.optionalDict,
  ]) {
    expect(read(dict, 'absent')).toBeUndefined();
  }
});

test.each<[string, () => unknown, string, string | undefined]>([
  ['wrong type', () => fields.stringAt(dict, 'i'), 'i must be a string, found integer', 'i'],
  ['missing', () => fields.stringAt(dict, 'UDID'), 'UDID is missing', 'UDID'],
  ['optional of the wrong type', () => fields.optionalData(dict, 's'), 's must be data, found string', 's'],
  [
    'too big for a number',
    () => fields.integerAt(dict, 'big'),
    'big must be an integer below 2^53, found integer',
    'big',
  ],
  ['inside an array', () => fields.dictsAt(dict, 'a'), 'a[1] must be a dict, found string', 'a[1]'],
  [
    'below a path',
    () => fields.stringAt(dict, 'b', { path: 'P[0]' }),
    'P[0].b must be a string, found boolean',
    'P[0].b',
  ],
  ['the message itself', () => fields.asDict([]), 'The property list must be a dict, found array', undefined],
])('%s', (_, run, message, path) => {
  expect(run).toThrow(
    expect.objectContaining({ code: 'plist_malformed', message, place: path === undefined ? undefined : { path } }),
  );
});

test('the caller chooses the code', () => {
  const expected = expect.objectContaining({ code: 'mdm_message_malformed' });
  expect(() => fields.stringAt(dict, 'x', { code: 'mdm_message_malformed' })).toThrow(expected);
  expect(() => fields.dictsAt(dict, 'a', { code: 'mdm_message_malformed' })).toThrow(expected);
  expect(() => fields.asDict('x', '', 'mdm_message_malformed')).toThrow(expected);
});

import { schema } from './load.ts';
import type { OsBlock, OsName, SchemaItem } from './types.ts';

/** The channels a block leaves open; what it does not say is allowed. */
export function channelsOf(block: OsBlock | undefined): readonly string[] {
  return [...(block?.devicechannel === false ? [] : ['device']), ...(block?.userchannel === false ? [] : ['user'])];
}

/** Payload types of which every description for macOS names only this channel, sorted. */
export function payloadTypesOnlyOn(channel: 'device' | 'user'): readonly string[] {
  return [...schema().payloads]
    .filter(([, items]) =>
      items.every(({ os }) => {
        const block = os?.macOS;
        return block !== undefined && block.introduced !== 'n/a' && channelsOf(block).join() === channel;
      }),
    )
    .map(([type]) => type)
    .toSorted();
}

const SYSTEMS: readonly (readonly [letter: string, name: OsName])[] = [
  ['m', 'macOS'],
  ['i', 'iOS'],
  ['t', 'tvOS'],
  ['v', 'visionOS'],
  ['w', 'watchOS'],
];

/** Systems that any description of a payload type names, and those whose User Enrolment every one of them forbids. */
export function supportOf(
  items: readonly SchemaItem[],
): { systems: string; forbiddenInUserEnrollment: string } | undefined {
  const on = (name: OsName) =>
    items.map(({ os }) => os?.[name]).filter((block) => block !== undefined && block.introduced !== 'n/a');
  const letters = (fits: (name: OsName) => boolean) =>
    SYSTEMS.filter(([, name]) => fits(name))
      .map(([letter]) => letter)
      .join('');
  const systems = letters((name) => on(name).length > 0);
  const forbidden = letters(
    (name) => on(name).length > 0 && on(name).every((block) => block?.userenrollment?.mode === 'forbidden'),
  );
  return systems === '' ? undefined : { systems, forbiddenInUserEnrollment: forbidden };
}

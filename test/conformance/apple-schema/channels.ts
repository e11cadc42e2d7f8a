import { schema } from './load.ts';
import type { OsBlock } from './types.ts';

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

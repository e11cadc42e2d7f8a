import type { Dict } from './tiny-server.ts';

let made = 0;

/** A new one at each call, the same in each run. */
export const uuid = (): string => `00000000-0000-4000-8000-${String(++made).padStart(12, '0')}`;

/** A profile that any Mac takes, unless the payloads say otherwise. */
export function profile(
  identifier: string,
  payloads: readonly Dict[] = [{ PayloadType: 'com.apple.dock' }],
  more: Dict = {},
): Dict {
  return {
    PayloadType: 'Configuration',
    PayloadVersion: 1,
    PayloadIdentifier: identifier,
    PayloadUUID: uuid(),
    PayloadContent: payloads.map((payload, index) => ({
      PayloadVersion: 1,
      PayloadIdentifier: `${identifier}.${index}`,
      PayloadUUID: uuid(),
      ...payload,
    })),
    ...more,
  };
}

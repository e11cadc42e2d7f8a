import { payloadSupport } from './payload-platforms.ts';
import type { CatalogueProfile, GateSubject, Platform } from './types.ts';

/** What keeps a kind of device from having a profile, whatever its labels say. */
export type KindEvidence =
  /** `payloadType` undefined = the profile's own TargetDeviceType. */
  | { readonly kind: 'platform'; readonly platform: Platform; readonly payloadType: string | undefined }
  | { readonly kind: 'user_enrollment'; readonly platform: Platform; readonly payloadType: string };

type Subject = Pick<GateSubject, 'platform' | 'userEnrollment'>;
type Kinds = Pick<CatalogueProfile, 'payloadTypes' | 'targetDeviceType'>;

/** Apple's numbers of TargetDeviceType (apple-protocol §3.1); 0 is any. HomePod, 3, is none of ours. */
const TARGETS: Readonly<Record<number, readonly Platform[]>> = {
  1: ['iphone', 'ipad'],
  2: ['watch'],
  3: [],
  4: ['tv'],
  5: ['mac'],
  6: ['vision'],
};

const SYSTEMS: Readonly<Record<Platform, string>> = {
  mac: 'm',
  iphone: 'i',
  ipad: 'i',
  tv: 't',
  vision: 'v',
  watch: 'w',
  '': '',
};

/**
 * Undefined = nothing known speaks against it. A device that has not said what it is fits, and so does a payload that
 * Apple's data does not know: only what is certain is refused.
 */
export function barredByKind({ payloadTypes, targetDeviceType }: Kinds, subject: Subject): KindEvidence | undefined {
  const { platform, userEnrollment } = subject;
  if (platform === '') return undefined;
  const targets = targetDeviceType === undefined ? undefined : TARGETS[targetDeviceType];
  if (targets !== undefined && !targets.includes(platform))
    return { kind: 'platform', platform, payloadType: undefined };
  const system = SYSTEMS[platform];
  for (const payloadType of payloadTypes) {
    const support = payloadSupport(payloadType);
    if (support === undefined) continue;
    if (!support.systems.includes(system)) return { kind: 'platform', platform, payloadType };
    if (userEnrollment && support.forbiddenInUserEnrollment.includes(system))
      return { kind: 'user_enrollment', platform, payloadType };
  }
  return undefined;
}

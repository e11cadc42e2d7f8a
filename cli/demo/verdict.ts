import type { FleetMac } from '../../simulator/fleet.ts';
import type { Client } from '../client.ts';
import { currentVersions, declaredByOthers, pairsOf } from './declare.ts';
import { expectationsOf } from './expect.ts';
import { faultsOf, type OwnProfile, type ServerPair } from './judge.ts';

/** The server's own profile on every Mac: installed by enrolling, not by the reconciler. */
const ENROLLMENT_PROFILE = 'org.espalier.enrollment';

export interface Verdict {
  readonly member: FleetMac;
  readonly pairs: readonly ServerPair[];
  /** Empty when the Mac is in its expected end state. */
  readonly faults: readonly string[];
}

/** Holds the server's answer about every Mac against that Mac's own profile store. `told`: after the story. */
export async function judgeFleet(
  client: Client,
  macs: readonly FleetMac[],
  told: boolean,
): Promise<readonly Verdict[]> {
  const current = await currentVersions(client);
  const foreign = await declaredByOthers(client);
  const isOurs = ({ identifier }: { readonly identifier: string }) => !foreign.has(identifier);
  const verdicts: Verdict[] = [];
  for (const member of macs) {
    if (member.mac.phase !== 'enrolled') {
      verdicts.push({ member, pairs: [], faults: [`the Mac is ${member.mac.phase}`] });
      continue;
    }
    const pairs = await pairsOf(client, member.mac.identity.udid);
    const own = ownProfiles(member).filter(isOurs);
    const faults = faultsOf(expectationsOf(member, told), own, pairs.filter(isOurs), current);
    const violations = member.mac.violations.map(({ rule, detail }) => `the server broke ${rule}: ${detail}`);
    verdicts.push({ member, pairs, faults: [...faults, ...violations] });
  }
  return verdicts;
}

function ownProfiles({ mac }: FleetMac): readonly OwnProfile[] {
  return (['device', 'user'] as const).flatMap((channel) =>
    mac
      .profiles(channel)
      .filter(({ identifier }) => identifier !== ENROLLMENT_PROFILE)
      .map(({ identifier, uuid }) => ({ identifier, uuid, channel })),
  );
}

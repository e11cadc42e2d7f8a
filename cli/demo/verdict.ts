import type { FleetMac } from '../../simulator/fleet.ts';
import type { Client } from '../client.ts';
import { conductOf, labelsOf } from './cast.ts';
import { declaredByOthers, pairsOf, wantedBy } from './declare.ts';
import { faultsOf, type OwnProfile, type ServerPair } from './judge.ts';

/** The server's own profile on every Mac: installed by enrolling, not by the reconciler. */
const ENROLLMENT_PROFILE = 'org.espalier.enrollment';

export interface Verdict {
  readonly member: FleetMac;
  readonly pairs: readonly ServerPair[];
  /** Empty when the Mac is in its expected end state. */
  readonly faults: readonly string[];
}

/** Holds the server's answer about every Mac against that Mac's own profile store. */
export async function judgeFleet(client: Client, macs: readonly FleetMac[]): Promise<readonly Verdict[]> {
  const wanted = await wantedBy(client);
  const foreign = await declaredByOthers(client);
  const isOurs = ({ identifier }: { readonly identifier: string }) => !foreign.has(identifier);
  const verdicts: Verdict[] = [];
  for (const member of macs) {
    if (member.mac.phase !== 'enrolled') {
      verdicts.push({ member, pairs: [], faults: [`the Mac is ${member.mac.phase}`] });
      continue;
    }
    const pairs = await pairsOf(client, member.mac.identity.udid);
    const faults = faultsOf(
      conductOf(member.number),
      wanted(labelsOf(member)),
      ownProfiles(member).filter(isOurs),
      pairs.filter(isOurs),
    );
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

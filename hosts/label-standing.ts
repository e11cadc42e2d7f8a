import type { HostFacts, LabelDetail, LabelOnHost, Membership } from './types.ts';
import { missingFacts } from './vitals.ts';

/** Of every label what the gate will make of it on this host, and why where it cannot say; plain noes are left out. */
export function labelDetails(
  labels: readonly LabelOnHost[],
  labelEpoch: number,
  facts: HostFacts,
): readonly LabelDetail[] {
  return labels.flatMap((one) => {
    const member = membershipOf(one, labelEpoch);
    if (member === 'no') return [];
    const { name, kind } = one.label;
    return [
      {
        name,
        kind,
        member,
        since: member === 'yes' ? one.since : undefined,
        why: whyOf(one, member, labelEpoch, facts),
      },
    ];
  });
}

/** Known iff it has been evaluated since it is what it is and its answer is neither missing nor open (design §4). */
function membershipOf(one: LabelOnHost, labelEpoch: number): Membership {
  if (!isEvaluated(one, labelEpoch) || one.unknown) return 'unknown';
  return one.member ? 'yes' : 'no';
}

function isEvaluated({ label, filled, epoch }: LabelOnHost, labelEpoch: number): boolean {
  switch (label.kind) {
    case 'manual':
      return true;
    case 'host_vitals':
      return filled;
    case 'dynamic':
      return epoch <= labelEpoch;
  }
}

function whyOf(one: LabelOnHost, member: Membership, labelEpoch: number, facts: HostFacts): string | undefined {
  if (member === 'yes')
    return one.noes > 0
      ? `its query has said no ${one.noes} times in a row; it is asked again before the host leaves`
      : undefined;
  if (one.label.kind === 'host_vitals') {
    if (!one.filled) return 'the label is still being worked out';
    const missing = missingFacts(one.label.criteria, facts);
    return missing.length > 0
      ? `the host has not reported ${missing.join(', ')}`
      : 'its version is not one that can be compared';
  }
  if (!isEvaluated(one, labelEpoch)) return 'no agent has answered its query on this host yet';
  if (one.error !== undefined) return `its query failed: ${one.error}`;
  return 'its query has said no since the label or the enrolment changed; that is confirmed before the host leaves';
}

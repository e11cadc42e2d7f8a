import type { Observation, ObservedProfile } from '../core/effects.ts';
import { isDict, type PlistDict, type PlistValue } from '../plist/types.ts';
import { storable } from './enrollment-id.ts';
import type { Report } from './types.ts';

/**
 * A ProfileList answer as an observation, read leniently: an item without an identifier names nothing and is passed
 * over. Only an Acknowledged list says what a Mac holds; anything else says that we do not know (design §4).
 */
export function observationOf(report: Extract<Report, { kind: 'finished' }>, dict: PlistDict): Observation {
  const list = dict.get('ProfileList');
  if (report.outcome !== 'Acknowledged') {
    const [first] = report.errorChain;
    return {
      state: 'query_error',
      message: first === undefined ? report.status : `${first.domain} ${first.code}: ${first.description}`,
    };
  }
  if (!Array.isArray(list)) return { state: 'query_error', message: 'the answer has no ProfileList' };
  const profiles = list.flatMap(profileOf);
  return profiles.length === 0 ? { state: 'zero_rows' } : { state: 'rows', profiles };
}

function profileOf(item: PlistValue): readonly ObservedProfile[] {
  if (!isDict(item)) return [];
  const identifier = item.get('PayloadIdentifier');
  if (typeof identifier !== 'string' || identifier === '') return [];
  const uuid = item.get('PayloadUUID');
  const displayName = item.get('PayloadDisplayName');
  return [
    {
      identifier: storable(identifier),
      uuid: typeof uuid === 'string' ? storable(uuid) : '',
      displayName: typeof displayName === 'string' ? storable(displayName) : undefined,
      // ProfileList carries no install date (apple-protocol §2.4).
      installedAt: undefined,
      ...(enrols(item.get('PayloadContent')) ? { enrols: true } : {}),
    },
  ];
}

/** The payloads inside are named, never their contents; an encrypted profile has none to name. */
function enrols(content: PlistValue | undefined): boolean {
  return (
    Array.isArray(content) && content.some((inner) => isDict(inner) && inner.get('PayloadType') === 'com.apple.mdm')
  );
}

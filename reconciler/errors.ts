import type { CommandOutcome, ErrorChainItem } from '../core/effects.ts';
import type { OpKind } from './types.ts';

/**
 * transient: passes by itself · needs_user: somebody at the Mac has to do something · permanent: only another content
 * helps · unclassified: Apple's code is not in the catalogue, so a few retries and then the device's own words.
 */
type ErrorClass = 'transient' | 'needs_user' | 'permanent' | 'unclassified';

export interface ClassifiedError {
  /** Stable; scripts may match on it. */
  readonly code: string;
  readonly class: ErrorClass;
  /** What happened, one sentence. */
  readonly words: string;
  /** What to do, one sentence. */
  readonly next: string;
}

interface CatalogueEntry extends ClassifiedError {
  readonly domain: string;
  readonly codes: readonly number[];
  /** Says nothing by itself: a cause further down the chain is preferred. */
  readonly generic?: true;
}

const EDIT = 'Correct the profile and upload it again.';
const WAIT = 'Nothing: it is sent again by itself.';

/** Apple's numbers (apple-protocol.md appendix D). They are for display and retry policy; Apple may change them. */
const ENTRIES: readonly CatalogueEntry[] = [
  entry(
    'MCProfileErrorDomain',
    [1000, 1001, 1002, 1003, 1005, 1010],
    'profile_malformed',
    'permanent',
    'The Mac cannot read the profile.',
    EDIT,
  ),
  entry(
    'MCProfileErrorDomain',
    [1004],
    'profile_signature_refused',
    'permanent',
    "The Mac does not accept the profile's signature.",
    'Check that the signing certificate is trusted there.',
  ),
  entry(
    'MCProfileErrorDomain',
    [1006],
    'profile_undecryptable',
    'permanent',
    'The Mac cannot decrypt the profile.',
    EDIT,
  ),
  entry(
    'MCProfileErrorDomain',
    [1007, 1008],
    'profile_identifiers_clash',
    'permanent',
    'Two payloads of the profile share a UUID or an identifier.',
    EDIT,
  ),
  {
    ...entry(
      'MCProfileErrorDomain',
      [1009],
      'install_failed',
      'unclassified',
      'The Mac could not install the profile.',
      'Read the causes the Mac gave.',
    ),
    generic: true,
  },
  entry(
    'MCPayloadErrorDomain',
    [2000, 2001, 2002, 2003, 2004],
    'payload_malformed',
    'permanent',
    'A payload of the profile is not valid.',
    EDIT,
  ),
  {
    ...entry(
      'MCInstallationErrorDomain',
      [4001],
      'install_failed',
      'unclassified',
      'The Mac could not install the profile.',
      'Read the causes the Mac gave.',
    ),
    generic: true,
  },
  entry(
    'MCInstallationErrorDomain',
    [4002],
    'profile_uuid_in_use',
    'permanent',
    "Another profile on the Mac has this profile's UUID.",
    EDIT,
  ),
  entry('MCInstallationErrorDomain', [4009], 'device_locked', 'transient', 'The device was locked.', WAIT),
  entry(
    'MCInstallationErrorDomain',
    [4022],
    'mdm_only_payload',
    'permanent',
    'A payload is accepted only from the MDM server that supervises the Mac.',
    'Check the enrolment of this Mac.',
  ),
  entry(
    'MCInstallationErrorDomain',
    [4025],
    'supervision_required',
    'permanent',
    'The profile needs a supervised Mac.',
    'Enrol the Mac through Automated Device Enrolment.',
  ),
  entry(
    'MCMDMErrorDomain',
    [12007, 12000],
    'access_right_missing',
    'permanent',
    'The enrolment does not grant the right this needs.',
    'Enrol the Mac again with a full enrolment profile.',
  ),
  entry(
    'MCMDMErrorDomain',
    [12063],
    'user_refused',
    'needs_user',
    'The user refused.',
    'Ask the user of the Mac to accept.',
  ),
  entry('MCMDMErrorDomain', [12078], 'in_lost_mode', 'transient', 'The device is in lost mode.', WAIT),
  entry(
    'MCMDMErrorDomain',
    [12076],
    'user_channel_unsupported',
    'permanent',
    'The enrolment has no user channel.',
    'Deliver the profile to the device, or enrol again.',
  ),
  entry(
    'MCKeychainErrorDomain',
    [6000],
    'keychain_locked',
    'needs_user',
    'A keychain on the Mac could not be opened.',
    'Ask the user to log in.',
  ),
  entry(
    'MCPasscodeErrorDomain',
    [5000, 5010, 5011, 5012, 5013, 5014, 5015],
    'passcode_conflict',
    'needs_user',
    'The passcode on the Mac does not fit the policy.',
    'Ask the user to change it.',
  ),
  entry(
    'MCSCEPErrorDomain',
    [22005],
    'scep_unreachable',
    'transient',
    'The Mac could not reach the certificate server the profile names.',
    WAIT,
  ),
  entry(
    'MCSCEPErrorDomain',
    [22000, 22001, 22002, 22003, 22004, 22006, 22007, 22008, 22011, 22013],
    'scep_failed',
    'unclassified',
    'The Mac did not get its certificate.',
    'Look at the certificate server the profile names.',
  ),
  entry(
    'MCHTTPTransactionErrorDomain',
    [23000, 23001, 23002],
    'server_unreachable',
    'transient',
    'A server that the profile names did not answer as it should.',
    WAIT,
  ),
  entry(
    'NSURLErrorDomain',
    [-1001, -1003, -1004, -1005, -1009],
    'network_down',
    'transient',
    'The Mac was offline while it installed the profile.',
    WAIT,
  ),
];

const COMMAND_REFUSED: ClassifiedError = {
  code: 'command_format_refused',
  class: 'permanent',
  words: 'The Mac could not read the command itself.',
  next: 'Report it: this is a fault of the server.',
};

/** What a failed command means. Causes are read before the top-level error, which is often generic. */
export function classify(
  outcome: Exclude<CommandOutcome, 'Acknowledged'>,
  chain: readonly ErrorChainItem[],
): ClassifiedError {
  if (outcome === 'CommandFormatError') return COMMAND_REFUSED;
  const known = chain.map(find).filter((found) => found !== undefined);
  const found = known.findLast((one) => one.generic === undefined) ?? known[0];
  if (found !== undefined) return { code: found.code, class: found.class, words: found.words, next: found.next };
  const top = chain[0];
  return {
    code: 'device_error',
    class: 'unclassified',
    words:
      top === undefined
        ? 'The Mac reported an error without details.'
        : `${top.description} (${top.domain} ${top.code})`,
    next: 'Read what the Mac said, then change the profile or ask for it again.',
  };
}

/** The words of a stored code, for a page that has only the op. */
export function wordsOf(code: string, chain: readonly ErrorChainItem[]): ClassifiedError {
  if (code === COMMAND_REFUSED.code) return COMMAND_REFUSED;
  return classify('Error', chain);
}

/** The profile is not on the Mac: success for a removal. Both numbers exist in other domains with other meanings. */
export function saysGone(op: OpKind, chain: readonly ErrorChainItem[]): boolean {
  return op === 'remove' && chain.some((item) => is(item, 'MDMClientError', 89) || is(item, 'MCMDMErrorDomain', 12075));
}

/** The profile is there, but this server does not manage it: drift, not a removal to repeat. */
export function saysNotOurs(op: OpKind, chain: readonly ErrorChainItem[]): boolean {
  return op === 'remove' && chain.some((item) => is(item, 'MCMDMErrorDomain', 12013));
}

function is(item: ErrorChainItem, domain: string, code: number): boolean {
  return item.domain === domain && item.code === code;
}

function find(item: ErrorChainItem): CatalogueEntry | undefined {
  return ENTRIES.find((one) => one.domain === item.domain && one.codes.includes(item.code));
}

function entry(
  domain: string,
  codes: readonly number[],
  code: string,
  kind: ErrorClass,
  words: string,
  next: string,
): CatalogueEntry {
  return { domain, codes, code, class: kind, words, next };
}

import type { CommandOutcome, ErrorChainItem } from '../core/effects.ts';
import { DEVICE_ERRORS, type DeviceErrorCode, ERROR_KINDS, type ErrorKind } from './error-catalogue.ts';
import { OBSERVATION_REASONS } from './reasons.ts';
import type { OpKind } from './types.ts';

export interface ClassifiedError {
  /** Stable; scripts may match on it. */
  readonly code: string;
  readonly class: ErrorKind['class'];
  readonly words: string;
  readonly next: string;
}

/** Apple's code is not in the catalogue. */
const DEVICE_ERROR = 'device_error';

const COMMAND_REFUSED: ClassifiedError = {
  code: 'command_format_refused',
  class: 'permanent',
  words: 'The Mac could not read the command itself.',
  next: 'Report it: this is a fault of the server.',
};

/** Every code that a failed pair can have. */
export const FAILURE_CODES: readonly string[] = [
  ...Object.keys(ERROR_KINDS),
  COMMAND_REFUSED.code,
  DEVICE_ERROR,
  ...OBSERVATION_REASONS,
];

/** What a failed command means. Causes are read before the top-level error, which is often generic. */
export function classify(
  outcome: Exclude<CommandOutcome, 'Acknowledged'>,
  chain: readonly ErrorChainItem[],
): ClassifiedError {
  if (outcome === 'CommandFormatError') return COMMAND_REFUSED;
  const known = chain.flatMap((item) => codeOf(item) ?? []);
  const code = known.findLast((one) => kindOf(one).generic === undefined) ?? known[0];
  if (code !== undefined) {
    const { class: kind, words, next } = kindOf(code);
    return { code, class: kind, words, next };
  }
  const top = chain[0];
  return {
    code: DEVICE_ERROR,
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

function kindOf(code: DeviceErrorCode): ErrorKind {
  return ERROR_KINDS[code];
}

/** What Apple's domain and number mean, where the catalogue says so. */
function codeOf({ domain, code }: Pick<ErrorChainItem, 'domain' | 'code'>): DeviceErrorCode | undefined {
  const kinds = Object.hasOwn(DEVICE_ERRORS, domain) ? DEVICE_ERRORS[domain] : undefined;
  return kinds?.find(([, numbers]) => numbers.includes(code))?.[0];
}

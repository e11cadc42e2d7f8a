import { EspalierError } from '../core/errors.ts';

/** One link of the ErrorChain a Mac reports: Apple's domain and number, and its English text. */
export interface ErrorLink {
  readonly domain: string;
  readonly code: number;
  readonly description: string;
}

/**
 * What a Mac refuses, with the rule of docs/SPEC-mac.md that makes it. The first link is the top-level error, later ones
 * are causes. It ends an enrolment, or becomes the ErrorChain of a command's result.
 */
export class MacRefusal extends Error {
  readonly rule: string;
  readonly chain: readonly [ErrorLink, ...ErrorLink[]];

  constructor(rule: string, chain: readonly [ErrorLink, ...ErrorLink[]], cause?: unknown) {
    super(
      `${rule}: ${chain.map((link) => `${link.description} (${link.domain} ${link.code})`).join('; because ')}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = 'MacRefusal';
    this.rule = rule;
    this.chain = chain;
  }
}

/** `domain` without its suffix: `MCProfile` is MCProfileErrorDomain (apple-protocol appendix D). */
export function refusal(rule: string, domain: string, code: number, description: string, cause?: unknown): MacRefusal {
  return new MacRefusal(rule, [{ domain: `${domain}ErrorDomain`, code, description }], cause);
}

/** The same refusal as the cause of "Profile Installation Failed", which is what the result of InstallProfile leads with. */
export function installationFailed(cause: MacRefusal): MacRefusal {
  const [first] = cause.chain;
  if (first.domain === 'MCInstallationErrorDomain' || first.domain === 'MCMDMErrorDomain') return cause;
  const top = { domain: 'MCInstallationErrorDomain', code: 4001, description: 'Profile Installation Failed' };
  return new MacRefusal(cause.rule, [top, ...cause.chain], cause.cause);
}

/** Run a reader of `core`'s vocabulary and turn what it refuses into what the Mac would say. */
export function readOr<T>(read: () => T, otherwise: (detail: string, cause: unknown) => MacRefusal): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof EspalierError) throw otherwise(error.message, error);
    throw error;
  }
}

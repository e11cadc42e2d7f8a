import { EspalierError } from '../core/errors.ts';

const MAX_NAME = 255;

/** A name people chose for a team or label, trimmed. Errors: request_malformed. */
export function checkedName(what: 'team' | 'label', name: string): string {
  const trimmed = name.trim();
  if (trimmed === '' || trimmed.length > MAX_NAME || /\p{Cc}/u.test(trimmed) || !trimmed.isWellFormed()) {
    throw new EspalierError(
      'request_malformed',
      `a ${what} name has 1 to ${MAX_NAME} characters and no control characters`,
    );
  }
  return trimmed;
}

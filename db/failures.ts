/** What a database error means for the one who asked: nothing here knows an engine, only SQLSTATEs and node's codes. */
import { EspalierError, hasCode } from '../core/errors.ts';

/** SQLSTATE of a database error, or node's error code. */
function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** The server goes away, is full, or has become a standby (25006); 25P03 and 57P05 are its own idle limits. */
const LOST_STATES = new Set(['57P01', '57P02', '57P03', '57P05', '25P03', '25006', '58030']);
const LOST_CLASSES = ['08', '53'];
const LOST_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENOENT',
]);
/** The `pg` package has no codes for these. */
const LOST_MESSAGES =
  /^(Connection terminated|Client (has encountered a connection error|was closed)|Query read timeout)/;

/** The connection is of no further use. */
export function isLost(error: unknown): boolean {
  const code = codeOf(error);
  if (code === undefined) return error instanceof Error && LOST_MESSAGES.test(error.message);
  return (
    LOST_STATES.has(code) || LOST_CODES.has(code) || (code.length === 5 && LOST_CLASSES.includes(code.slice(0, 2)))
  );
}

/** Serialisation failure or deadlock: rolled back for certain, and likely to pass when tried again. */
function isConflict(error: unknown): boolean {
  const code = codeOf(error);
  return code === '40001' || code === '40P01';
}

/** A prepared statement that another migration or a pooler in front of the server made invalid. */
export function isStalePlan(error: unknown): boolean {
  const code = codeOf(error);
  if (code === '0A000') return error instanceof Error && error.message.startsWith('cached plan');
  return code === '26000' || code === '42P05';
}

/** Statement cancelled by its time limit, or lock not available within its limit. */
function isTimeout(error: unknown): boolean {
  const code = codeOf(error);
  return code === '57014' || code === '55P03';
}

export function unavailable(cause: unknown): EspalierError {
  if (hasCode(cause, 'store_unavailable')) return cause;
  const reason = cause instanceof Error ? cause.message || codeOf(cause) : String(cause);
  return new EspalierError('store_unavailable', `The database is not available: ${reason}.`, {
    fix: 'It is tried again with the next request; look at the database server if this lasts.',
    cause,
  });
}

/** What leaves the store when nothing more is tried: faults that may pass by themselves become `store_unavailable`. */
export function atBoundary(error: unknown): unknown {
  return isLost(error) || isConflict(error) || isTimeout(error) ? unavailable(error) : error;
}

const CONFLICT_ATTEMPTS = 6;
const LOST_ATTEMPTS = 2;
const STALE_ATTEMPTS = 3;

/**
 * Milliseconds to wait before a unit of work runs again, or undefined when it must not.
 * A lost connection is tried again only while COMMIT was not sent: afterwards nobody knows whether it was committed.
 * `jitter` is in [0, 1).
 */
export function retryAfter(error: unknown, attempt: number, inCommit: boolean, jitter: number): number | undefined {
  if (isConflict(error)) return attempt < CONFLICT_ATTEMPTS ? 2 ** attempt * 4 * (0.5 + jitter) : undefined;
  if (isStalePlan(error)) return attempt < STALE_ATTEMPTS ? 0 : undefined;
  const cause = hasCode(error, 'store_unavailable') ? error.cause : undefined;
  if (cause !== undefined && isLost(cause) && !inCommit) return attempt < LOST_ATTEMPTS ? 0 : undefined;
  return undefined;
}

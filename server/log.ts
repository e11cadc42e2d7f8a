import pino, { type DestinationStream, type Logger } from 'pino';
import type { Settings } from './settings.ts';

/** What PostgreSQL adds to an error may be a whole row or a piece of a parameter. */
const ROW_DATA = ['err.detail', 'err.where', 'err.internalQuery'];

/** JSON lines on stderr; stdout is for people. Secrets are of type Secret and print as [redacted]. */
export function createLog(level: Settings['LOG_LEVEL'], sink?: DestinationStream): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: { paths: ROW_DATA, remove: true } },
    sink ?? pino.destination({ fd: 2, sync: false }),
  );
}

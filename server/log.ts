import pino, { type Logger } from 'pino';
import type { Settings } from './settings.ts';

/** JSON lines on stderr; stdout is for people. Secrets are of type Secret and print as [redacted]. */
export function createLog(level: Settings['LOG_LEVEL']): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: false }),
  );
}

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { EspalierError } from '../core/errors.ts';

/** Makes a leaked token findable by secret scanners. */
export const TOKEN_PREFIX = 'espalier_admin_';

export function tokenHash(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** RFC 6750 bearer token of the admin API, compared by hash in constant time. Errors: unauthorized. */
export function requireToken(request: IncomingMessage, expectedHash: Buffer): void {
  const header = request.headers.authorization ?? '';
  const token = /^Bearer +(\S+)$/i.exec(header)?.[1];
  if (token === undefined || !timingSafeEqual(tokenHash(token), expectedHash)) {
    throw new EspalierError(
      'unauthorized',
      token === undefined ? 'no bearer token was sent' : 'the bearer token is not known',
      {
        fix: 'Send "Authorization: Bearer TOKEN" with the token from admin.token in the data folder.',
      },
    );
  }
}

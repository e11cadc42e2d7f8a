import { type ErrorCode, EspalierError } from '../core/errors.ts';
import type { Writable } from '../plist/types.ts';
import { writePlistBytes } from '../plist/write.ts';
import { COMMAND_CONTENT_TYPE } from './hand-out.ts';
import type { DeviceResponse, DeviceStatus } from './types.ts';

const NO_BODY = Buffer.alloc(0);
/** Seconds. A device keeps what it could not deliver and comes back (§1.3). */
const RETRY_AFTER = '15';

/** 200 and zero bytes; an empty property list would not be "empty" (CHK-04, CMD-06). */
export const EMPTY: DeviceResponse = { status: 200, headers: {}, body: NO_BODY, code: undefined };

export function plistAnswer(value: Writable): DeviceResponse {
  return commandAnswer(writePlistBytes(value));
}

export function commandAnswer(body: Buffer): DeviceResponse {
  return { status: 200, headers: { 'content-type': COMMAND_CONTENT_TYPE }, body, code: undefined };
}

/**
 * The whole error vocabulary of the device routes. What is not here is a fault of ours: 500, and the device keeps its
 * report. No row says 401, and the type has no such status (CHK-06).
 */
const STATUS: Partial<Record<ErrorCode, DeviceStatus>> = {
  plist_malformed: 400,
  plist_too_large: 413,
  plist_too_deep: 400,
  plist_too_many_nodes: 400,
  plist_entity_refused: 400,
  plist_duplicate_key: 400,
  plist_binary_refused: 400,
  mdm_message_malformed: 400,
  mdm_message_type_unknown: 400,
  mdm_topic_mismatch: 400,
  mdm_endpoint_unknown: 400,
  mdm_identity_missing: 400,
  mdm_identity_invalid: 400,
  mdm_identity_untrusted: 400,
  mdm_identity_mismatch: 403,
  mdm_enrollment_unknown: 403,
  mdm_user_not_managed: 410,
  method_not_allowed: 405,
  store_unavailable: 503,
  service_unavailable: 503,
};

/** Zero bytes as well: a body with a `code` is how Apple's devices are told to unenrol (CHK-07). Ours is in a header. */
export function refusal(code: ErrorCode): DeviceResponse {
  const status = STATUS[code] ?? 500;
  const headers: Record<string, string> = { 'espalier-code': code };
  if (status >= 500) headers['retry-after'] = RETRY_AFTER;
  if (status === 405) headers['allow'] = 'PUT';
  return { status, headers, body: NO_BODY, code };
}

/** Anything thrown while a request was dealt with. */
export function refusalOf(thrown: unknown): DeviceResponse {
  if (thrown instanceof EspalierError) return refusal(thrown.code);
  return refusal(isDatabaseFault(thrown) ? 'store_unavailable' : 'internal_error');
}

/** What carries an SQLSTATE or a socket's error code came from the database. */
export function isDatabaseFault(thrown: unknown): boolean {
  return (
    !(thrown instanceof EspalierError) && thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string'
  );
}

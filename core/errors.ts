/**
 * The one internal error vocabulary. A code is stable: scripts and runbooks may match on it.
 * `http/problems.ts` holds the total table code → status and title; nothing else turns an error into HTTP.
 */
export const ERROR_CODES = [
  // input shapes
  'plist_malformed',
  'plist_too_large',
  'plist_too_deep',
  'plist_too_many_nodes',
  'plist_entity_refused',
  'plist_duplicate_key',
  'plist_binary_refused',
  'plist_unencodable',
  'asn1_malformed',
  'asn1_too_deep',
  'asn1_too_many_nodes',
  'cms_malformed',
  'cms_signature_invalid',
  'cms_algorithm_refused',
  'cms_no_recipient',
  'cms_decrypt_failed',
  'certificate_malformed',
  'certificate_request_malformed',
  'certificate_request_signature_invalid',
  // device protocol
  'mdm_message_malformed',
  'mdm_message_type_unknown',
  'mdm_topic_mismatch',
  'mdm_identity_missing',
  'mdm_identity_invalid',
  'mdm_identity_untrusted',
  'mdm_identity_mismatch',
  'mdm_enrollment_unknown',
  'mdm_user_not_managed',
  'mdm_endpoint_unknown',
  'enroll_code_invalid',
  'enroll_code_exhausted',
  'push_certificate_missing',
  'push_certificate_invalid',
  'scep_message_malformed',
  'scep_operation_unknown',
  // admin API
  'request_malformed',
  'request_too_large',
  'request_unsupported_encoding',
  'request_timeout',
  'method_not_allowed',
  'not_found',
  'conflict',
  'unauthorized',
  'forbidden',
  'host_not_found',
  'team_not_found',
  'team_exists',
  'label_not_found',
  'label_exists',
  'profile_not_found',
  'profile_malformed',
  'profile_invalid',
  'profile_identifier_exists',
  'command_invalid',
  'command_not_found',
  // agents
  'osquery_enroll_secret_invalid',
  'osquery_node_unknown',
  // the server itself
  'settings_invalid',
  'kek_missing',
  'sealed_value_unreadable',
  'data_folder_in_use',
  'schema_newer',
  'store_unavailable',
  'service_unavailable',
  'internal_error',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Where in the input the fault is; every part is optional because not every input has lines. */
export interface ErrorPlace {
  /** Byte offset from the start of the input. */
  readonly offset?: number;
  /** 1-based line of a text input. */
  readonly line?: number;
  /** 1-based, in UTF-16 units, as editors count. */
  readonly column?: number;
  /** Path inside the value: `PayloadContent[0].PayloadType`. */
  readonly path?: string;
}

/** What went wrong, where, and what to do. `detail` is safe to show: it never carries a secret. */
export class EspalierError extends Error {
  readonly code: ErrorCode;
  readonly place: ErrorPlace | undefined;
  /** What the reader can do about it, one sentence. */
  readonly fix: string | undefined;

  constructor(code: ErrorCode, detail: string, more: { place?: ErrorPlace; fix?: string; cause?: unknown } = {}) {
    super(detail, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'EspalierError';
    this.code = code;
    this.place = more.place;
    this.fix = more.fix;
  }
}

/** Narrow an unknown throw to one of ours with a given code. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is EspalierError {
  return error instanceof EspalierError && codes.includes(error.code);
}
